/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway ends each message of a stream with a newline, and a proxy may cut it anywhere; so objects are
 * told apart by their braces. What is inside is for the JSON parser to judge.
 */
#include "frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL = 64 * 1024 };

static int append(struct etcd_frames *f, const char *bytes, size_t size)
{
    if (size > f->max - f->size)
        return -EMSGSIZE;
    if (f->room - f->size < size) {
        size_t room = (f->size + size) * 2;
        char *larger = realloc(f->data, room);
        if (!larger)
            return -ENOMEM;
        f->data = larger;
        f->room = room;
    }
    memcpy(f->data + f->size, bytes, size);
    f->size += size;
    return 0;
}

/* Whether the object ends with this character. */
static bool step(struct etcd_frames *f, char c)
{
    if (f->in_string) {
        bool escaped = f->escaped;
        f->escaped = !escaped && c == '\\';
        f->in_string = escaped || c != '"';
        return false;
    }
    if (c == '"')
        f->in_string = true;
    else if (c == '{')
        f->depth++;
    else if (c == '}')
        return --f->depth == 0;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* How many bytes of a string have no meaning: most of a message is one long value. */
static size_t plain(const char *bytes, size_t size)
{
    const char *quote = memchr(bytes, '"', size);
    size_t length = quote ? (size_t)(quote - bytes) : size;
    const char *slash = memchr(bytes, '\\', length);

    return slash ? (size_t)(slash - bytes) : length;
}

/* Bytes up to the end of the object that is under way, or all; *ret_whole where it ended. */
static size_t take(struct etcd_frames *f, const char *bytes, size_t size, bool *ret_whole)
{
    size_t used = 0;

    *ret_whole = false;
    while (used < size && !*ret_whole) {
        if (f->in_string && !f->escaped)
            used += plain(bytes + used, size - used);
        if (used < size)
            *ret_whole = step(f, bytes[used++]);
    }
    return used;
}

/* A message with a long value comes seldom. fn may have cleared all. */
static void shrink(struct etcd_frames *f)
{
    if (f->room <= USUAL)
        return;
    free(f->data);
    f->data = NULL;
    f->room = 0;
}

int etcd_frames_feed(struct etcd_frames *f, const char *bytes, size_t size, etcd_frame_fn fn, void *data)
{
    while (size) {
        if (f->depth == 0 && is_space(*bytes)) {
            bytes++;
            size--;
            continue;
        }
        if (f->depth == 0 && *bytes != '{')
            return -EBADMSG;
        bool whole;
        size_t used = take(f, bytes, size, &whole);
        int rc = append(f, bytes, used);
        if (rc == 0 && whole) {
            size_t all = f->size;
            f->size = 0;
            rc = fn(data, f->data, all);
            shrink(f);
        }
        if (rc)
            return rc;
        bytes += used;
        size -= used;
    }
    return 0;
}

void etcd_frames_clear(struct etcd_frames *f)
{
    free(f->data);
    *f = (struct etcd_frames){.max = f->max};
}
