/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: clang's libFuzzer drives it
 * (scripts/fuzz), and replay.c runs it over seeds/ as an ordinary test.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the build: says what does not hold, and ends the program. */
#define FUZZ_CHECK(condition) \
    ((condition) ? (void)0    \
                 : (fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition), abort()))

/*
 * fail.c, in targets that are declared with FAILS: runs the input as it is, and then once more with one call
 * failing of those for memory, or of files, that the code under test makes: between fuzz_tested(true) and
 * fuzz_tested(false).
 */
void fuzz_with_failure(void (*run)(const uint8_t *, size_t), const uint8_t *data, size_t size);
void fuzz_tested(bool runs);
bool fuzz_failed(void); /* whether that call was made by now */

/* The input, taken from its front. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline unsigned fuzz_byte(struct fuzz_input *in)
{
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

/* A terminated copy, to be freed, without NULs in it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    FUZZ_CHECK(text);
    for (size_t i = 0; i < size; i++) {
        text[i] = data[i] ? (char)data[i] : ' ';
    }
    text[size] = 0;
    return text;
}

/* Memory of exactly that size, to be freed: a read past its end is found. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    FUZZ_CHECK(copy);
    if (size) {
        memcpy(copy, data, size);
    }
    return copy;
}

#endif
