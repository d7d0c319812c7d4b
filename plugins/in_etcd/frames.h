/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of JSON objects cut into its objects, however its bytes come. Any thread, one at a time. */
#ifndef ETCD_FRAMES_H
#define ETCD_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

/* All zero, but for max: an empty one. */
struct etcd_frames {
    size_t max; /* bytes of one object */
    char *data;
    size_t size, room;
    unsigned depth;
    bool in_string, escaped;
};

/* One object; valid during the call. Other than 0 ends the feeding. */
typedef int (*etcd_frame_fn)(void *data, const char *text, size_t size);

/*
 * Takes bytes, and gives every object that is whole. 0, what fn returned, -EBADMSG: something that is no
 * object stands between objects, -EMSGSIZE, -ENOMEM. After other than 0 it must be cleared.
 */
int etcd_frames_feed(struct etcd_frames *, const char *bytes, size_t size, etcd_frame_fn, void *data);
/* Empty again, and frees. */
void etcd_frames_clear(struct etcd_frames *);

#endif
