/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffer that libjansson gathers each token in grows in front of the text: it is given [PROBE, TEXT], in
 * which the probe is a number at least as long as the longest token of the text. It is 1, unless one of its
 * bytes was lost; then nothing of the text counts. Losing bytes of a number is harmless, of a string not.
 * Owns nothing.
 */
#include "json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALWAYS_ROOM = 14, LEAST_GROWN = 128, BEHIND_ZEROS = 40, PARTS = 3 };

/* What libjansson is given, part by part. */
struct feed {
    struct {
        const char *bytes;
        size_t size;
    } parts[PARTS];
    size_t part;
};

static size_t give(void *buffer, size_t size, void *data)
{
    struct feed *f = data;

    while (f->part < PARTS && !f->parts[f->part].size)
        f->part++;
    if (f->part == PARTS)
        return 0;
    size = size < f->parts[f->part].size ? size : f->parts[f->part].size;
    memcpy(buffer, f->parts[f->part].bytes, size);
    f->parts[f->part].bytes += size;
    f->parts[f->part].size -= size;
    return size;
}

const char *etcd_json_string_end(const char *at, const char *end, bool *ret_escapes)
{
    const char *quote = at;

    *ret_escapes = false;
    while ((quote = memchr(quote, '"', (size_t)(end - quote)))) {
        size_t slashes = 0;
        while (quote - slashes > at && quote[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0) {
            *ret_escapes = memchr(at, '\\', (size_t)(quote - at)) != NULL;
            return quote;
        }
        quote++;
    }
    return NULL;
}

/* Of the strings with their quotes, and of what lies between them. */
static size_t longest_token(const char *text, size_t size)
{
    const char *from = text, *end = text + size, *quote;
    size_t longest = 0;
    bool inside = false, escapes;

    while ((quote = inside ? etcd_json_string_end(from, end, &escapes)
                           : memchr(from, '"', (size_t)(end - from)))) {
        size_t length = (size_t)(quote - from) + 2;
        longest = length > longest ? length : longest;
        from = quote + 1;
        inside = !inside;
    }
    size_t rest = (size_t)(end - from) + 2;
    return rest > longest ? rest : longest;
}

/* What the buffer has room for when it has grown, by doubling from 16, beyond that length. 0: too much. */
static size_t grown_beyond(size_t length)
{
    size_t room = LEAST_GROWN;

    while (room && room <= length + 1)
        room *= 2;
    return room;
}

/*
 * "[0.0001e4,": 1, with as many zeros as make the buffer grow to that, and the last growth far from what
 * stands behind them, without which it would be no number. NULL: no memory, or none that the buffer could
 * have.
 */
static char *make_probe(size_t room, size_t *ret_size)
{
    size_t zeros = room - BEHIND_ZEROS;
    char *probe = room ? malloc(4 * room) : NULL; /* as much as it grows to, with what it grows from */

    if (!probe)
        return NULL;
    char *at = mempcpy(probe, "[0.", 3);
    memset(at, '0', zeros);
    at += zeros;
    at += snprintf(at, BEHIND_ZEROS, "1e%zu,\n", zeros + 1);
    *ret_size = (size_t)(at - probe);
    char *smaller = realloc(probe, *ret_size);
    if (smaller)
        probe = smaller;
    return probe;
}

static json_t *fail(json_error_t *error, enum json_error_code code, const char *text)
{
    *error = (json_error_t){.line = 1};
    snprintf(error->text, sizeof(error->text) - 1, "%s", text);
    error->text[sizeof(error->text) - 1] = (char)code;
    return NULL;
}

/* The value behind the probe. */
static json_t *take_value(json_t *root, json_error_t *error)
{
    json_t *value = json_array_get(root, 1);

    if (json_real_value(json_array_get(root, 0)) != 1.0)
        return fail(error, json_error_out_of_memory, "no memory");
    if (json_array_size(root) != 2)
        return fail(error, json_error_end_of_input_expected, "more than one value");
    return json_incref(value);
}

static json_t *read_behind(const char *probe, size_t probe_size, const char *text, size_t size, size_t flags,
                           json_error_t *error)
{
    struct feed feed = {.parts = {{probe, probe_size}, {text, size}, {"]", 1}}};
    json_t *root = json_load_callback(give, &feed, flags, error);
    json_t *value = root ? take_value(root, error) : NULL;

    json_decref(root);
    if (root || error->line < 1)
        return value;
    error->line--; /* the probe's */
    if ((size_t)error->position > probe_size + size)
        fail(error, json_error_premature_end_of_input, "it ends before the value does");
    return NULL;
}

json_t *etcd_json_read(const char *text, size_t size, size_t flags, json_error_t *error)
{
    size_t longest = longest_token(text, size), probe_size;

    if (longest <= ALWAYS_ROOM)
        return json_loadb(text, size, flags | JSON_DECODE_ANY, error);
    char *probe = make_probe(grown_beyond(longest), &probe_size);
    if (!probe)
        return fail(error, json_error_out_of_memory, "no memory");
    json_t *value = read_behind(probe, probe_size, text, size, flags, error);
    /* What has no memory may also look like a mistake in the text: one that is there is found again. */
    if (!value && json_error_code(error) != json_error_out_of_memory)
        value = read_behind(probe, probe_size, text, size, flags, error);
    free(probe);
    return value;
}
