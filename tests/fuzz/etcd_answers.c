/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an etcd, or something that pretends to be one, answers: whole bodies, and a stream in pieces. And what
 * is asked of it, with any bytes for keys and values.
 */
#include "fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include "base64.h"
#include "document.h"
#include "frames.h"
#include "gateway.h"

static void check_result(int r, const char *why)
{
    FUZZ_CHECK(r == 0 || r == -ENOMEM || (r == -EBADMSG && why && *why));
}

static void take_watch(const char *text, size_t size)
{
    struct etcd_watch_message message;
    const char *why = NULL;
    int r = etcd_take_watch(text, size, &message, &why);
    check_result(r, why);
    if (r == 0) {
        FUZZ_CHECK(memchr(message.reason, 0, sizeof message.reason));
    }
}

static void take_read(const char *text, size_t size)
{
    struct etcd_snapshot snapshot;
    const char *why = NULL;
    int r = etcd_take_read(text, size, &snapshot, &why);
    check_result(r, why);
    for (size_t i = 0; r == 0 && i < snapshot.count; i++) {
        FUZZ_CHECK(snapshot.kvs[i].key && snapshot.kvs[i].value[snapshot.kvs[i].size] == 0);
    }
    if (r == 0) {
        etcd_snapshot_clear(&snapshot);
    }
}

static void take_others(const char *text, size_t size)
{
    char *token = NULL, error[64];
    const char *why = NULL;
    int64_t lease, ttl;
    int r = etcd_take_token(text, size, &token, &why);
    check_result(r, why);
    free(token);
    check_result(etcd_take_lease(text, size, &lease, &ttl, &why), why);
    etcd_take_error(text, size, error, sizeof error);
    FUZZ_CHECK(memchr(error, 0, sizeof error));
    etcd_is_old(text, size);
}

static int on_frame(void *data, const char *text, size_t size)
{
    size_t *sum = data;
    *sum += size;
    FUZZ_CHECK(size >= 2 && text[0] == '{' && text[size - 1] == '}');
    take_watch(text, size);
    return 0;
}

/* Whether it comes in pieces or at once makes no difference. */
static void stream(const uint8_t *data, size_t size, size_t step)
{
    struct etcd_frames whole = {.max = 4096}, pieces = {.max = 4096};
    size_t sum_whole = 0, sum_pieces = 0;
    int r = etcd_frames_feed(&whole, (const char *)data, size, on_frame, &sum_whole), s = 0;
    for (size_t at = 0; at < size && s == 0; at += step) {
        size_t n = size - at < step ? size - at : step;
        uint8_t *copy = fuzz_copy(data + at, n);
        s = etcd_frames_feed(&pieces, (const char *)copy, n, on_frame, &sum_pieces);
        free(copy);
    }
    FUZZ_CHECK(r == s && sum_whole == sum_pieces);
    etcd_frames_clear(&whole);
    etcd_frames_clear(&pieces);
}

/* -- What is asked ------------------------------------------------------------------------------------- */

/* What is sent comes back as it was. */
static void encode(const uint8_t *data, size_t size)
{
    char *back = NULL, *text = etcd_base64_encode(data, size);
    size_t back_size = 0;
    FUZZ_CHECK(text && etcd_base64_decode(text, strlen(text), &back, &back_size) == 0);
    FUZZ_CHECK(back_size == size && (size == 0 || !memcmp(back, data, size)));
    free(text);
    free(back);
}

/* A member of a message that is bytes, decoded; to be freed. */
static char *bytes_of(const json_t *object, const char *name, size_t *ret_size)
{
    const char *text = json_string_value(json_object_get(object, name));
    char *bytes = NULL;
    FUZZ_CHECK(text && etcd_base64_decode(text, strlen(text), &bytes, ret_size) == 0);
    return bytes;
}

/* A key with all that begin with it: the range ends behind them, and they are in it. */
static void check_target(const json_t *json, const struct etcd_target *target)
{
    size_t size, end_size;
    char *key = bytes_of(json, "key", &size);
    FUZZ_CHECK(size == strlen(target->key) && !memcmp(key, target->key, size));
    FUZZ_CHECK(target->prefix == (json_object_get(json, "range_end") != NULL));
    if (target->prefix) {
        char *end = bytes_of(json, "range_end", &end_size);
        size_t common = end_size < size ? end_size : size;
        FUZZ_CHECK((end_size == 1 && !*end) || memcmp(end, key, common) > 0);
        free(end);
    }
    free(key);
}

static json_t *parse(char *body)
{
    json_t *root = body ? json_loads(body, 0, NULL) : NULL;
    FUZZ_CHECK(json_is_object(root));
    free(body);
    return root;
}

static void ask_for(char *key, bool prefix)
{
    const struct etcd_target targets[] = {{key, prefix}, {key, false}};
    json_t *root = parse(etcd_body_read(targets, 2, prefix));
    const json_t *operations = json_object_get(root, "success");
    FUZZ_CHECK(json_array_size(operations) == 2);
    for (size_t i = 0; i < 2; i++) {
        check_target(json_object_get(json_array_get(operations, i), "request_range"), &targets[i]);
    }
    json_decref(root);
    root = parse(etcd_body_watch(targets, 1, INT64_MAX));
    const json_t *create = json_object_get(root, "create_request");
    check_target(create, &targets[0]);
    FUZZ_CHECK(!strcmp(json_string_value(json_object_get(create, "start_revision")), "9223372036854775807"));
    json_decref(root);
}

static void ask(const uint8_t *data, size_t size)
{
    char *key = fuzz_text(data, size);
    size_t value_size;
    encode(data, size);
    ask_for(key, size & 1);
    json_t *root = parse(etcd_body_put(key, (const char *)data, size, 7));
    char *value = bytes_of(root, "value", &value_size);
    FUZZ_CHECK(value_size == size && (size == 0 || !memcmp(value, data, size)));
    free(value);
    json_decref(root);
    json_decref(parse(etcd_body_grant(size)));
    json_decref(parse(etcd_body_keepalive(-(int64_t)size)));
    char *body = etcd_body_authenticate("weir", key); /* a password that is no UTF-8 can't be sent */
    if (body) {
        root = parse(body);
        FUZZ_CHECK(!strcmp(json_string_value(json_object_get(root, "password")), key));
        json_decref(root);
    }
    free(key);
}

/* -- Long strings -------------------------------------------------------------------------------------- */

enum { LONG_TEXT = 4200 }; /* which document.c takes out; whole groups of base64 */

/* Each '~' becomes a long text. NULL: it would be too much. */
static char *stretch(const char *body, size_t size, size_t *ret_size)
{
    size_t room = size + 1;
    for (size_t i = 0; i < size; i++) {
        room += body[i] == '~' ? LONG_TEXT - 1 : 0;
    }
    char *text = room < 20 * LONG_TEXT ? malloc(room) : NULL, *to = text;
    for (size_t i = 0; text && i < size; i++) {
        size_t n = body[i] == '~' ? LONG_TEXT : 1;
        memset(to, body[i] == '~' ? 'A' : body[i], n);
        to += n;
    }
    if (text) {
        *to = 0;
        *ret_size = (size_t)(to - text);
    }
    return text;
}

/* Wherever a string was left, it is the one that a parser of the whole makes of it. */
static void compare(const struct etcd_document *d, const json_t *ours, const json_t *whole)
{
    const char *key;
    struct etcd_text text;
    json_t *inner;
    size_t i;
    if (json_is_string(whole)) {
        FUZZ_CHECK(*json_string_value(whole) == 1 ||
                   (etcd_document_string(d, ours, &text) == 0 && text.size == json_string_length(whole) &&
                    !memcmp(text.text, json_string_value(whole), text.size)));
        return;
    }
    FUZZ_CHECK(json_typeof(ours) == json_typeof(whole) && etcd_document_string(d, ours, &text) == -EBADMSG);
    json_array_foreach(whole, i, inner)
    {
        compare(d, json_array_get(ours, i), inner);
    }
    json_object_foreach((json_t *)whole, key, inner)
    {
        if (strlen(key) < LONG_TEXT && *key != 1) {
            FUZZ_CHECK(json_object_get(ours, key));
            compare(d, json_object_get(ours, key), inner);
        }
    }
}

static void read_document(const char *body, size_t size)
{
    struct etcd_document d;
    json_t *whole = json_loadb(body, size, 0, NULL);
    int r = etcd_document_read(&d, body, size);
    FUZZ_CHECK(r == 0 || r == -EBADMSG);
    if (json_is_object(whole)) {
        FUZZ_CHECK(r == 0);
        compare(&d, d.root, whole);
    }
    etcd_document_finish(&d);
    json_decref(whole);
}

static void take_all(const char *body, size_t size)
{
    take_read(body, size);
    take_watch(body, size);
    take_others(body, size);
    read_document(body, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    size_t step = 1 + fuzz_byte(&in) % 16, long_size;
    /* as http.c gives it: with a NUL behind it */
    char *body = malloc(in.size + 1);
    FUZZ_CHECK(body);
    memcpy(body, in.size ? in.data : (const uint8_t *)"", in.size);
    body[in.size] = 0;
    take_all(body, in.size);
    char *stretched = memchr(body, '~', in.size) ? stretch(body, in.size, &long_size) : NULL;
    if (stretched) {
        take_all(stretched, long_size);
    }
    free(stretched);
    free(body);
    stream(in.data, in.size, step);
    ask(in.data, in.size);
    return 0;
}
