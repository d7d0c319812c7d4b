/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as records: the cursor, the walk through what is in them, and their JSON, which jansson must
 * read. */
#include "fuzz.h"

#include <jansson.h>
#include <weir/json.h>

/* All of a value, as a plugin would walk it. */
static void walk(const struct weir_value *value, unsigned depth)
{
    struct weir_iter iter;
    struct weir_value inner;
    int got = 0;
    weir_iter_value(&iter, value);
    while (depth < 100 && (got = weir_iter_next(&iter, &inner)) > 0) {
        walk(&inner, depth + 1);
    }
    FUZZ_CHECK(got == 0);
}

static void walk_record(const struct weir_record *record)
{
    struct weir_iter iter;
    struct weir_value key, value;
    int got;
    weir_iter_record(&iter, record);
    while ((got = weir_iter_field(&iter, &key, &value)) > 0) {
        walk(&key, 0);
        walk(&value, 0);
    }
    FUZZ_CHECK(got == 0 && iter.next == iter.end);
    weir_record_find(record, "log", 3, &value);
}

/* jansson refuses what is no UTF-8, numbers out of range and a NUL in a key, so those flags are set. */
static void check_json(const struct weir_json *json, bool nul_key)
{
    json_error_t error;
    json_t *root = json_loadb(json->data, json->size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    FUZZ_CHECK(root || nul_key);
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    enum weir_json_date date = (enum weir_json_date)(fuzz_byte(&in) % (WEIR_JSON_DATE_NONE + 1));
    struct weir_json_style style;
    struct weir_json json = {0};
    struct weir_cursor cursor;
    struct weir_record record;
    FUZZ_CHECK(weir_json_style_init(&style, "date", date) == 0);
    weir_cursor_init(&cursor, in.data, in.size);
    while (weir_cursor_next(&cursor, &record) > 0) {
        FUZZ_CHECK(record.data >= in.data && record.data + record.size == cursor.next);
        walk_record(&record);
        json.size = 0;
        if (weir_json_record(&json, &style, &record) == 0) {
            check_json(&json, json.size >= 6 && memmem(json.data, json.size, "\\u0000", 6));
        }
    }
    weir_json_style_finish(&style);
    weir_json_finish(&json);
    return 0;
}
