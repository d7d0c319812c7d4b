/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor and the option table, as far as the loader lets it pass: what would be accepted and yet not
 * be what the author meant, or leave the user without words.
 */
#include <string.h>
#include <strings.h>
#include "check.h"
#include "input.h"
#include "option_private.h"
#include "output.h"

static bool is_one_line(const char *text)
{
    return text && *text && !strchr(text, '\n');
}

/* One that each instance has: the plugin's own of that name would never be set. */
static bool is_common(const struct weir_option *table, const char *name)
{
    for (; table->name; table++)
        if (strcasecmp(table->name, name) == 0 && table->type != WEIR_OPTION_IGNORED)
            return true;
    return false;
}

static void check_row(struct report *r, const struct weir_plugin *p, const struct weir_option *row)
{
    const struct weir_option *common = p->kind == WEIR_INPUT ? input_options : output_options;

    if (!is_one_line(row->help))
        check_found(r, "option '%s': has no help, a line for who reads `weir plugins %s`", row->name,
                    p->name);
    if (is_common(common, row->name) || (row->alias && is_common(common, row->alias)))
        check_found(r, "option '%s': every %s has one of that name, so the plugin's would never be set",
                    row->name, p->kind == WEIR_INPUT ? "input" : "output");
    if ((row->flags & WEIR_OPTION_REQUIRED) && row->def)
        check_found(r, "option '%s': is required, so its default is never used", row->name);
    if ((row->flags & WEIR_OPTION_REQUIRED) && row->type == WEIR_OPTION_BOOL)
        check_found(r, "option '%s': a required switch is better a choice, or has a default", row->name);
    if (row->flags &
        ~(uint32_t)(WEIR_OPTION_REQUIRED | WEIR_OPTION_IDENTITY | WEIR_OPTION_READS | WEIR_OPTION_WRITES))
        check_found(r, "option '%s': has flags that plugin.h does not know: 0x%x", row->name,
                    (unsigned)row->flags);
}

void check_table(struct report *r, const struct weir_plugin *p)
{
    if (!is_one_line(p->version))
        check_found(r, "the descriptor says no version");
    if (!is_one_line(p->summary))
        check_found(r, "the descriptor has no summary of one line");
    if (p->kind == WEIR_INPUT && p->write)
        check_found(r, "write: an input is never asked to write");
    if (p->kind == WEIR_OUTPUT && (p->resume || p->details || p->series || p->retire))
        check_found(r, "resume, details, series and retire: an output is never asked for them");
    if (p->kind == WEIR_INPUT && p->load)
        check_found(r, "load: an input is never asked to load positions");
    for (size_t i = 0; p->options; i++) {
        struct weir_option row = option_row(p->options, p->option_size, i);
        if (!row.name)
            break;
        r->options++;
        check_row(r, p, &row);
    }
}
