/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files lag most: one pass over all, with a heap of those that are in so far, so that a hundred
 * thousand hold the loop up for milliseconds. Owns nothing. Loop thread.
 */
#include <errno.h>
#include <stdlib.h>
#include "details.h"
#include "file.h"

struct entry {
    uint64_t lag;
    struct tail_file *file;
};

static uint64_t lag_of(const struct tail_file *file)
{
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    uint64_t size = file->size > file->offset ? file->size : file->offset;

    file->tail->host->stream_state(file->stream, &state);
    return size > state.committed ? size - state.committed : 0;
}

/* The least of the heap lies at its top; down from `at` it may be out of order. */
static void sift_down(struct entry *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1].lag < heap[child].lag)
            child++;
        if (heap[at].lag <= heap[child].lag)
            return;
        struct entry e = heap[at];
        heap[at] = heap[child];
        heap[child] = e;
    }
}

static size_t collect(const struct tail_instance *tail, struct entry *heap, size_t room)
{
    size_t count = 0;

    for (struct tail_link *link = tail->files.next; link != &tail->files; link = link->next) {
        struct tail_file *file = TAIL_OF(link, struct tail_file, member);
        struct entry e = {lag_of(file), file};
        if (count < room) {
            heap[count++] = e;
            for (size_t i = count == room ? room / 2 : 0; i-- > 0;)
                sift_down(heap, room, i);
        } else if (e.lag > heap[0].lag) {
            heap[0] = e;
            sift_down(heap, room, 0);
        }
    }
    return count;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->lag, y = ((const struct entry *)b)->lag;

    return (x < y) - (x > y);
}

int64_t tail_worst_files(const struct tail_instance *tail, uint64_t most, struct tail_file ***ret)
{
    size_t room = most < tail->open_count ? (size_t)most : tail->open_count;
    struct entry *heap = calloc(room + 1, sizeof(*heap));
    struct tail_file **files = calloc(room + 1, sizeof(struct tail_file *));

    if (!heap || !files) {
        free(heap);
        free(files);
        return -ENOMEM;
    }
    size_t count = room ? collect(tail, heap, room) : 0;
    qsort(heap, count, sizeof(*heap), compare);
    for (size_t i = 0; i < count; i++)
        files[i] = heap[i].file;
    free(heap);
    *ret = files;
    return (int64_t)count;
}
