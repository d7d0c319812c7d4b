/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one followed file: begun, watched, closed. Owns the descriptor, the stream handle and the
 * subscription. Loop thread.
 */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "batch.h"
#include "clock.h"
#include "join.h"
#include "join_read.h"
#include "known.h"
#include "packed.h"
#include "scan.h"
#include "subscribe.h"

static const uint32_t FILE_EVENTS = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;

static _Thread_local size_t open_files; /* of all instances of the loop */

size_t tail_files_open(void)
{
    return open_files;
}

static uint64_t inode_hash(const struct tail_identity *id)
{
    return id->ino * 0x9e3779b97f4a7c15u ^ id->dev;
}

struct tail_file *tail_file_of(const struct tail_instance *tail, const struct tail_identity *id)
{
    struct tail_table_node *node = tail_table_first(&tail->by_inode, inode_hash(id));
    for (; node; node = tail_table_next(node)) {
        struct tail_file *file = TAIL_OF(node, struct tail_file, by_inode);
        if (file->identity.ino == id->ino && file->identity.dev == id->dev) {
            return file;
        }
    }
    return NULL;
}

/* -- Watching ------------------------------------------------------------------------------------------ */

static void file_event(struct tail_sub *sub, uint32_t events, const char *name)
{
    struct tail_file *file = TAIL_OF(sub, struct tail_file, sub);
    (void)name;
    if (events & IN_IGNORED) {
        file->polled = true;
        tail_poll(file->tail);
    }
    if (events & ~(uint32_t)IN_MODIFY) {
        tail_file_look(file); /* at once, also while paused: a file that replaced it must be held open */
    }
    tail_file_wake(file);
}

static void watch(struct tail_file *file, uint32_t system)
{
    struct tail_instance *tail = file->tail;
    char path[64];
    if (tail->config->exit_on_eof) {
        return; /* read once to its end */
    }
    file->sub.fn = file_event;
    if (file->sub.watched) { /* since it was open before */
        file->polled = tail_notify_remote(&file->sub, file->path, system);
    } else {
        /* through the descriptor: the name may lead elsewhere by now */
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
        file->polled = !tail_subscribe(tail, &file->sub, path, file->path, FILE_EVENTS, system, &(int){0});
    }
    if (file->polled) {
        tail_poll(tail);
    }
}

bool tail_file_watch_again(struct tail_file *file)
{
    if (!file->polled || file->sub.watched) {
        return true;
    }
    watch(file, 0);
    if (file->sub.watched) {
        tail_file_wake(file); /* it may have changed before */
    }
    return file->sub.watched;
}

/* -- Beginning and closing ------------------------------------------------------------------------------- */

static void file_free(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    tail_unsubscribe(tail->hub, &file->sub);
    tail_scan_pass(tail, &file->member);
    tail_list_remove(&file->member);
    tail_list_remove(&file->ready);
    if (file->wait) {
        tail->host->timer_remove(file->wait);
    }
    if (file->named) {
        tail_table_remove(&tail->by_path, &file->by_path);
    }
    tail_join_close(file);
    tail_packed_free(file->packed);
    close(file->fd);
    tail_account_finish(&file->account);
    tail_file_free_path(file);
    free(file->before);
    free(file);
}

void tail_file_touch(struct tail_file *file)
{
    file->active = tail_now(CLOCK_MONOTONIC);
    tail_scan_pass(file->tail, &file->member);
    tail_list_remove(&file->member);
    tail_list_add(&file->tail->files, &file->member);
}

/* What was sent of it stays known. */
static void remember(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    tail->host->stream_state(file->stream, &state);
    if (tail_known_add(tail, &state, tail->config->exit_on_eof) < 0) {
        tail_log(tail, WARN, "no memory to remember the position of %s until weir starts again", file->path);
    }
    tail->host->stream_close(file->stream);
}

int tail_file_begin(struct tail_instance *tail, const char *path, int fd, const struct tail_status *status,
                    bool named)
{
    struct tail_file *file = calloc(1, sizeof(*file));
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    file->tail = tail;
    file->fd = fd;
    file->identity = status->identity;
    file->size = status->size;
    file->changed = status->changed;
    file->generation = tail->generation;
    tail_list_init(&file->member);
    tail_list_init(&file->ready);
    int r = tail_join_open(file);
    r = r < 0 ? r : tail_file_set_path(file, path, named);
    r = r < 0 ? r : tail_file_choose(file, status);
    r = r < 0 ? r : tail_table_add(&tail->by_inode, &file->by_inode, inode_hash(&file->identity));
    if (r < 0) {
        tail_log(tail, WARN, "%s can't be followed yet: %s", path, strerror(-r));
        if (file->stream) {
            remember(file);
        }
        file_free(file);
        return r;
    }
    tail_file_touch(file);
    tail->host->metric_set(tail->numbers.files, (int64_t)++tail->open_count);
    open_files++;
    tail->total += status->size > file->offset ? status->size - file->offset : 0;
    watch(file, status->system);
    file->rotated = !named;
    if (!named && status->links > 1) {
        file->linked = true; /* one of its names may be in the patterns */
        tail_rescan(tail);
    }
    tail_file_wake(file);
    return 0;
}

static void detach(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    tail_table_remove(&tail->by_inode, &file->by_inode);
    tail->open_count--;
    if (!tail->retired) { /* else it is the number of whoever took its place */
        tail->host->metric_set(tail->numbers.files, (int64_t)tail->open_count);
    }
    open_files--;
    file_free(file);
}

void tail_file_close(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    struct tail_status status;
    tail_batch_send(tail);
    if (tail_status_read(file->fd, &status) == 0 && status.links == 0) {
        tail_log(tail, INFO, "%s was deleted and is read to its end (%" PRIu64 " bytes)", file->path,
                 file->offset);
        tail_file_bury(file);
    } else {
        remember(file);
        tail_log(tail, INFO, "%s is closed (read up to %" PRIu64 ")", file->path, file->offset);
    }
    detach(file);
    tail_packed_wake(tail);
}

bool tail_file_park(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    struct weir_stream_state state = {.struct_size = sizeof(state)};
    struct stat s;
    /* what was just found, and begun at its end, has nothing to be done either */
    bool idle = tail_list_empty(&file->ready) || (tail->starting && file->offset == file->size);
    if (!idle || (file->packed && !tail_packed_rests(file)) || !file->named || file->rotated ||
        (file->join && tail_join_busy(file->join)) || fstat(file->fd, &s) < 0 || s.st_nlink == 0) {
        return false;
    }
    if ((uint64_t)s.st_size != file->size || tail_ns(s.st_mtim) != file->changed) {
        if (tail_list_empty(&file->ready)) {
            /* its event is about to come; meanwhile it is not looked at again and again for want of room */
            tail_file_touch(file);
            tail_file_wake(file);
        }
        return false;
    }
    tail->host->stream_state(file->stream, &state);
    if (tail_known_add(tail, &state, false) < 0) {
        return false;
    }
    tail_known_park(tail, file, state.key);
    tail_log(tail, DEBUG, "%s has nothing new and is closed until it changes", file->path);
    detach(file);
    return true;
}

static enum tail_progress read_to_end(struct tail_file *file)
{
    enum tail_progress r = TAIL_MORE;
    size_t bytes = 0;
    bool changed = false;
    if (file->packed) {
        r = tail_packed_drain(file);
        return r == TAIL_END ? tail_file_flush(file) : r;
    }
    if (tail_file_examine(file) < 0) {
        return TAIL_BROKEN;
    }
    while (r == TAIL_MORE) {
        r = tail_file_read(file, &bytes);
    }
    r = r == TAIL_END ? tail_file_flush(file) : r;
    if (r == TAIL_CHANGED) {
        changed = tail_file_restart(file, "rewritten") == 0;
    } else if (r == TAIL_END) {
        tail_file_learn(file, &changed); /* by which it is known where it is found compressed */
    }
    return changed ? TAIL_CHANGED : r;
}

static bool is_deleted(const struct tail_file *file)
{
    struct stat s;
    return fstat(file->fd, &s) == 0 && s.st_nlink == 0;
}

/* Reads a file that has no name any more. TAIL_END: all of it is sent, and its stream is done with. */
static enum tail_progress drain_deleted(struct tail_file *file)
{
    enum tail_progress r = read_to_end(file);
    if (r == TAIL_CHANGED) {
        r = read_to_end(file); /* what it says now, from its start */
    }
    if (r == TAIL_END) {
        tail_file_bury(file);
    }
    return r;
}

/* What is left of a deleted file is lost. */
static void abandon(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    struct stat s;
    uint64_t end = file->packed ? tail_packed_raw(file->packed) : file->offset;
    if (fstat(file->fd, &s) == 0 && (uint64_t)s.st_size > end) {
        uint64_t left = (uint64_t)s.st_size - end;
        tail_account_count(tail, TAIL_DELETED, left);
        tail_log(tail, WARN,
                 "%s was deleted, and its last %" PRIu64 " bytes could not be sent before the stop",
                 file->path, left);
    }
}

static void leave(struct tail_file *file)
{
    if (file->stream) {
        file->tail->host->stream_close(file->stream);
    }
    detach(file);
}

void tail_file_drop(struct tail_file *file)
{
    if (!is_deleted(file)) {
        tail_file_note_name(file);
    } else if (drain_deleted(file) != TAIL_END) {
        abandon(file);
    }
    leave(file);
}

/* Its path may lead to another file by now, which is not this instance's to look at. */
static void read_on_alone(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (file->named) {
        tail_table_remove(&tail->by_path, &file->by_path);
        file->named = false;
    }
    file->rotated = true;
    tail_file_wait_no_more(file);
    tail_file_wake(file);
}

void tail_file_retire(struct tail_file *file)
{
    if (!is_deleted(file)) {
        tail_file_drop(file);
        return;
    }
    enum tail_progress r = drain_deleted(file);
    int error = errno;
    if (r == TAIL_END) {
        leave(file);
    } else if (r == TAIL_BROKEN && error != ENOMEM) {
        abandon(file);
        leave(file);
    } else {
        file->tail->paused |= r == TAIL_FULL;
        read_on_alone(file);
    }
}
