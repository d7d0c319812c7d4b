/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's option table with any types, offsets and defaults: a table that passes can be filled in, and
 * nothing is written outside the structure.
 */
#include "fuzz.h"

#include "option.h"

enum { ROWS = 6, GUARD = 64 };

static const char *const choices[] = {"one", "two", NULL};

static int64_t number(struct fuzz_input *in)
{
    uint64_t n = 0;
    unsigned width = fuzz_byte(in) % 9;
    while (width--) {
        n = n << 8 | fuzz_byte(in);
    }
    return (int64_t)n;
}

static char *word(struct fuzz_input *in)
{
    size_t size = fuzz_byte(in) % 24;
    size = size < in->size ? size : in->size;
    char *text = size ? fuzz_text(in->data, size) : NULL;
    in->data += size;
    in->size -= size;
    return text;
}

static struct weir_option row(struct fuzz_input *in)
{
    unsigned has = fuzz_byte(in);
    return (struct weir_option){.name = word(in),
                                .alias = has & 1 ? word(in) : NULL,
                                .type = (enum weir_option_type)(fuzz_byte(in) % 14),
                                .flags = has & 2 ? WEIR_OPTION_REQUIRED : 0,
                                .offset = has & 4 ? (size_t)number(in) : fuzz_byte(in) % 96u,
                                .def = word(in),
                                .min = has & 8 ? number(in) : 0,
                                .max = has & 8 ? number(in) : 0,
                                .choices = has & 16 ? choices : NULL,
                                .help = has & 32 ? NULL : "help"};
}

/* Fills a structure out of no settings; what lies around it must stay as it is. */
static void fill(const struct weir_option *table, size_t config_size)
{
    uint8_t *memory = malloc(config_size + 2 * GUARD);
    struct option_memory *owned = NULL;
    struct problems problems = {0};
    struct section section = {0};
    FUZZ_CHECK(memory);
    memset(memory, 0xa5, config_size + 2 * GUARD);
    memset(memory + GUARD, 0, config_size);
    struct option_table filled = {table, sizeof *table, memory + GUARD, config_size};
    fuzz_tested(true);
    option_parse(&section, "plugin", &filled, 1, &owned, &problems);
    fuzz_tested(false);
    for (size_t i = 0; i < GUARD; i++) {
        FUZZ_CHECK(memory[i] == 0xa5 && memory[GUARD + config_size + i] == 0xa5);
    }
    option_free(owned);
    problems_clear(&problems);
    free(memory);
}

static void run(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct weir_option table[ROWS + 1] = {{0}};
    size_t config_size = fuzz_byte(&in) % 80u * 8u / (1 + fuzz_byte(&in) % 3),
           rows = fuzz_byte(&in) % (ROWS + 1);
    for (size_t i = 0; i < rows; i++) {
        table[i] = row(&in);
    }
    fuzz_tested(true);
    char *fault = option_check_table(table, sizeof *table, config_size);
    fuzz_tested(false);
    if (fault) {
        FUZZ_CHECK(*fault);
    } else {
        fill(table, config_size);
    }
    free(fault);
    for (size_t i = 0; i < rows; i++) {
        free((char *)table[i].name);
        free((char *)table[i].alias);
        free((char *)table[i].def);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_with_failure(run, data, size);
    return 0;
}
