/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir/event.h, with msgpack-c as the oracle: what one writes the other reads, and both write the same
 * bytes. Broken input is read from heap blocks of the exact size, so a sanitizer sees any byte too far.
 */
#include <check.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <weir/event.h>

/* The same generator in every run. */
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

static uint64_t draw_bits(void)
{
    uint64_t n = (uint64_t)draw(1u << 31) << 33 ^ (uint64_t)draw(1u << 31) << 8 ^ draw(256);
    return n >> draw(64);
}

/* Writes every value twice, through weir/event.h and through msgpack-c. */
struct twin {
    uint8_t *ours; /* where the next byte goes */
    uint8_t *start;
    msgpack_sbuffer theirs;
    msgpack_packer packer;
};

static void twin_init(struct twin *t, size_t room)
{
    t->start = t->ours = malloc(room);
    ck_assert_ptr_nonnull(t->start);
    msgpack_sbuffer_init(&t->theirs);
    msgpack_packer_init(&t->packer, &t->theirs, msgpack_sbuffer_write);
}

static size_t twin_size(const struct twin *t)
{
    return (size_t)(t->ours - t->start);
}

static void twin_check(const struct twin *t)
{
    ck_assert_uint_eq(twin_size(t), t->theirs.size);
    ck_assert_mem_eq(t->start, t->theirs.data, t->theirs.size);
}

static void twin_finish(struct twin *t)
{
    free(t->start);
    msgpack_sbuffer_destroy(&t->theirs);
}

static void put_time(struct twin *t, uint32_t sec, uint32_t nsec)
{
    uint8_t body[8];
    uint8_t *before = t->ours;

    weir_put_be32(weir_put_be32(body, sec), nsec);
    t->ours = weir_put_time(t->ours, sec, nsec);
    ck_assert_int_eq(t->ours - before, WEIR_MAX_TIME);
    msgpack_pack_ext(&t->packer, 8, 0);
    msgpack_pack_ext_body(&t->packer, body, 8);
}

static void put_str(struct twin *t, uint32_t size)
{
    uint8_t *data = malloc(size + 1);

    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + size);
    t->ours = weir_put_str(t->ours, data, size);
    msgpack_pack_str(&t->packer, size);
    msgpack_pack_str_body(&t->packer, data, size);
    free(data);
}

static void put_bin(struct twin *t, uint32_t size)
{
    uint8_t *data = calloc(1, size + 1);

    t->ours = weir_put_bin(t->ours, data, size);
    msgpack_pack_bin(&t->packer, size);
    msgpack_pack_bin_body(&t->packer, data, size);
    free(data);
}

static void put_int(struct twin *t, int64_t n)
{
    uint8_t *before = t->ours;

    t->ours = weir_put_int(t->ours, n);
    ck_assert_int_le(t->ours - before, WEIR_MAX_INT);
    msgpack_pack_int64(&t->packer, n);
}

static void put_uint(struct twin *t, uint64_t n)
{
    t->ours = weir_put_uint(t->ours, n);
    msgpack_pack_uint64(&t->packer, n);
}

static void put_double(struct twin *t, double n)
{
    t->ours = weir_put_double(t->ours, n);
    msgpack_pack_double(&t->packer, n);
}

static void put_array(struct twin *t, uint32_t count)
{
    t->ours = weir_put_array(t->ours, count);
    msgpack_pack_array(&t->packer, count);
}

static void put_map(struct twin *t, uint32_t count)
{
    t->ours = weir_put_map(t->ours, count);
    msgpack_pack_map(&t->packer, count);
}

static void put_bool(struct twin *t, bool b)
{
    t->ours = weir_put_bool(t->ours, b);
    if (b)
        msgpack_pack_true(&t->packer);
    else
        msgpack_pack_false(&t->packer);
}

static void put_nil(struct twin *t)
{
    t->ours = weir_put_nil(t->ours);
    msgpack_pack_nil(&t->packer);
}

static void put_random(struct twin *t, int depth)
{
    uint32_t count = draw(4);

    switch (draw(depth ? 9 : 7)) {
    case 0:
        put_nil(t);
        break;
    case 1:
        put_bool(t, count & 1);
        break;
    case 2:
        put_int(t, (int64_t)draw_bits() * (count & 1 ? 1 : -1));
        break;
    case 3:
        put_uint(t, draw_bits());
        break;
    case 4:
        put_double(t, (double)draw_bits() / 7);
        break;
    case 5:
        put_str(t, draw(count ? 40 : 300));
        break;
    case 6:
        put_bin(t, draw(300));
        break;
    case 7:
        put_array(t, count);
        while (count--)
            put_random(t, depth - 1);
        break;
    default:
        put_map(t, count);
        count *= 2;
        while (count--)
            put_random(t, depth - 1);
    }
}

/* -- Comparing what is read -- */

static void check_value(const struct weir_value *ours, const msgpack_object *theirs);

static void check_children(const struct weir_value *ours, const msgpack_object *theirs)
{
    struct weir_iter iter;
    struct weir_value item;
    uint32_t i = 0;

    weir_iter_value(&iter, ours);
    while (weir_iter_next(&iter, &item) > 0) {
        if (ours->type == WEIR_TYPE_ARRAY)
            check_value(&item, &theirs->via.array.ptr[i]);
        else
            check_value(&item, i & 1 ? &theirs->via.map.ptr[i / 2].val : &theirs->via.map.ptr[i / 2].key);
        i++;
    }
    ck_assert_uint_eq(i, weir_value_children(ours));
    ck_assert_ptr_eq(iter.next, iter.end);
}

static void check_value(const struct weir_value *ours, const msgpack_object *theirs)
{
    switch (theirs->type) {
    case MSGPACK_OBJECT_NIL:
        ck_assert_int_eq(ours->type, WEIR_TYPE_NIL);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        ck_assert_int_eq(ours->type, WEIR_TYPE_BOOL);
        ck_assert_int_eq(ours->as.boolean, theirs->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        ck_assert_int_eq(ours->type, WEIR_TYPE_UINT);
        ck_assert_uint_eq(ours->as.uint, theirs->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        ck_assert_int_eq(ours->type, WEIR_TYPE_INT);
        ck_assert_int_eq(ours->as.integer, theirs->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        ck_assert_int_eq(ours->type, WEIR_TYPE_DOUBLE);
        ck_assert(ours->as.number == theirs->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN:
        ck_assert_int_eq(ours->type, theirs->type == MSGPACK_OBJECT_STR ? WEIR_TYPE_STR : WEIR_TYPE_BIN);
        ck_assert_uint_eq(ours->size, theirs->via.str.size);
        ck_assert(!ours->size || memcmp(ours->data, theirs->via.str.ptr, ours->size) == 0);
        break;
    case MSGPACK_OBJECT_EXT:
        ck_assert_int_eq(ours->type, WEIR_TYPE_EXT);
        ck_assert_int_eq(ours->ext_type, theirs->via.ext.type);
        ck_assert_uint_eq(ours->size, theirs->via.ext.size);
        ck_assert(!ours->size || memcmp(ours->data, theirs->via.ext.ptr, ours->size) == 0);
        break;
    case MSGPACK_OBJECT_ARRAY:
        ck_assert_int_eq(ours->type, WEIR_TYPE_ARRAY);
        ck_assert_uint_eq(ours->count, theirs->via.array.size);
        check_children(ours, theirs);
        break;
    case MSGPACK_OBJECT_MAP:
        ck_assert_int_eq(ours->type, WEIR_TYPE_MAP);
        ck_assert_uint_eq(ours->count, theirs->via.map.size);
        check_children(ours, theirs);
        break;
    default:
        ck_abort_msg("msgpack-c made a type %d", theirs->type);
    }
}

/* Reads the one value in `bytes` with both and compares. */
static void check_bytes(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct weir_value ours;
    msgpack_unpacked theirs;
    size_t offset = 0;

    memcpy(copy, bytes, size);
    msgpack_unpacked_init(&theirs);
    ck_assert_int_eq(msgpack_unpack_next(&theirs, (const char *)copy, size, &offset), MSGPACK_UNPACK_SUCCESS);
    ck_assert_ptr_eq(weir_read_value(copy, copy + size, &ours), copy + offset);
    ck_assert_ptr_eq(ours.raw, copy);
    ck_assert_uint_eq(ours.raw_size, offset);
    check_value(&ours, &theirs.data);
    for (size_t cut = 0; cut < offset; cut++)
        ck_assert_ptr_null(weir_skip_value(copy, copy + cut));
    msgpack_unpacked_destroy(&theirs);
    free(copy);
}

/* -- Tests -- */

START_TEST(numbers_around_every_boundary)
{
    struct twin t;

    for (int bit = 0; bit < 64; bit++) {
        for (int near = -2; near <= 2; near++) {
            uint64_t n = (1ull << bit) + (uint64_t)near;
            twin_init(&t, 4 * WEIR_MAX_INT);
            put_uint(&t, n);
            put_int(&t, (int64_t)n);
            put_int(&t, (int64_t)-n);
            twin_check(&t);
            for (size_t at = 0; at < twin_size(&t);) {
                struct weir_value v;
                check_bytes(t.start + at, twin_size(&t) - at);
                at = (size_t)(weir_read_value(t.start + at, t.ours, &v) - t.start);
            }
            twin_finish(&t);
        }
    }
}
END_TEST

START_TEST(lengths_around_every_boundary)
{
    static const uint32_t sizes[] = {0,   1,   15,  16,    31,    32,    33,   254,
                                     255, 256, 257, 65534, 65535, 65536, 65537};
    struct twin t;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        void (*const kinds[])(struct twin *, uint32_t) = {put_str, put_bin, put_array, put_map};
        for (int kind = 0; kind < 4; kind++) {
            twin_init(&t, sizes[i] * 2 + 16);
            kinds[kind](&t, sizes[i]);
            for (uint32_t n = kind < 2 ? 0 : sizes[i] * (kind - 1); n; n--)
                put_nil(&t);
            twin_check(&t);
            if (sizes[i] < 300)
                check_bytes(t.start, twin_size(&t));
            else
                ck_assert_ptr_eq(weir_skip_value(t.start, t.ours), t.ours);
            twin_finish(&t);
        }
    }
}
END_TEST

/* Encodings that our writers never choose: long heads for short values, floats, every kind of ext. */
START_TEST(other_peoples_encodings)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
#define CASE(text) {text, sizeof(text) - 1}
        CASE("\xd9\x00"),
        CASE("\xda\x00\x01x"),
        CASE("\xdb\x00\x00\x00\x01x"),
        CASE("\xc5\x00\x01x"),
        CASE("\xc6\x00\x00\x00\x01x"),
        CASE("\xdc\x00\x01\x01"),
        CASE("\xdd\x00\x00\x00\x01\x01"),
        CASE("\xde\x00\x01\x01\x02"),
        CASE("\xdf\x00\x00\x00\x01\x01\x02"),
        CASE("\xcc\x01"),
        CASE("\xcd\x00\x01"),
        CASE("\xce\x00\x00\x00\x01"),
        CASE("\xcf\x00\x00\x00\x00\x00\x00\x00\x01"),
        CASE("\xd0\x01"),
        CASE("\xd1\x00\x01"),
        CASE("\xd2\x00\x00\x00\x01"),
        CASE("\xd3\x00\x00\x00\x00\x00\x00\x00\x01"),
        CASE("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
        CASE("\xd1\xff\xff"),
        CASE("\xca\x3f\xc0\x00\x00"),
        CASE("\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00"),
        CASE("\xd4\x05x"),
        CASE("\xd5\xffxy"),
        CASE("\xd6\x05xyzw"),
        CASE("\xd7\x05xyzwxyzw"),
        CASE("\xd8\x05xyzwxyzwxyzwxyzw"),
        CASE("\xc7\x00\x05"),
        CASE("\xc7\x03\x05xyz"),
        CASE("\xc8\x00\x03\x80xyz"),
        CASE("\xc9\x00\x00\x00\x03\x05xyz"),
    };
    struct weir_value v;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_bytes(cases[i].bytes, cases[i].size);
    ck_assert_ptr_null(weir_read_value((const uint8_t *)"\xc1", (const uint8_t *)"\xc1" + 1, &v));
}
END_TEST

START_TEST(random_trees)
{
    struct twin t;

    random_state = 1;
    for (int i = 0; i < 3000; i++) {
        twin_init(&t, 1 << 18);
        put_random(&t, 4);
        twin_check(&t);
        if (twin_size(&t) < 2000)
            check_bytes(t.start, twin_size(&t));
        twin_finish(&t);
    }
}
END_TEST

/* Nested as deep as there are bytes: must neither recurse nor take longer than the bytes. */
START_TEST(depth_without_limit)
{
    size_t size = 1 << 20;
    uint8_t *deep = malloc(size);

    memset(deep, 0x91, size);
    ck_assert_ptr_null(weir_skip_value(deep, deep + size));
    deep[size - 1] = 0xc0;
    ck_assert_ptr_eq(weir_skip_value(deep, deep + size), deep + size);
    /* Every map says that it holds 2^32 - 1 pairs. */
    for (size_t i = 0; i + 5 <= size; i += 5)
        memcpy(deep + i, "\xdf\xff\xff\xff\xff", 5);
    ck_assert_ptr_null(weir_skip_value(deep, deep + size));
    free(deep);
}
END_TEST

static void check_log(const struct weir_record *record, const char *key, uint32_t size)
{
    struct weir_value value;

    ck_assert(weir_record_find(record, key, strlen(key), &value));
    ck_assert_int_eq(value.type, WEIR_TYPE_STR);
    ck_assert_uint_eq(value.size, size);
    ck_assert(!weir_record_find(record, "other", 5, &value));
    ck_assert(!weir_record_find(record, key, strlen(key) - 1, &value));
}

/* One pair, of every length of key and value that has a head of its own, near the end of the data and not. */
START_TEST(plain_records)
{
    static const uint32_t sizes[] = {0, 1, 20, 31, 32, 37, 200, 255, 256, 65535, 65536};
    static const char name[] = "a_key_that_is_longer_than_31_bytes_in_all";
    char key[sizeof(name)];
    struct weir_cursor cursor;
    struct weir_record r;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (uint32_t length = 1; length < sizeof(name); length++) {
            size_t room = 3 * (WEIR_MAX_RECORD + 2 * WEIR_MAX_STR + sizes[i] + length);
            struct twin t;
            twin_init(&t, room);
            for (uint32_t n = 0; n < 3; n++) {
                put_array(&t, 2);
                put_time(&t, 1700000000 + n, 999999999 + n);
                put_map(&t, 1);
                msgpack_pack_str_with_body(&t.packer, name, length);
                t.ours = weir_put_str(t.ours, name, length);
                put_str(&t, sizes[i]);
            }
            twin_check(&t);
            uint8_t *exact = malloc(twin_size(&t));
            memcpy(exact, t.start, twin_size(&t));
            weir_cursor_init(&cursor, exact, twin_size(&t));
            memcpy(key, name, length);
            key[length] = '\0';
            for (uint32_t n = 0; n < 3; n++) {
                ck_assert_int_eq(weir_cursor_next(&cursor, &r), 1);
                ck_assert_int_eq(r.sec, 1700000000 + n);
                ck_assert_uint_eq(r.nsec, 999999999);
                ck_assert_uint_eq(r.count, 1);
                ck_assert_uint_eq(r.size, twin_size(&t) / 3);
                ck_assert_ptr_eq(r.data, exact + n * r.size);
                check_log(&r, key, sizes[i]);
            }
            ck_assert_int_eq(weir_cursor_next(&cursor, &r), 0);
            free(exact);
            twin_finish(&t);
        }
    }
}
END_TEST

START_TEST(put_record_is_the_layout)
{
    uint8_t buffer[WEIR_MAX_RECORD];
    static const uint8_t expected[] = {0x92, 0xd7, 0, 1, 2, 3, 4, 0, 0, 0, 5, 0x82};

    ck_assert_int_eq(weir_put_record(buffer, 0x01020304, 5, 2) - buffer, sizeof(expected));
    ck_assert_mem_eq(buffer, expected, sizeof(expected));
    ck_assert_int_eq(weir_put_record(buffer, 1, 5, UINT32_MAX) - buffer, WEIR_MAX_RECORD);
}
END_TEST

static int read_one(const char *bytes, size_t size, struct weir_record *ret)
{
    struct weir_cursor cursor;
    uint8_t *exact = malloc(size ? size : 1);
    int got;

    memcpy(exact, bytes, size);
    weir_cursor_init(&cursor, exact, size);
    got = weir_cursor_next(&cursor, ret);
    if (got > 0) {
        ck_assert_ptr_eq(cursor.next, exact + ret->size);
        for (size_t cut = 0; cut < ret->size; cut++) {
            struct weir_record none;
            weir_cursor_init(&cursor, exact, cut);
            ck_assert_int_eq(weir_cursor_next(&cursor, &none), cut ? -1 : 0);
        }
    }
    free(exact);
    return got;
}
#define READ_ONE(text, ret) read_one(text, sizeof(text) - 1, ret)

START_TEST(times_in_other_forms)
{
    struct weir_record r;

    ck_assert_int_eq(READ_ONE("\x92\x05\x81\xa1k\xa1v", &r), 1);
    ck_assert_int_eq(r.sec, 5);
    ck_assert_uint_eq(r.nsec, 0);
    ck_assert_int_eq(READ_ONE("\x92\xff\x80", &r), 1);
    ck_assert_int_eq(r.sec, -1);
    ck_assert_int_eq(READ_ONE("\x92\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x80", &r), 1);
    ck_assert_int_eq(r.sec, 1);
    ck_assert_uint_eq(r.nsec, 500000000);
    ck_assert_int_eq(READ_ONE("\x92\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00\x80", &r), 1);
    ck_assert_int_eq(r.sec, -2);
    ck_assert_uint_eq(r.nsec, 500000000);
    ck_assert_int_eq(READ_ONE("\x92\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x80", &r), 1);
    ck_assert_int_eq(r.sec, 0);
    ck_assert_int_eq(READ_ONE("\x92\xc7\x08\x00\x00\x00\x00\x01\x00\x00\x00\x02\x80", &r), 1);
    ck_assert_int_eq(r.sec, 1);
    ck_assert_uint_eq(r.nsec, 2);
    ck_assert_int_eq(READ_ONE("\xdc\x00\x02\x05\xde\x00\x01\xa1k\x91\x01", &r), 1);
    ck_assert_uint_eq(r.count, 1);
    /* With metadata. */
    ck_assert_int_eq(
        READ_ONE("\x92\x92\xd7\x00\x00\x00\x00\x07\x00\x00\x00\x08\x81\xa1m\x91\x01\x81\xa1k\xa1v", &r), 1);
    ck_assert_int_eq(r.sec, 7);
    ck_assert_uint_eq(r.nsec, 8);
    ck_assert_uint_eq(r.count, 1);
}
END_TEST

/* The field stands behind one whose key is an array and one whose value holds its name. */
START_TEST(finding_a_field)
{
    static const char bytes[] =
        "\x92\x05\x84\x91\xa3log\x01\xa1m\x81\xa3log\x02\xa3log\xcd\x01\x00\xa3log\x04";
    struct weir_record record;
    struct weir_cursor cursor;
    struct weir_value value;

    weir_cursor_init(&cursor, bytes, sizeof(bytes) - 1);
    ck_assert_int_eq(weir_cursor_next(&cursor, &record), 1);
    ck_assert(weir_record_find(&record, "log", 3, &value));
    ck_assert_int_eq(value.type, WEIR_TYPE_UINT);
    ck_assert_uint_eq(value.as.uint, 256);
    ck_assert(!weir_record_find(&record, "lo", 2, &value));
    ck_assert(weir_record_find(&record, "m", 1, &value));
    ck_assert_int_eq(value.type, WEIR_TYPE_MAP);
    ck_assert_uint_eq(value.raw_size, 6);
}
END_TEST

START_TEST(what_is_no_record)
{
    struct weir_record r;

    ck_assert_int_eq(READ_ONE("", &r), 0);
    ck_assert_int_eq(READ_ONE("\x91\x05", &r), -1);
    ck_assert_int_eq(READ_ONE("\x93\x05\x80\x80", &r), -1);
    ck_assert_int_eq(READ_ONE("\x92\x05\x90", &r), -1);
    ck_assert_int_eq(READ_ONE("\x92\xa1x\x80", &r), -1);
    ck_assert_int_eq(READ_ONE("\x92\xd7\x01\0\0\0\0\0\0\0\0\x80", &r), -1);
    ck_assert_int_eq(READ_ONE("\x92\xd4\x00\x01\x80", &r), -1);
    ck_assert_int_eq(READ_ONE("\x92\x92\x92\x05\x80\x80\x80", &r), -1);
    ck_assert_int_eq(READ_ONE("\x92\x93\x05\x80\x80\x80", &r), -1);
    ck_assert_int_eq(READ_ONE("plain text", &r), -1);
}
END_TEST

/* Walks everything that is to be walked; returns how many values there were. */
static size_t walk_all(const uint8_t *data, size_t size)
{
    struct weir_cursor cursor;
    struct weir_record record;
    size_t seen = 0;

    weir_cursor_init(&cursor, data, size);
    while (weir_cursor_next(&cursor, &record) > 0) {
        struct weir_iter fields;
        struct weir_value key, value;
        uint32_t count = 0;
        weir_iter_record(&fields, &record);
        while (weir_iter_field(&fields, &key, &value) > 0)
            count++;
        ck_assert_uint_eq(count, record.count);
        ck_assert_ptr_eq(fields.next, fields.end);
        weir_record_find(&record, "log", 3, &value);
        seen += count;
    }
    return seen;
}

/* Good records with random bytes changed, cut anywhere: read or refused, never beyond the block. */
START_TEST(broken_bytes)
{
    size_t seen = 0;

    random_state = 2;
    for (int i = 0; i < 20000; i++) {
        struct twin t;
        twin_init(&t, 1 << 18);
        for (uint32_t n = 1 + draw(3); n; n--) {
            t.ours = weir_put_record(t.ours, (uint32_t)draw_bits(), draw(1000000000), 1);
            t.ours = weir_put_str(t.ours, "log", 3);
            put_random(&t, 2);
        }
        size_t size = draw((uint32_t)twin_size(&t) + 1);
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, t.start, size);
        for (uint32_t n = draw(4); n && size; n--)
            exact[draw((uint32_t)size)] = (uint8_t)draw(256);
        seen += walk_all(exact, size);
        free(exact);
        twin_finish(&t);
    }
    ck_assert_uint_gt(seen, 1000);
}
END_TEST

START_TEST(noise)
{
    random_state = 3;
    for (int i = 0; i < 50000; i++) {
        size_t size = draw(80);
        uint8_t *exact = malloc(size ? size : 1);
        for (size_t n = 0; n < size; n++)
            exact[n] = (uint8_t)draw(256);
        if (size > 3 && draw(2))
            memcpy(exact, "\x92\x05\x83", 3);
        if (size > 14 && draw(2))
            memcpy(exact, "\x92\xd7\x00\0\0\0\0\0\0\0\0\x81\xa3", 13);
        walk_all(exact, size);
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tc = tcase_create("event");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, numbers_around_every_boundary);
    tcase_add_test(tc, lengths_around_every_boundary);
    tcase_add_test(tc, other_peoples_encodings);
    tcase_add_test(tc, random_trees);
    tcase_add_test(tc, depth_without_limit);
    tcase_add_test(tc, plain_records);
    tcase_add_test(tc, put_record_is_the_layout);
    tcase_add_test(tc, times_in_other_forms);
    tcase_add_test(tc, finding_a_field);
    tcase_add_test(tc, what_is_no_record);
    tcase_add_test(tc, broken_bytes);
    tcase_add_test(tc, noise);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
