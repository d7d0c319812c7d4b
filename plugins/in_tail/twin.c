/* SPDX-License-Identifier: Apache-2.0 */
/* The search for what a compressed file was made from. No state. Loop thread. */
#include "twin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "allow.h"
#include "known.h"

enum { TWINS_MAX = 64 };

/* The hashes of the first bytes, each made once. */
struct heads {
    const uint8_t *bytes;
    size_t size;
    uint64_t hashes[TAIL_FINGERPRINT_MAX + 1];
    bool made[TAIL_FINGERPRINT_MAX + 1];
};

static bool begins_with(struct heads *heads, const struct tail_fingerprint *f)
{
    if (f->length == 0 || f->length > heads->size || f->length > TAIL_FINGERPRINT_MAX) {
        return false;
    }
    if (!heads->made[f->length]) {
        heads->hashes[f->length] = tail_hash(heads->bytes, f->length);
        heads->made[f->length] = true;
    }
    return heads->hashes[f->length] == f->hash;
}

/* -- Names ------------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool tail_twin_names(const char *packed, const char *plain)
{
    const char *a = base_name(packed), *b = base_name(plain);
    size_t size = strlen(b);
    while (size > 0 && strchr("0123456789.-_", b[size - 1])) {
        size--; /* its number or date */
    }
    return size > 0 && strncmp(a, b, size) == 0;
}

/* -- Finding ---------------------------------------------------------------------------------------- */

static int add(struct tail_twins *twins, const char *key, uint64_t offset, uint64_t token, bool there)
{
    if (twins->count == TWINS_MAX) {
        return 0;
    }
    if (!twins->items && !(twins->items = calloc(TWINS_MAX, sizeof(*twins->items)))) {
        return -ENOMEM;
    }
    char *copy = strdup(key);
    if (!copy) {
        return -ENOMEM;
    }
    twins->items[twins->count++] = (struct tail_twin){copy, offset, token, there, false};
    return 0;
}

/* What was not read yet has no fingerprint, and may have grown since it was last looked at. */
static bool file_begins_with(const struct tail_file *file, struct heads *heads)
{
    struct tail_fingerprint now;
    if (file->fingerprint.length > 0) {
        return begins_with(heads, &file->fingerprint);
    }
    return tail_fingerprint_read(file->fd, heads->size, &now) == 0 && begins_with(heads, &now);
}

/* It was truncated or rewritten, and nobody saw that yet: what its stream stands for is no longer there. */
static bool says_something_else(int fd, uint64_t offset, const struct tail_fingerprint *fingerprint)
{
    struct stat s;
    return (fstat(fd, &s) == 0 && (uint64_t)s.st_size < offset) ||
           tail_fingerprint_check(fd, fingerprint) == 0;
}

static bool open_has_changed(const struct tail_file *file)
{
    return says_something_else(file->fd, file->offset, &file->fingerprint);
}

static int find_open(const struct tail_file *packed, struct heads *heads, struct tail_twins *twins)
{
    const struct tail_instance *tail = packed->tail;
    int r = 0;
    for (struct tail_link *l = tail->files.next; r == 0 && l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        struct weir_stream_state state = {.struct_size = sizeof(state)};
        if (file == packed || file->packed || !file_begins_with(file, heads)) {
            continue;
        }
        bool there = !open_has_changed(file);
        if (!there) {
            tail_file_wake(file); /* it has its turn, and another stream, before this one is decided upon */
        }
        tail->host->stream_state(file->stream, &state);
        r = add(twins, state.key, file->offset, file->token, there);
    }
    return r;
}

/* Whether so little of the file is known that its name must speak for it, too. */
static bool is_little(const struct tail_known *known)
{
    return known->offset < TAIL_FINGERPRINT_MAX;
}

/*
 * Its file, open for reading: that very one, though another may take its name at any moment. -ENOENT where it
 * is not at its path any more, or not one that may be read; another -errno.
 */
static int open_known(struct tail_instance *tail, const struct tail_known *known)
{
    struct tail_status status;
    char path[PATH_MAX];
    if (known->gone) {
        return -ENOENT;
    }
    tail_known_path(known, path);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        return tail_known_is_there(known) ? -error : -ENOENT;
    }
    if (tail_status_read(fd, &status) < 0 || !tail_identity_equal(&known->identity, &status.identity) ||
        !tail_allowed(tail, fd, status.system, path)) {
        close(fd);
        return -ENOENT;
    }
    return fd;
}

/* The file is at its path, and says what it said as far as that can be seen. */
static bool closed_is_there(struct tail_instance *tail, const struct tail_known *known)
{
    int fd = open_known(tail, known);
    if (fd < 0) {
        return fd != -ENOENT;
    }
    bool same = !says_something_else(fd, known->offset, &known->fingerprint);
    close(fd);
    return same;
}

static int find_known(const struct tail_file *packed, const struct tail_table *table, struct heads *heads,
                      struct tail_twins *twins)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < tail_table_size(table); i++) {
        for (struct tail_table_node *n = tail_table_bucket(table, i); r == 0 && n; n = n->next) {
            struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            if (known->packing.packed || !begins_with(heads, &known->fingerprint)) {
                continue;
            }
            bool there = closed_is_there(packed->tail, known);
            if (there || !is_little(known) || tail_twin_names(packed->path, known->name)) {
                r = add(twins, known->key, known->offset, known->token, there);
            }
        }
    }
    return r;
}

/* It may become what that file says, by its name and what it holds so far. */
static bool may_become(const struct tail_file *packed, const struct tail_fingerprint *head, const char *path,
                       const struct tail_fingerprint *fingerprint)
{
    return fingerprint->length > head->length && tail_twin_names(packed->path, path);
}

static bool known_goes_on(const struct tail_file *packed, const struct tail_fingerprint *head)
{
    const struct tail_table *table = &packed->tail->known;
    for (size_t i = 0; i < tail_table_size(table); i++) {
        for (struct tail_table_node *n = tail_table_bucket(table, i); n; n = n->next) {
            const struct tail_known *known = TAIL_OF(n, struct tail_known, node);
            if (known->packing.packed || !may_become(packed, head, known->name, &known->fingerprint)) {
                continue;
            }
            int fd = open_known(packed->tail, known);
            bool same = fd >= 0 && tail_fingerprint_check(fd, head) == 1;
            if (fd >= 0) {
                close(fd);
            }
            if (same) {
                return true;
            }
        }
    }
    return false;
}

bool tail_twin_goes_on(const struct tail_file *packed, const uint8_t *bytes, size_t size)
{
    const struct tail_instance *tail = packed->tail;
    struct tail_fingerprint head = {.hash = tail_hash(bytes, size), .length = (uint32_t)size};
    for (struct tail_link *l = tail->files.next; l != &tail->files; l = l->next) {
        const struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        bool named = may_become(packed, &head, file->path, &file->fingerprint) ||
                     (file->before && may_become(packed, &head, file->before, &file->fingerprint));
        if (named && !file->packed && tail_fingerprint_check(file->fd, &head) == 1) {
            return true;
        }
    }
    return known_goes_on(packed, &head);
}

static int compare_twins(const void *a, const void *b)
{
    const struct tail_twin *x = a, *y = b;
    if (x->there != y->there) {
        return x->there ? 1 : -1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int tail_twins_find(const struct tail_file *packed, const uint8_t *head, size_t size, struct tail_twins *ret)
{
    struct heads heads = {.bytes = head, .size = size};
    struct tail_twins twins = {0};
    int r = find_open(packed, &heads, &twins);
    r = r < 0 ? r : find_known(packed, &packed->tail->known, &heads, &twins);
    r = r < 0 ? r : find_known(packed, &packed->tail->buried, &heads, &twins);
    if (r < 0) {
        tail_twins_clear(&twins);
        return r;
    }
    if (twins.count) {
        qsort(twins.items, twins.count, sizeof(*twins.items), compare_twins);
    }
    *ret = twins;
    return 0;
}

void tail_twins_clear(struct tail_twins *twins)
{
    for (size_t i = 0; i < twins->count; i++) {
        free(twins->items[i].key);
    }
    free(twins->items);
    *twins = (struct tail_twins){0};
}

/* -- Comparing -------------------------------------------------------------------------------------- */

struct tail_file *tail_twin_open(const struct tail_instance *tail, const char *key)
{
    for (struct tail_link *l = tail->files.next; l != &tail->files; l = l->next) {
        struct tail_file *file = TAIL_OF(l, struct tail_file, member);
        struct weir_stream_state state = {.struct_size = sizeof(state)};
        tail->host->stream_state(file->stream, &state);
        if (strcmp(state.key, key) == 0) {
            return file;
        }
    }
    return NULL;
}

static int compare_at(int fd, uint64_t end, uint64_t token)
{
    uint64_t its;
    int r = tail_token_read(fd, end, &its);
    return r == -ENODATA ? 0 : r < 0 ? r : its == token;
}

/* -ESTALE: it is not there any more, or says something else. */
static int compare_closed(struct tail_instance *tail, const struct tail_known *known, uint64_t end,
                          uint64_t token)
{
    int fd = open_known(tail, known);
    if (fd < 0) {
        return fd == -ENOENT ? -ESTALE : fd;
    }
    int r = compare_at(fd, end, token);
    if (r == 0 && says_something_else(fd, known->offset, &known->fingerprint)) {
        r = -ESTALE;
    }
    close(fd);
    return r;
}

int tail_twin_compare(const struct tail_file *packed, const struct tail_twin *twin, uint64_t end,
                      uint64_t token)
{
    const struct tail_file *open_file = tail_twin_open(packed->tail, twin->key);
    if (open_file) {
        int r = compare_at(open_file->fd, end, token);
        return r == 0 && open_has_changed(open_file) ? -ESTALE : r;
    }
    const struct tail_known *known = tail_known_find(packed->tail, twin->key);
    return known ? compare_closed(packed->tail, known, end, token) : -ESTALE;
}
