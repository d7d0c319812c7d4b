/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribing to what happens to an inode, as far as this instance may and inotify can. */
#ifndef TAIL_SUBSCRIBE_H
#define TAIL_SUBSCRIBE_H

#include "notify.h"
#include "tail.h"

/*
 * Subscribes through the hub to what `path` leads to; `shown` is the path for messages. False: inotify does
 * not cover it, or not all of it, which was said: it must be polled. *ret_error: why, or 0. system: as in
 * tail_notify_remote.
 */
bool tail_subscribe(struct tail_instance *, struct tail_sub *, const char *path, const char *shown,
                    uint32_t events, uint32_t system, int *ret_error);
/* As tail_notify_move. Takes one that is subscribed to nothing. */
void tail_subscription_move(struct tail_hub *, struct tail_sub *from, struct tail_sub *to);
/* Takes one that is subscribed to nothing. */
void tail_unsubscribe(struct tail_hub *, struct tail_sub *);

#endif
