/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latest texts of the log, by their hashes, in a table of one place for each. Two texts of one place push
 * each other out, and then more of them are written, never fewer. Under the log's lock.
 */
#include "log_repeat.h"

#include <stdio.h>
#include <string.h>

enum { PLACES = 256 };

static struct place {
    uint64_t hash, since, count;
} places[PLACES];

static uint64_t hash_more(uint64_t hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

bool log_repeat_allows(const char *who, const char *text, size_t length, uint64_t now, char *suffix,
                       size_t room)
{
    uint64_t hash = hash_more(UINT64_C(0xcbf29ce484222325), who ? who : "", who ? strlen(who) + 1 : 1);
    hash = hash_more(hash, text, length);
    struct place *p = &places[hash % PLACES];

    *suffix = '\0';
    if (p->hash != hash || now - p->since >= LOG_REPEAT_SECONDS) {
        if (p->hash == hash && p->count > LOG_REPEAT_MOST)
            snprintf(suffix, room, " [and %llu times more, left out here]",
                     (unsigned long long)(p->count - LOG_REPEAT_MOST));
        *p = (struct place){.hash = hash, .since = now, .count = 1};
        return true;
    }
    if (++p->count == LOG_REPEAT_MOST)
        snprintf(suffix, room, " [%d times within %d s: more of it are left out for now]", LOG_REPEAT_MOST,
                 LOG_REPEAT_SECONDS);
    return p->count <= LOG_REPEAT_MOST;
}
