/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target as an ordinary test: runs every seed in the folders that are named, every beginning of it,
 * and it with each of its bytes changed; of a seed that a campaign found (found_…) only itself. NAME.hex
 * holds hexadecimal digits, any other file the bytes themselves.
 */
#include "fuzz.h"

#include <ctype.h>
#include <dirent.h>

enum {
    MOST = 1 << 20, /* bytes of a seed */
    WHOLE = 2048    /* of a longer one, so many places are tried, evenly */
};

static uint8_t seed[MOST];
static size_t runs;

static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void run_all(size_t size)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    size_t step = size / WHOLE + 1;
    run(seed, size);
    for (size_t at = 0; at < size; at += step) {
        run(seed, at);
        for (size_t i = 0; i < sizeof changes; i++) {
            seed[at] ^= changes[i];
            run(seed, size);
            seed[at] ^= changes[i];
        }
    }
}

static int digit(int c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static size_t from_hex(size_t size)
{
    size_t out = 0, digits = 0;
    unsigned value = 0;
    for (size_t i = 0; i < size; i++) {
        int d = digit(seed[i]);
        if (d < 0) {
            continue;
        }
        value = value * 16 + (unsigned)d;
        if (++digits % 2 == 0) {
            seed[out++] = (uint8_t)value;
        }
    }
    return out;
}

static void run_file(const char *folder, const char *name)
{
    char path[4096];
    const char *dot = strrchr(name, '.');
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file);
    size_t size = fread(seed, 1, sizeof seed, file);
    fclose(file);
    size = dot && !strcmp(dot, ".hex") ? from_hex(size) : size;
    if (!strncmp(name, "found_", 6)) {
        run(seed, size);
    } else {
        run_all(size);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct dirent *entry;
        DIR *folder = opendir(argv[i]);
        FUZZ_CHECK(folder);
        while ((entry = readdir(folder))) {
            if (entry->d_name[0] != '.') {
                run_file(argv[i], entry->d_name);
            }
        }
        closedir(folder);
    }
    printf("%zu runs\n", runs);
    return runs ? 0 : 1;
}
