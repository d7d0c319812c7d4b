/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic of positions with any messages in it: they are taken or refused, and every position that is told
 * is the same once it is written and read again. The input is messages one after the other, each a byte for
 * the size of its key (from 0x80 on: behind the id and a tab), one for that of its value (0xff: none), and
 * both.
 */
#include "fuzz.h"

#include <errno.h>
#include "kept.h"

static const char id[] = "id";

static int compare(void *data, const struct weir_kept *kept)
{
    const struct weir_kept *first = data;
    FUZZ_CHECK(!strcmp(kept->input, first->input) && !strcmp(kept->key, first->key));
    FUZZ_CHECK(kept->offset == first->offset && kept->token == first->token && !kept->forgotten);
    FUZZ_CHECK(kept->meta_size == first->meta_size);
    FUZZ_CHECK(!kept->meta_size || !memcmp(kept->meta, first->meta, kept->meta_size));
    return 0;
}

static int see(void *data, const struct weir_kept *kept)
{
    struct weir_json key = {0}, value = {0};
    struct kept_table again;
    (void)data;
    kept_init(&again, id);
    FUZZ_CHECK(kept_write_key(&key, id, kept) == 0 && kept_write_value(&value, kept) == 0);
    struct kept_message message = {key.data, value.data, key.size, value.size};
    FUZZ_CHECK(kept_take(&again, &message) == 0 && again.count == 1);
    FUZZ_CHECK(kept_tell(&again, compare, (void *)(uintptr_t)kept) == 0);
    kept_finish(&again);
    weir_json_finish(&key);
    weir_json_finish(&value);
    return 0;
}

static size_t take_one(struct kept_table *table, const uint8_t *data, size_t size)
{
    char key[0x80 + sizeof(id)];
    size_t own = data[0] >= 0x80 ? sizeof(id) : 0, key_size = data[0] & 0x7f,
           value_size = data[1] == 0xff ? 0 : data[1];
    if (size < 2 + key_size + value_size)
        return size;
    memcpy(key, "id\t", own);
    memcpy(key + own, data + 2, key_size);
    char *value = (char *)fuzz_copy(data + 2 + key_size, value_size);
    struct kept_message message = {key, data[1] == 0xff ? NULL : value, own + key_size, value_size};
    int r = kept_take(table, &message);
    FUZZ_CHECK(r == 0 || r == -EUCLEAN || r == -ENOTSUP);
    free(value);
    return 2 + key_size + value_size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kept_table table;
    kept_init(&table, id);
    while (size >= 2) {
        size_t n = take_one(&table, data, size);
        data += n;
        size -= n;
    }
    int r = kept_tell(&table, see, NULL);
    FUZZ_CHECK(r == 0 || r == -EUCLEAN);
    FUZZ_CHECK(!table.owned || (*table.owner && table.partitions > 0));
    kept_finish(&table);
    return 0;
}
