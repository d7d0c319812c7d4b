/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's turn: look, read, and what follows at its end. Loop thread.
 */
#include "file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <weir/kill_point.h>
#include "packed.h"
#include "scan.h"

static const uint64_t NAMES_WAIT = 50000000; /* ns after which a walk that goes on is asked for again */

void tail_file_wake(struct tail_file *file)
{
    if (tail_list_empty(&file->ready)) {
        tail_list_add(&file->tail->ready, &file->ready);
        file->account.news = tail_account_now();
    }
    tail_wake(file->tail);
}

void tail_file_wait_no_more(struct tail_file *file)
{
    file->due = false;
    file->waiting = false;
    if (file->wait) {
        file->tail->host->timer_set(file->wait, 0, 0);
    }
}

static void wait_is_over(void *data)
{
    struct tail_file *file = data;
    file->due = true;
    tail_file_wake(file);
}

/* No name of it is known, but the patterns are being walked through: if it has one yet, its last line goes
 * on. */
static bool may_be_named(const struct tail_file *file)
{
    struct stat s;
    return !file->named && file->scanned > 0 && !file->tail->config->exit_on_eof &&
           tail_scan_walks(file->tail) && fstat(file->fd, &s) == 0 && s.st_nlink > 0;
}

/* Where the walk itself waits for room, the file is closed instead, with its last line unread. */
static void wait_for_names(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (file->wait && !tail->crowded) {
        file->due = false;
        file->waiting = true;
        tail->host->timer_set(file->wait, NAMES_WAIT, 0);
    } else {
        tail_file_close(file);
        tail_scan_renamed(tail, false);
    }
}

static enum tail_progress flush(struct tail_file *file)
{
    bool changed = false;
    enum tail_progress r = tail_file_flush(file);
    if (r == TAIL_END && file->packed) {
        tail_packed_done(file);
    } else if (r == TAIL_END && tail_file_learn(file, &changed) == 0 && changed) {
        r = TAIL_CHANGED;
    }
    return r;
}

/* The end is reached for good: what stands there without a newline is a line, too. */
static void finish(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (may_be_named(file)) {
        wait_for_names(file);
        return;
    }
    if (file->packed && !tail_packed_finish(file)) {
        return;
    }
    enum tail_progress r = flush(file);
    if (r == TAIL_FULL) {
        tail->paused = true;
    }
    if (r == TAIL_BROKEN) {
        tail_file_give_up(file, errno);
    } else if (r != TAIL_END) {
        tail_file_wake(file);
    } else if (!file->named || tail->config->exit_on_eof) {
        WEIR_KILL_POINT("tail-rotated-end");
        tail_file_close(file);
    } else {
        file->rotated = false;
        tail_file_wait_no_more(file);
    }
}

/* At the end of a rotated file: someone may still have it open and write. */
static void wait_for_more(struct tail_file *file)
{
    struct tail_instance *tail = file->tail;
    if (!file->wait) {
        file->wait = tail->host->timer_add(tail->host->loop(tail->instance), wait_is_over, file);
    }
    if (file->wait && tail->config->rotate_wait) {
        file->due = false;
        file->waiting = true;
        tail->host->timer_set(file->wait, tail->config->rotate_wait, 0);
    } else {
        finish(file);
    }
}

/* A compressed file, too, is read once, to an end. */
void tail_file_at_end(struct tail_file *file, bool read)
{
    bool ends = file->rotated || file->packed;
    if (file->tail->config->exit_on_eof || file->tail->retired) {
        finish(file);
    } else if (ends && (read || !file->waiting)) {
        wait_for_more(file);
    } else if (ends && file->due) {
        finish(file);
    }
}

void tail_file_give_up(struct tail_file *file, int error)
{
    struct tail_instance *tail = file->tail;
    if (error == ENOMEM) {
        tail_log(tail, WARN, "no memory to read on with: it is tried again");
        tail->paused = tail->starved = true;
        tail_file_wake(file);
    } else {
        tail_complain(tail, file->path, "%s can't be read: %s; it is opened again later", file->path,
                      strerror(error));
        tail_file_close(file);
    }
    tail_retry_after(tail, error);
}

size_t tail_file_work(struct tail_file *file)
{
    size_t bytes = 0;
    bool changed = false, fresh = file->fresh;
    int r = file->packed ? 0 : tail_file_examine(file);
    if (r < 0) {
        tail_file_give_up(file, -r);
        return 0;
    }
    if (file->unsure && !tail_packed_detect(file)) {
        return 0;
    }
    if (file->packed) {
        return tail_packed_work(file);
    }
    enum tail_progress progress = tail_file_read(file, &bytes);
    int error = errno;
    if (bytes > 0) {
        tail_file_touch(file);
        tail_account_sample(file,
                            progress == TAIL_END || file->size < file->offset ? file->offset : file->size);
    }
    if (progress == TAIL_CHANGED && fresh) {
        changed = true; /* since it was opened: it may have been truncated, which its size tells */
    } else if (progress == TAIL_CHANGED) {
        r = tail_file_restart(file, "rewritten");
        changed = true;
    } else if (progress != TAIL_BROKEN) {
        r = tail_file_learn(file, &changed);
    }
    if (r < 0 || progress == TAIL_BROKEN) {
        tail_file_give_up(file, r < 0 ? -r : error);
    } else if (progress == TAIL_FULL) {
        file->tail->paused = true;
        tail_file_wake(file);
    } else if (changed || progress == TAIL_MORE) {
        tail_file_wake(file);
    } else {
        tail_file_at_end(file, bytes > 0);
    }
    return bytes;
}
