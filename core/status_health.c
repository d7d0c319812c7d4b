/* SPDX-License-Identifier: Apache-2.0 */
/* Whether weir is ready, and the metrics: the registry with what is only known when it is asked for. Control
 * thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "engine_private.h"
#include "heirs.h"
#include "status.h"
#include "status_text.h"

enum { REASONS_MAX = 100 };

/* -- Ready ------------------------------------------------------------------------------------------ */

/* Reasons, as a JSON list under way. */
struct reasons {
    struct text_out list;
    size_t count;
};

static void add_reason(struct reasons *r, const char *who, const char *why)
{
    char *text = NULL;

    if (r->count++ >= REASONS_MAX || asprintf(&text, "%s: %s", who, why) < 0)
        return;
    text_string(&r->list, text);
    free(text);
}

static void judge_instance(struct reasons *r, const struct weir_instance *i, bool up)
{
    char *error = instance_error((struct weir_instance *)i);

    if (error)
        add_reason(r, i->alias->chars, error);
    else if (!up)
        add_reason(r, i->alias->chars, "has not started yet");
    free(error);
}

bool status_ready(const struct engine *e, FILE *file)
{
    struct reasons r = {0};

    text_open(&r.list, '[');
    if (e->phase > ENGINE_RUNNING)
        add_reason(&r, "weir", "is stopping");
    if (e->flush.failing)
        add_reason(&r, "checkpoint", "positions can't be written now; the log says why");
    for (const struct output *o = e->outputs; o; o = o->next)
        if (o->role != OUTPUT_GOING)
            judge_instance(&r, &o->base, o->up);
    for (const struct input *in = e->inputs; in; in = in->next)
        judge_instance(&r, &in->base, in->state >= INPUT_RUNNING);
    text_close(&r.list, ']');
    char *list = text_take(&r.list);
    fprintf(file, "{\"ready\":%s,\"reasons\":%s}\n", r.count ? "false" : "true", list ? list : "[]");
    free(list);
    return r.count == 0;
}

/* -- Metrics ---------------------------------------------------------------------------------------- */

static void write_gauge(FILE *f, const char *name, const char *help, double value)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

static double resident_bytes(void)
{
    unsigned long whole = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%lu %lu", &whole, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void set_queue_bytes(struct engine *e)
{
    for (struct output *o = e->outputs; o; o = o->next)
        metric_set(o->queue_bytes, (int64_t)atomic_load(&o->gate.used));
}

int status_metrics(struct engine *e, FILE *f)
{
    double uptime = (double)(loop_now() - e->started_at) / 1e9;

    set_queue_bytes(e);
    for (struct input *in = e->inputs; in; in = in->next)
        input_show_spool(in);
    fprintf(f, "# HELP weir_build_info The version, as a label.\n# TYPE weir_build_info gauge\n"
               "weir_build_info{version=\"" WEIR_VERSION "\"} 1\n");
    write_gauge(f, "weir_uptime_seconds", "How long this process runs.", uptime);
    write_gauge(f, "weir_checkpoint_age_seconds", "Since positions were last written or found unchanged.",
                e->flush.at && e->flush.failing ? (double)(loop_now() - e->flush.good_at) / 1e9 : 0);
    write_gauge(f, "weir_checkpoint_former_inputs",
                "Inputs that there are no more and whose positions are kept.", (double)heirs_count_former(e));
    write_gauge(f, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
    write_gauge(f, "process_start_time_seconds", "Start of the process, seconds since 1970.",
                (double)time(NULL) - uptime);
    fprintf(f,
            "# HELP process_cpu_seconds_total User and system time.\n"
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
            cpu_seconds());
    return metrics_write(e->metrics, f);
}
