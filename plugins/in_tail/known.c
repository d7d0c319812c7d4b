/* SPDX-License-Identifier: Apache-2.0 */
/* The table of streams whose files are not open. Owns its entries. Loop thread. */
#include "known.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "clock.h"
#include "file.h"
#include "packed.h"
#include "parked.h"

/* -- Places ----------------------------------------------------------------------------------------- */

static struct tail_place *place_find(const struct tail_instance *tail, const char *path, size_t size)
{
    struct tail_table_node *node = tail_table_first(&tail->places, tail_hash(path, size));
    for (; node; node = tail_table_next(node)) {
        struct tail_place *place = TAIL_OF(node, struct tail_place, node);
        if (strlen(place->path) == size && memcmp(place->path, path, size) == 0) {
            return place;
        }
    }
    return NULL;
}

/* The directory of that path, with one more reference. NULL: no memory. */
static struct tail_place *place_get(struct tail_instance *tail, const char *path, size_t size)
{
    struct tail_place *place = place_find(tail, path, size);
    if (!place) {
        place = calloc(1, sizeof(*place) + size + 1);
        if (!place || tail_table_add(&tail->places, &place->node, tail_hash(path, size)) < 0) {
            free(place);
            return NULL;
        }
        place->tail = tail;
        memcpy(place->path, path, size);
    }
    place->references++;
    return place;
}

void tail_place_unref(struct tail_place *place)
{
    if (--place->references == 0) {
        tail_table_remove(&place->tail->places, &place->node);
        free(place);
    }
}

/* -- The table -------------------------------------------------------------------------------------- */

void tail_known_free(struct tail_known *known)
{
    if (known) {
        tail_parked_end(known);
        if (known->stream) {
            known->place->tail->host->stream_close(known->stream);
        }
        tail_place_unref(known->place);
        free(known);
    }
}

bool tail_known_is_at(const struct tail_known *known, const char *path)
{
    size_t size = strlen(known->place->path);
    return strncmp(path, known->place->path, size) == 0 && path[size] == '/' &&
           strcmp(path + size + 1, known->name) == 0;
}

void tail_known_path(const struct tail_known *known, char *ret)
{
    snprintf(ret, PATH_MAX, "%s/%s", known->place->path, known->name);
}

char *tail_known_path_elsewhere(const struct tail_known *known, const char *path)
{
    char before[PATH_MAX];
    if (tail_known_is_at(known, path)) {
        return NULL;
    }
    tail_known_path(known, before);
    return strdup(before);
}

int tail_known_add(struct tail_instance *tail, const struct weir_stream_state *state, bool finished)
{
    struct tail_meta meta;
    if (tail_meta_decode(state->meta, state->meta_size, &meta) < 0) {
        tail_log(tail, WARN, "the position kept under '%s' was written by another version of tail: not used",
                 state->key);
        return 0;
    }
    const char *slash = memrchr(meta.path, '/', meta.path_size);
    size_t size = strlen(state->key) + 1, dir_size = slash ? (size_t)(slash - meta.path) : 0;
    size_t name_size = meta.path_size - (slash ? dir_size + 1 : 0);
    struct tail_known *known = calloc(1, sizeof(*known) + size + name_size + 1);
    struct tail_place *place = known ? place_get(tail, meta.path, dir_size) : NULL;
    struct tail_table *table = meta.gone ? &tail->buried : &tail->known;
    if (!place || tail_table_add(table, &known->node, meta.identity.ino) < 0) {
        if (place) {
            tail_place_unref(place);
        }
        free(known);
        return -ENOMEM;
    }
    tail_list_init(&known->news);
    memcpy(known->key, state->key, size);
    known->name = known->key + size;
    memcpy(known->key + size, meta.path + meta.path_size - name_size, name_size);
    known->place = place;
    known->identity = meta.identity;
    known->fingerprint = meta.fingerprint;
    known->offset = state->offset;
    known->token = state->token;
    known->finished = finished;
    known->away = meta.away;
    known->anew = meta.anew;
    known->packing = meta.packing;
    known->missing = meta.missing;
    known->gone = meta.gone;
    return 0;
}

/* The one of that stream, of which the state tells. */
static struct tail_known *known_of(const struct tail_instance *tail, const struct weir_stream_state *state,
                                   struct tail_meta *ret)
{
    if (tail_meta_decode(state->meta, state->meta_size, ret) < 0) {
        return NULL;
    }
    struct tail_table_node *node = tail_table_first(&tail->known, ret->identity.ino);
    while (node && strcmp(TAIL_OF(node, struct tail_known, node)->key, state->key) != 0) {
        node = tail_table_next(node);
    }
    return node ? TAIL_OF(node, struct tail_known, node) : NULL;
}

static bool is_open(const struct weir_stream_state *state)
{
    return WEIR_HAS(state, open) && state->open;
}

static int load_one(void *data, const struct weir_stream_state *state)
{
    struct tail_instance *tail = data;
    struct tail_meta meta;
    tail->first_start = false;
    int r = tail_known_add(tail, state, false);
    struct tail_known *known = r == 0 && is_open(state) ? known_of(tail, state, &meta) : NULL;
    if (known) {
        known->held = true;
        tail->held++;
    }
    return r;
}

int tail_known_load(struct tail_instance *tail)
{
    tail->first_start = true;
    return tail->host->stream_each(tail->instance, load_one, tail);
}

void tail_known_drop(struct tail_instance *tail, struct tail_known *known)
{
    tail->parked_count -= known->parked;
    tail->held -= known->held;
    tail_table_remove(known->gone ? &tail->buried : &tail->known, &known->node);
    tail_known_free(known);
}

static void free_all(struct tail_table *table)
{
    struct tail_table_node *node, *next;
    for (size_t i = 0; i < tail_table_size(table); i++) {
        for (node = tail_table_bucket(table, i); node; node = next) {
            next = node->next;
            tail_known_free(TAIL_OF(node, struct tail_known, node));
        }
    }
    tail_table_clear(table);
}

void tail_known_clear(struct tail_instance *tail)
{
    free_all(&tail->known);
    free_all(&tail->buried);
    tail->parked_count = 0;
    tail->held = 0;
    tail_table_clear(&tail->places);
}

static struct tail_known *find_in(const struct tail_table *table, const char *key)
{
    for (size_t i = 0; i < tail_table_size(table); i++) {
        for (struct tail_table_node *n = tail_table_bucket(table, i); n; n = n->next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            if (strcmp(known->key, key) == 0) {
                return known;
            }
        }
    }
    return NULL;
}

struct tail_known *tail_known_find(const struct tail_instance *tail, const char *key)
{
    struct tail_known *known = find_in(&tail->known, key);
    return known ? known : find_in(&tail->buried, key);
}

/* By its birth, too: the inode may be another file's by now. The file need not be one that may be read. */
bool tail_known_is_there(const struct tail_known *known)
{
    struct tail_status status;
    char path[PATH_MAX];
    if (known->gone) {
        return false;
    }
    tail_known_path(known, path);
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool there =
        tail_status_read(fd, &status) == 0 && tail_identity_equal(&known->identity, &status.identity);
    close(fd);
    return there;
}

struct weir_stream *tail_known_open(struct tail_instance *tail, struct tail_known *known)
{
    struct weir_stream *stream = known->stream;
    known->stream = NULL;
    return stream ? stream : tail->host->stream_open(tail->instance, known->key);
}

void tail_known_forget(struct tail_instance *tail, struct tail_known *known)
{
    struct weir_stream *stream = tail_known_open(tail, known);
    if (stream) {
        tail->host->stream_forget(stream);
    }
    tail_known_drop(tail, known);
}

void tail_known_meet(const struct tail_instance *tail, uint64_t ino)
{
    for (struct tail_table_node *n = tail_table_first(&tail->known, ino); n; n = tail_table_next(n)) {
        TAIL_OF(n, struct tail_known, node)->met = tail->round;
    }
}

void tail_known_save(struct tail_instance *tail, const struct tail_known *known)
{
    struct weir_stream *stream =
        known->stream ? known->stream : tail->host->stream_open(tail->instance, known->key);
    struct tail_meta meta = {.identity = known->identity,
                             .fingerprint = known->fingerprint,
                             .away = known->away,
                             .anew = known->anew,
                             .gone = known->gone,
                             .packing = known->packing,
                             .missing = known->missing};
    uint8_t bytes[TAIL_META_MAX];
    char path[PATH_MAX];
    if (stream) {
        tail_known_path(known, path);
        meta.path = path;
        meta.path_size = strlen(path);
        tail->host->stream_set_meta(stream, bytes, tail_meta_encode(&meta, bytes));
        if (stream != known->stream) {
            tail->host->stream_close(stream);
        }
    }
}

/* Its file is no more, but what it said may be found compressed. */
static void bury(struct tail_instance *tail, struct tail_known *known)
{
    bool worth = tail->packs && !known->packing.packed && known->offset > 0 &&
                 known->fingerprint.length > 0 && tail_table_count(&tail->buried) < TAIL_BURIED_MAX;
    if (!worth) {
        tail_known_forget(tail, known);
        return;
    }
    tail->parked_count -= known->parked;
    known->parked = false;
    tail_parked_end(known);
    tail_table_remove(&tail->known, &known->node);
    known->gone = true;
    known->missing = tail_clock();
    tail_known_save(tail, known);
    if (tail_table_add(&tail->buried, &known->node, known->identity.ino) < 0) {
        tail_known_free(known); /* found again at the next start */
    }
}

/* -- Held by one that retires ------------------------------------------------------------------------- */

/* It was left before the end of its file, or what the file said is to be kept in mind. */
static void take_back(struct tail_instance *tail, struct tail_known *known,
                      const struct weir_stream_state *state, const struct tail_meta *meta)
{
    known->held = false;
    tail->held--;
    known->offset = state->offset;
    known->token = state->token;
    known->fingerprint = meta->fingerprint;
    known->packing = meta->packing;
    known->missing = meta->missing;
    if (!meta->gone) {
        return;
    }
    tail_table_remove(&tail->known, &known->node);
    known->gone = true;
    if (tail_table_add(&tail->buried, &known->node, known->identity.ino) < 0) {
        tail_known_free(known); /* found again at the next start */
    }
}

static int answer(void *data, const struct weir_stream_state *state)
{
    struct tail_instance *tail = data;
    struct tail_meta meta;
    struct tail_known *known = known_of(tail, state, &meta);
    if (known && known->held) {
        known->answered = is_open(state);
        if (!known->answered) {
            take_back(tail, known, state, &meta);
        }
    }
    return 0;
}

bool tail_known_ask_held(struct tail_instance *tail)
{
    if (!tail->held) {
        return false;
    }
    tail->host->stream_each(tail->instance, answer, tail);
    for (size_t i = 0; i < tail_table_size(&tail->known); i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->known, i), *next; n; n = next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            next = n->next;
            if (known->held && !known->answered) {
                tail_known_drop(tail, known); /* all of it was sent */
            } else {
                known->answered = false;
            }
        }
    }
    return tail->held > 0;
}

/* Whether one of that inode is held, as far as is known. */
static bool any_held(const struct tail_instance *tail, uint64_t ino)
{
    struct tail_table_node *node = tail->held ? tail_table_first(&tail->known, ino) : NULL;
    while (node && !TAIL_OF(node, struct tail_known, node)->held) {
        node = tail_table_next(node);
    }
    return node;
}

/* -- Found again ---------------------------------------------------------------------------------------- */

bool tail_known_is_sure(const struct tail_known *known, const struct tail_status *status)
{
    const struct tail_identity *was = &known->identity, *is = &status->identity;
    return known->parked && !known->packing.packed &&
           ((was->generation && is->generation) || (was->born && is->born));
}

/* 1: the file says what it said up to the position; 0: it does not; -errno. */
static int same_content(int fd, uint64_t size, const struct tail_known *known)
{
    uint64_t token;
    if (known->packing.packed) {
        return tail_packed_same(fd, size, &known->packing);
    }
    if (size < known->offset || size < known->fingerprint.length) {
        return 0;
    }
    int r = tail_fingerprint_check(fd, &known->fingerprint);
    if (r <= 0) {
        return r;
    }
    r = tail_token_read(fd, known->offset, &token);
    return r == -ENODATA ? 0 : r < 0 ? r : tail_token_is_of(known->token, token);
}

enum verdict {
    UNRELATED,
    SAME,
    MOUNTED, /* the same, and the device has got another number */
    CHANGED,
    GONE
};

/* What a known stream has to do with an open file of the same inode number; -errno. */
static int judge(const struct tail_known *known, int fd, const struct tail_status *status, const char *path)
{
    if (tail_identity_equal(&known->identity, &status->identity)) {
        int r = tail_known_is_sure(known, status) ? 1 : same_content(fd, status->size, known);
        return r < 0 ? r : r ? SAME : CHANGED;
    }
    if (known->identity.dev == status->identity.dev) {
        return GONE; /* the inode number is used again, so the file that had it is no more */
    }
    if (tail_identity_equal_but_device(&known->identity, &status->identity) &&
        known->fingerprint.length > 0 && tail_known_is_at(known, path)) {
        int r = same_content(fd, status->size, known);
        return r < 0 ? r : r ? MOUNTED : UNRELATED;
    }
    return UNRELATED;
}

int tail_known_take(struct tail_instance *tail, int fd, const struct tail_status *status, const char *path,
                    struct tail_known **ret_known, bool *ret_changed)
{
    struct tail_known *same = NULL;
    bool changed = false;
    if (any_held(tail, status->identity.ino)) {
        tail_known_ask_held(tail); /* the inode is used again: by now its file may be no more */
    }
    struct tail_table_node *node = tail_table_first(&tail->known, status->identity.ino);
    for (struct tail_table_node *next; node; node = next) {
        struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        next = tail_table_next(node);
        if (known->held) {
            continue;
        }
        int r = judge(known, fd, status, path);
        if (r < 0) {
            return r;
        }
        if (r == MOUNTED) {
            tail->dev_before = known->identity.dev;
            tail->dev_now = status->identity.dev;
            r = SAME;
        }
        if (r == SAME && same && same->offset >= known->offset) {
            tail_known_forget(tail, known); /* an older one of the same file, left by a kill */
        } else if (r == SAME) {
            if (same) {
                tail_known_forget(tail, same);
            }
            same = known;
        } else if (r == CHANGED) {
            changed = known->rewritten = true;
        } else if (r == GONE) {
            bury(tail, known);
        }
    }
    if (same) {
        tail->parked_count -= same->parked;
        tail_table_remove(&tail->known, &same->node);
    }
    *ret_known = same;
    *ret_changed = changed && !same;
    return 0;
}

void tail_known_put_back(struct tail_instance *tail, struct tail_known *known)
{
    tail_table_add(&tail->known, &known->node, known->identity.ino); /* never fails for one that was in it */
    tail->parked_count += known->parked;
    known->lost = true;
    tail_parked_end(known);
}

void tail_known_bury_rewritten(struct tail_instance *tail, uint64_t ino)
{
    struct tail_table_node *node = tail_table_first(&tail->known, ino);
    for (struct tail_table_node *next; node; node = next) {
        struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        next = tail_table_next(node);
        if (known->rewritten) {
            known->rewritten = false;
            bury(tail, known);
        }
    }
}

/* Through a link, say: then it is found there, however long it takes until it may be opened. */
static bool still_leads(const struct tail_known *known, const struct tail_status *status)
{
    char path[PATH_MAX];
    tail_known_path(known, path);
    return tail_path_leads_to(path, &status->identity);
}

bool tail_known_moved(struct tail_instance *tail, int fd, const struct tail_status *status, const char *path)
{
    struct tail_table_node *node = tail_table_first(&tail->known, status->identity.ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        /* where it always was, though no pattern matches there: the patterns were changed */
        bool moved = known->away || (!tail_known_is_at(known, path) && !still_leads(known, status));
        int r = moved ? judge(known, fd, status, path) : UNRELATED;
        /* it was truncated, too: an inode that surely is the same is enough to read what it says now */
        if (r == SAME || r == MOUNTED || (r == CHANGED && tail_identity_is_certain(&status->identity))) {
            return true;
        }
    }
    return false;
}

bool tail_known_finished(const struct tail_instance *tail, uint64_t dev, uint64_t ino)
{
    struct tail_table_node *node = tail_table_first(&tail->known, ino);
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (known->finished && known->identity.dev == dev) {
            return true;
        }
    }
    return false;
}

/* -- Files closed for want of news ---------------------------------------------------------------- */

/*
 * The clock that times of files are taken from may stand still for so long: some file systems keep whole
 * seconds, and one every other.
 */
static bool just_written(uint64_t changed)
{
    const uint64_t tick = changed % 1000000000 ? 20000000 : 2000000000;
    uint64_t ns = tail_now(CLOCK_REALTIME);
    return ns < changed + tick && changed < ns + tick;
}

void tail_known_park(struct tail_instance *tail, struct tail_file *file, const char *key)
{
    struct tail_table_node *node = tail_table_first(&tail->known, file->identity.ino);
    for (; node; node = tail_table_next(node)) {
        struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (strcmp(known->key, key) == 0) {
            known->size = file->size;
            known->changed = file->changed;
            known->parked = true;
            known->racy = just_written(file->changed);
            known->stream = file->stream;
            file->stream = NULL;
            tail_parked_watch(known, file);
            tail->parked_count++;
            return;
        }
    }
}

/* A watch tells of whatever may not be seen. */
static bool as_it_was(const struct tail_known *known, const struct stat *s)
{
    const bool seen = !known->racy || known->sub.watched;
    return known->parked && !known->lost && seen && known->identity.dev == s->st_dev &&
           known->identity.ino == s->st_ino && known->size == (uint64_t)s->st_size &&
           known->changed == tail_ns(s->st_mtim);
}

void tail_known_doubt(struct tail_instance *tail)
{
    for (size_t i = 0; i < tail_table_size(&tail->known); i++) {
        for (struct tail_table_node *n = tail_table_bucket(&tail->known, i); n; n = n->next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            known->lost |= known->racy;
        }
    }
}

bool tail_known_unchanged(const struct tail_instance *tail, const char *path, const struct stat *s)
{
    struct tail_table_node *node = tail->parked_count ? tail_table_first(&tail->known, s->st_ino) : NULL;
    for (; node; node = tail_table_next(node)) {
        const struct tail_known *known = TAIL_OF(node, struct tail_known, node);
        if (as_it_was(known, s) && tail_known_is_at(known, path)) {
            return true;
        }
    }
    return false;
}

/* What stands for all that is there now, where it is not as it was; 0: it is. */
static uint64_t difference(const struct tail_known *known, const char *path, bool *ret_lost)
{
    struct stat s;
    *ret_lost = stat(path, &s) < 0 || s.st_ino != known->identity.ino || s.st_dev != known->identity.dev;
    if (*ret_lost) {
        return 1; /* whatever is there instead: that is looked at for itself */
    }
    const uint64_t now[] = {(uint64_t)s.st_size, (uint64_t)s.st_mtim.tv_sec, (uint64_t)s.st_mtim.tv_nsec};
    *ret_lost = known->lost;
    return as_it_was(known, &s) ? 0 : tail_hash(now, sizeof(now)) | 2;
}

/* Also where that came to nothing: a file that is gone for good is not looked for all the time. */
static bool is_news(struct tail_known *known, const char *path, bool *ret_lost)
{
    const uint64_t told = known->told;
    known->told = difference(known, path, ret_lost);
    return known->told && known->told != told;
}

bool tail_known_poll(struct tail_instance *tail, size_t *bucket,
                     void (*fn)(struct tail_instance *, const char *, bool))
{
    char path[PATH_MAX];
    bool lost;
    if (!tail->parked_count || *bucket >= tail_table_size(&tail->known)) {
        return true;
    }
    for (struct tail_table_node *n = tail_table_bucket(&tail->known, *bucket); n; n = n->next) {
        struct tail_known *known = TAIL_OF(n, struct tail_known, node);
        if (!known->parked) {
            continue;
        }
        tail_known_path(known, path);
        if (is_news(known, path, &lost)) {
            fn(tail, path, lost);
            return false; /* the table may be another one now: the rest of these come next, and this is told
                           */
        }
    }
    ++*bucket;
    return false;
}
