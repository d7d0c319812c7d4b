/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of address ranges, filled as plugins are loaded and read by the crash handler, which may call
 * neither dladdr nor anything else that takes a lock. Written by the control thread alone.
 */
#include "code_range.h"

#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

enum { MOST = 128, LONGEST_NAME = 64 };

static struct range {
    atomic_uintptr_t begin, end; /* end 0: free */
    const void *within;
    char name[LONGEST_NAME];
} ranges[MOST];

struct search {
    uintptr_t within, begin, end;
};

static int look_at(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    uintptr_t begin = UINTPTR_MAX, end = 0;
    int is_it = 0;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD)
            continue;
        is_it |= search->within >= at && search->within - at < part->p_memsz;
        if (!(part->p_flags & PF_X))
            continue;
        begin = at < begin ? at : begin;
        end = at + part->p_memsz > end ? at + part->p_memsz : end;
    }
    if (is_it) {
        search->begin = begin;
        search->end = end;
    }
    return is_it;
}

void code_range_add(const void *within, const char *name)
{
    struct search search = {.within = (uintptr_t)within};
    struct range *r = ranges;

    while (r < ranges + MOST && atomic_load(&r->end))
        r++;
    if (r == ranges + MOST || !dl_iterate_phdr(look_at, &search))
        return;
    snprintf(r->name, sizeof(r->name), "%s", name);
    r->within = within;
    atomic_store(&r->begin, search.begin);
    atomic_store(&r->end, search.end); /* last: now it counts */
}

void code_range_remove(const void *within)
{
    for (struct range *r = ranges; within && r < ranges + MOST; r++)
        if (r->within == within && atomic_load(&r->end)) {
            atomic_store(&r->end, 0);
            return;
        }
}

const char *code_range_find(uintptr_t address)
{
    for (const struct range *r = ranges; r < ranges + MOST; r++)
        if (address < atomic_load(&r->end) && address >= atomic_load(&r->begin))
            return r->name;
    return NULL;
}
