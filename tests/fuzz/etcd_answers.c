/* SPDX-License-Identifier: Apache-2.0 */
/* What an etcd, or something that pretends to be one, answers: whole bodies, and a stream in pieces. */
#include "fuzz.h"

#include <errno.h>
#include "base64.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    size_t step = 1 + fuzz_byte(&in) % 16;
    /* as http.c gives it: with a NUL behind it */
    char *body = malloc(in.size + 1);
    FUZZ_CHECK(body);
    memcpy(body, in.size ? in.data : (const uint8_t *)"", in.size);
    body[in.size] = 0;
    take_read(body, in.size);
    take_watch(body, in.size);
    take_others(body, in.size);
    free(body);
    stream(in.data, in.size, step);
    encode(in.data, in.size);
    return 0;
}
