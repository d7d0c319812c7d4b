/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin file: its ELF headers as any bytes, and a descriptor with any of its members, in memory of just
 * the size that the file has there. What passes can be used; what does not is refused with a sentence.
 */
#include "fuzz.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#include "plugin_check.h"
#include "plugin_file.h"

enum { ROW_MOST = 4096 };

/* -- Headers -------------------------------------------------------------------------------------------- */

/* Whether all that is to be loaded lies within the file. */
static bool is_whole(const uint8_t *file, size_t size)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    memcpy(&head, file, sizeof(head));
    for (size_t i = 0; i < head.e_phnum; i++) {
        memcpy(&part, file + head.e_phoff + i * sizeof(part), sizeof(part));
        if (part.p_type == PT_LOAD && part.p_offset + part.p_filesz > size) {
            return false;
        }
    }
    return true;
}

static void look_at_headers(const uint8_t *data, size_t size)
{
    static int fd = -1;
    fd = fd < 0 ? memfd_create("plugin", MFD_CLOEXEC) : fd;
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    uint64_t wanted = plugin_wanted_size(fd);
    if (wanted == 0) {
        return; /* no ELF file, or nothing in it is loaded */
    }
    FUZZ_CHECK(size >= sizeof(ElfW(Ehdr)));
    FUZZ_CHECK(wanted > size || is_whole(data, size));
}

/* -- A descriptor --------------------------------------------------------------------------------------- */

static int create(const struct weir_host *host, struct weir_instance *self, const void *config, void **ret)
{
    (void)host, (void)self, (void)config, (void)ret;
    return 0;
}

static int write_chunk(void *self, struct weir_chunk *chunk)
{
    (void)self, (void)chunk;
    return 0;
}

static void destroy(void *self)
{
    (void)self;
}

/* As a size is: the right one, one near it, or any. */
static uint32_t near(struct fuzz_input *in, size_t right)
{
    unsigned how = fuzz_byte(in);
    if (how < 0x80) {
        return (uint32_t)right;
    }
    return how < 0xf0 ? (uint32_t)right + how - 0xb8
                      : fuzz_byte(in) << 24 | fuzz_byte(in) << 16 | fuzz_byte(in) << 8 | fuzz_byte(in);
}

/* Two rows of one name and the end, as far apart as the descriptor says that rows are. */
static const struct weir_option *rows(uint32_t size)
{
    static uint8_t table[3 * ROW_MOST];
    const struct weir_option row = {.name = "one", .type = WEIR_OPTION_BOOL, .help = "h"};
    memset(table, 0, sizeof(table));
    if (size >= sizeof(row) && size <= ROW_MOST) {
        memcpy(table, &row, sizeof(row));
        memcpy(table + size, &row, sizeof(row));
    }
    return (const void *)table;
}

static struct weir_plugin take_descriptor(struct fuzz_input *in)
{
    unsigned has = fuzz_byte(in), kind = fuzz_byte(in);
    struct weir_plugin d = {.struct_size = near(in, sizeof(struct weir_plugin)),
                            .abi_version = near(in, WEIR_ABI_VERSION),
                            .option_size = near(in, sizeof(struct weir_option)),
                            .kind = (enum weir_kind)(int)(int8_t)kind,
                            .config_size = near(in, 8),
                            .create = has & 4 ? NULL : create,
                            .write = has & 8 ? NULL : write_chunk,
                            .destroy = has & 16 ? NULL : destroy};
    if (has & 1) { /* from its second row on it is a good one */
        const struct weir_option *table = rows(d.option_size);
        bool skip = (has & 2) && d.option_size <= ROW_MOST;
        d.options = (const void *)((const uint8_t *)table + (skip ? d.option_size : 0));
    }
    return d;
}

static void look_at_descriptor(struct fuzz_input in)
{
    struct weir_plugin theirs = take_descriptor(&in), ours = {0};
    size_t real = near(&in, sizeof(theirs));
    char *name = in.size && in.data[0] == '!' ? NULL : fuzz_text(in.data, in.size);
    uint8_t *there = calloc(1, real < 4096 ? real + 1 : sizeof(theirs));
    FUZZ_CHECK(there);
    theirs.name = name;
    memcpy(there, &theirs, real < sizeof(theirs) ? real : sizeof(theirs));
    uint8_t *exact = fuzz_copy(there, real < 4096 ? real : sizeof(theirs));
    char *error = plugin_check_descriptor("/p.so", (const void *)exact, real < 4096 ? real : SIZE_MAX, &ours);
    if (error) {
        FUZZ_CHECK(!strncmp(error, "/p.so: ", 7) && error[7]);
    } else {
        FUZZ_CHECK(ours.create && ours.destroy && ours.name && plugin_is_name(ours.name));
        FUZZ_CHECK(ours.kind == WEIR_INPUT || (ours.kind == WEIR_OUTPUT && ours.write));
        FUZZ_CHECK(ours.struct_size <= real || real >= 4096);
    }
    free(error);
    free(name);
    free(there);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    if (fuzz_byte(&in) & 1) {
        look_at_headers(in.data, in.size);
    } else {
        look_at_descriptor(in);
    }
    return 0;
}
