/* SPDX-License-Identifier: Apache-2.0 */
/* One tail input: its settings, its state, its numbers. Every part of the plugin works on it; loop thread. */
#ifndef TAIL_TAIL_H
#define TAIL_TAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/plugin.h>
#include "account.h"
#include "glob.h"
#include "hub.h"
#include "identity.h"
#include "lines.h"
#include "list.h"
#include "settings.h"
#include "table.h"

struct tail_multiline;

/* Those that are set or added to all the time. */
struct tail_numbers {
    struct weir_metric *files, *bytes;
};

/* All others: what happens seldom, to bad input, or is added to at most once a turn. */
enum tail_counted {
    TAIL_ROTATED,
    TAIL_BEGAN_ANEW,
    TAIL_EMPTY_LINES,
    TAIL_FILTERED_LINES,
    TAIL_LONG_LINES,
    TAIL_HOLE_BYTES,
    TAIL_LATE_FILES,
    TAIL_REFUSED_FILES,
    TAIL_UNDECODABLE,
    TAIL_UNPARSED_LINES,
    TAIL_BAD_TIMES,
    TAIL_DAMAGED_FILES,
    TAIL_OVERFLOWS,
    TAIL_ABANDONED, /* and TAIL_REASONS - 1 more */
    TAIL_COUNTED = TAIL_ABANDONED + TAIL_REASONS
};

/*
 * What waits for what, and who ends it:
 * - paused: reading, for room in the outputs, until resume; starved: for memory, until the timer of retrying.
 * - retrying: the timer runs. It ends paused, starved and crowded, and has everything looked at; patient: it
 *   runs long, and is set anew for whatever can't wait.
 * - crowded: looking for files, and opening closed ones, for a place: until one is closed for them once all
 *   that are open have been read (make_room), or the timer.
 * - yields: closed files that have news, for the next slice of the walk, whose place was just made.
 * - rescan: a walk is due; scan: something is under way; starting: until both the first walk and search are
 *   through.
 */
struct tail_instance {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct tail_config *config; /* of its settings, which are counted; or NULL */
    const struct tail_format *format; /* the settings', or of this instance alone */
    struct tail_numbers numbers;
    struct tail_glob *glob;
    struct tail_multiline *multiline; /* or NULL: every line is a record as it is */
    struct tail_hub *hub;
    struct tail_worker worker;
    struct weir_timer **timers; /* by enum timer (tail.c); NULL: none was needed so far */

    struct tail_link files; /* struct tail_file.member: every open file, those longest without news first */
    struct tail_link news;  /* struct tail_known.news: closed files that were written to since */
    struct tail_link ready; /* .ready: those that have something to be done */
    struct tail_table by_path, by_inode;
    struct tail_table dirs;   /* struct tail_need, by path */
    struct tail_table known;  /* struct tail_known: streams whose files are not open, by inode */
    struct tail_table buried; /* struct tail_known: what files said that are no more, by inode */
    struct tail_table places; /* struct tail_place: the directories that those were last seen in, by path */
    struct tail_table complaints; /* paths that were complained about, until they are well again */

    struct tail_scan *scan; /* looking for files is under way, or NULL */

    uint32_t generation;          /* of the last walk */
    uint32_t round;               /* of the last search */
    uint64_t pruned;              /* when long gone files were last looked for, s since 1970 */
    uint64_t dev_before, dev_now; /* the number that a device has got anew */
    uint64_t started;             /* when, ns since 1970 */
    uint64_t done, total;         /* for exit_on_eof: bytes read of those there */
    uint64_t patience;            /* ns until what may last is looked at again; 0: nothing was met */
    uint32_t open_count, parked_count;
    uint32_t undecided; /* compressed files that wait for what becomes of others */
    uint32_t held;      /* known streams that an input which retires reads to their ends */
    bool first_start;   /* no stream is known: read_from_head counts */
    bool starting;      /* the walk of start goes on */
    bool rescan;        /* a walk is due */
    bool spare;         /* a file was closed so that another may be open in its place */
    bool crowded;       /* files wait because no more can be open */
    bool yields;        /* closed files that have news wait until the walk has had the place made for it */
    bool limited;       /* descriptors ran out once: from then on files that have nothing new make room */
    bool loose_inodes;  /* directories tell other inode numbers than files do */
    bool paused;        /* an output is full; resume will come */
    bool starved;       /* for want of memory */
    bool retrying;      /* something could not be opened: the timer runs */
    bool patient;       /* it runs for what may last */
    bool lasting;       /* something that may last was met since the last refresh */
    bool missed;        /* a search could not look at all that there is */
    bool polling;       /* there is something that inotify does not cover */
    bool remote_said;   /* that files are polled because of where they lie */
    bool noted;         /* one could not be opened without its time of access being noted */
    bool packs;         /* a pattern may match the name of a compressed file */
    bool retired;       /* nothing is looked for any more: the deleted files that are open are read */
    bool ended;
};

#define tail_log(tail, level, ...) (tail)->host->log((tail)->instance, WEIR_LOG_##level, __VA_ARGS__)

/* Whether files that have nothing new are closed. */
static inline bool tail_parks(const struct tail_instance *tail)
{
    return tail->config->close_inactive > 0 || tail->config->max_open_files > 0 || tail->limited;
}

/* -- numbers.c -- */

/* Asks for all metrics, so that they are there from the beginning. */
void tail_numbers_create(struct tail_instance *);
/* Adds to one that is not kept at hand: costs about a microsecond. */
void tail_count(const struct tail_instance *, enum tail_counted, uint64_t n);

/* The clock of the day, s since 1970. */
uint64_t tail_clock(void);
/* Closes the file that is longest without news. False: all have some. */
bool tail_park_one(struct tail_instance *);
/* Descriptors ran out: from now on files that have nothing new may be closed. */
void tail_limit(struct tail_instance *);
/* There is work for the instance. */
void tail_wake(struct tail_instance *);
/* Something could not be opened now: the instance looks again in a second. */
void tail_retry(struct tail_instance *);
/*
 * The same for that errno: what may last is looked at after a second, then after two and so on, until the
 * refresh comes sooner; for what an event or the refresh tells of, nothing is done.
 */
void tail_retry_after(struct tail_instance *, int error);
/* From now on something must be looked at from time to time. */
void tail_poll(struct tail_instance *);
/* Warns once about a path, until tail_calm. */
void tail_complain(struct tail_instance *, const char *path, const char *format, ...) WEIR_PRINTF(3, 4);
void tail_calm(struct tail_instance *, const char *path);
/* Takes back what is said of paths that are gone, and of directories that can be read now. */
void tail_calm_gone(struct tail_instance *);
void tail_calm_all(struct tail_instance *); /* and frees the table */
/* With exit_on_eof, or retired: ends the input where nothing is left. */
void tail_end(struct tail_instance *);

#endif
