/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance's metrics. Weir owns them, and finds one by its name: so of those that are seldom added to no
 * instance, of which there may be ten thousand, keeps where they are. Creation on control, the rest on the
 * loop.
 */
#include "encoding.h"
#include "tail.h"

struct row {
    const char *name, *help, *label, *value;
};

#define ABANDONED(reason)                                                                                   \
    {                                                                                                       \
        "abandoned_bytes", "Bytes that were given up: they are in no record, and never will be.", "reason", \
            reason                                                                                          \
    }

static const struct row rows[TAIL_COUNTED] = {
    [TAIL_ROTATED] = {.name = "rotated", .help = "Files that were renamed or removed."},
    [TAIL_BEGAN_ANEW] = {.name = "truncated", .help = "Files that began anew in place."},
    [TAIL_EMPTY_LINES] = {.name = "empty_lines", .help = "Empty lines that were skipped."},
    [TAIL_FILTERED_LINES] = {.name = "filtered_lines",
                             .help = "Lines that include_regex or exclude_regex left out."},
    [TAIL_LONG_LINES] = {.name = "long_lines",
                         .help = "Lines longer than buffer_max_size.",
                         .label = "treatment"},
    [TAIL_HOLE_BYTES] = {.name = "hole_bytes",
                         .help = "NULs skipped where a file was truncated under its writer."},
    [TAIL_LATE_FILES] = {.name = "late_files",
                         .help = "Rotated files that were written to after rotate_wait."},
    [TAIL_REFUSED_FILES] = {.name = "refused_files", .help = "Files that allow_path does not allow."},
    [TAIL_UNDECODABLE] = {.name = "undecodable",
                          .help = "Pieces of lines that are no characters of the encoding."},
    [TAIL_UNPARSED_LINES] = {.name = "unparsed_lines",
                             .help = "Lines of another form than the options say, passed on as they are."},
    [TAIL_BAD_TIMES] = {.name = "bad_times", .help = "Values of time_key that are no time of time_format."},
    [TAIL_DAMAGED_FILES] =
        {.name = "damaged_files",
         .help = "Compressed files that are not complete, corrupt, or have more behind their end."},
    [TAIL_OVERFLOWS] = {.name = "inotify_overflows", .help = "Times that inotify lost events."},
    [TAIL_ABANDONED + TAIL_TOO_LONG] = ABANDONED("too_long"),
    [TAIL_ABANDONED + TAIL_HOLE] = ABANDONED("hole"),
    [TAIL_ABANDONED + TAIL_TRUNCATED] = ABANDONED("truncated"),
    [TAIL_ABANDONED + TAIL_DELETED] = ABANDONED("deleted"),
    [TAIL_ABANDONED + TAIL_DAMAGED] = ABANDONED("damaged"),
};

static struct weir_metric *metric(const struct tail_instance *tail, enum weir_metric_kind kind,
                                  enum tail_counted which)
{
    static const char *const treatments[] = {"split", "truncate", "skip"};
    const struct row *row = &rows[which];
    const char *value = which == TAIL_LONG_LINES ? treatments[tail->format->long_lines] : row->value;
    return tail->host->metric(tail->instance, kind, row->name, row->help, row->label, value);
}

/* Whether it can ever be anything but 0 with these options. */
static bool applies(const struct tail_instance *tail, enum tail_counted which)
{
    switch (which) {
    case TAIL_UNDECODABLE:
        return tail->format->encoding;
    case TAIL_UNPARSED_LINES:
    case TAIL_BAD_TIMES:
        return tail->multiline;
    case TAIL_DAMAGED_FILES:
        return tail->config->compression != TAIL_NONE;
    default:
        return true;
    }
}

void tail_numbers_create(struct tail_instance *tail)
{
    const struct weir_host *h = tail->host;
    struct weir_instance *i = tail->instance;
    tail->numbers = (struct tail_numbers){
        .files = h->metric(i, WEIR_GAUGE, "files", "Files that are open.", NULL, NULL),
        .bytes = h->metric(i, WEIR_COUNTER, "read_bytes", "Bytes of files that were read.", NULL, NULL),
    };
    for (enum tail_counted which = 0; which < TAIL_COUNTED; which++) {
        if (applies(tail, which)) {
            metric(tail, WEIR_COUNTER_AT_ZERO, which);
        }
    }
}

void tail_count(const struct tail_instance *tail, enum tail_counted which, uint64_t n)
{
    tail->host->metric_add(metric(tail, WEIR_COUNTER, which), n);
}
