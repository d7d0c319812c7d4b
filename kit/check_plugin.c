/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir check-plugin: starts a child that loads the plugin and puts it through its lives (check_life.c), keeps
 * an eye on the time that each callback takes, and says in words what was found.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check.h"
#include "config.h"
#include "engine.h"
#include "input.h"
#include "kit.h"
#include "loop.h"
#include "option.h"
#include "output.h"
#include "plugin.h"
#include "plugin_file.h"

static const char child_mark[] = "WEIR_CHECK_PLUGIN_REPORT";

enum { CYCLES = 1000, MOST_CYCLES = 1000000, LIMIT_S = 10, LOOK_MS = 5 };

/* -- Findings -- */

void check_found(struct report *r, const char *format, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char text[FINDING_ROOM];
    va_list args;
    unsigned k, count;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    count = atomic_load(&r->count);
    for (k = 0; k < count && strcmp(r->findings[k].text, text) != 0; k++)
        ;
    if (k < count)
        r->findings[k].times++;
    else if (count < MOST_FINDINGS) {
        memcpy(r->findings[k].text, text, sizeof(text));
        r->findings[k].times = 1;
        r->findings[k].cycle = atomic_load(&r->cycle);
        atomic_store(&r->count, count + 1);
    }
    pthread_mutex_unlock(&lock);
}

static void print_findings(const struct report *r)
{
    unsigned count = atomic_load(&r->count);

    for (unsigned k = 0; k < count; k++) {
        const struct finding *f = &r->findings[k];
        printf("  wrong: %s", f->text);
        if (f->times > 1)
            printf(" (%u times, first in life %u)", f->times, f->cycle);
        else if (f->cycle)
            printf(" (life %u)", f->cycle);
        putchar('\n');
    }
}

static int print_report(const struct check *c)
{
    const struct report *r = c->report;
    unsigned count = atomic_load(&r->count);

    printf("%s: %s\n", c->path, *r->name ? r->name : "not loaded");
    if (atomic_load(&r->cycle))
        printf("  %u options; %u lives, %u of them started", r->options, atomic_load(&r->cycle), r->started);
    if (r->chunks)
        printf("; %u chunks written, %u finished for good", r->chunks, r->delivered);
    if (r->sent || r->sets)
        printf("; %u chunks and advances, %u sets of inputs sent", r->sent, r->sets);
    if (atomic_load(&r->cycle))
        putchar('\n');
    for (size_t k = 0; k < sizeof(r->note) / sizeof(*r->note); k++)
        if (*r->note[k])
            printf("  note: %s\n", r->note[k]);
    print_findings(r);
    printf(count == 0   ? "Nothing wrong was found.\n"
           : count == 1 ? "1 thing is wrong.\n"
                        : "%u things are wrong.\n",
           count);
    return count ? EXIT_CONFIG : EXIT_STOPPED;
}

/* -- The child -- */

/* The options as they would be in a configuration. NULL after a finding, or where there is no memory. */
static struct section *make_section(const struct check *c, const struct weir_plugin *p, struct config *config,
                                    struct problems *problems)
{
    config_add(config, p->kind == WEIR_INPUT ? 'i' : 'o', p->name, problems);
    for (unsigned k = 0; k < c->option_count; k++)
        config_add(config, 'p', c->options[k], problems);
    return p->kind == WEIR_INPUT ? config->inputs : config->outputs;
}

static void tell_problems(struct report *r, const struct problems *problems)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    if (!file)
        return;
    problems_print(problems, file);
    fclose(file);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        if (*line)
            check_found(r, "can't be run with these options (--option K=V): %s", line);
    free(text);
}

static void run_with(const struct check *c, const struct weir_plugin *p, const struct section *section,
                     struct problems *problems)
{
    union {
        struct input_options input;
        struct output_options output;
    } common = {0};
    struct option_memory *memory = NULL;
    void *config = calloc(1, p->config_size ? p->config_size : 1);
    struct option_table tables[] = {
        {.options = p->kind == WEIR_INPUT ? input_options : output_options,
         .row_size = sizeof(struct weir_option),
         .values = &common,
         .values_size = sizeof(common)},
        {.options = p->options, .row_size = p->option_size, .values = config, .values_size = p->config_size}};

    if (config && option_parse(section, p->name, tables, p->options ? 2 : 1, &memory, problems) == 0)
        check_life(c, p, config);
    else
        tell_problems(c->report, problems);
    option_free(memory);
    free(config);
}

static void run_plugin(const struct check *c, const struct weir_plugin *p)
{
    struct problems problems = {0};
    struct config *config = config_new();
    struct section *section = config ? make_section(c, p, config, &problems) : NULL;

    snprintf(c->report->name, sizeof(c->report->name), "the %s '%s', version %s", plugin_kind_name(p->kind),
             p->name, p->version ? p->version : "not said");
    check_table(c->report, p);
    if (problems.errors)
        tell_problems(c->report, &problems);
    else if (section)
        run_with(c, p, section, &problems);
    problems_clear(&problems);
    config_free(config);
}

/* What the plugin writes to standard output is of no use here. */
static void hide_output(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

static void run_child(const struct check *c)
{
    char *error = NULL;
    struct plugin *plugin;

    hide_output();
    plugin = plugin_file_open(c->path, NULL, 0, &error);
    if (plugin) {
        run_plugin(c, &plugin->api);
        plugin_unref(plugin);
    } else {
        check_found(c->report, "weir refuses it: %s", error ? error : "no memory");
        free(error);
    }
    atomic_store(&c->report->done, true);
}

/* -- The parent -- */

static const char *callback_of(const struct report *r)
{
    return atomic_load(&r->since) ? r->callback
                                  : "no callback: a thread of the plugin's own, or the unloading of its code";
}

/* Whether a callback has been running for too long. */
static bool hangs(const struct check *c)
{
    struct report *r = c->report;
    uint64_t since = atomic_load(&r->since);

    return since && loop_now() > since + c->limit;
}

static void tell_hang(const struct check *c)
{
    const char *callback = callback_of(c->report);

    check_found(c->report, "hangs in the callback '%s': it did not return within %llu ms", callback,
                (unsigned long long)c->limit / 1000000);
    if (strcmp(callback, "stop") == 0)
        check_found(c->report, "ignores stop: host->stopped was not called in time");
}

static void tell_end(const struct check *c, int status)
{
    struct report *r = c->report;

    if (WIFSIGNALED(status))
        check_found(r, "crashes: SIG%s (%s) in %s%s%s", sigabbrev_np(WTERMSIG(status)),
                    strsignal(WTERMSIG(status)), atomic_load(&r->since) ? "the callback '" : "",
                    callback_of(r), atomic_load(&r->since) ? "'" : "");
    else if (!atomic_load(&r->done) || WEXITSTATUS(status))
        check_found(r, "ends the process, with status %d, in %s", WEXITSTATUS(status), callback_of(r));
}

/* Waits for the child; one that hangs is killed. A stop that is ignored is found by the child itself. */
static void watch(const struct check *c, pid_t child)
{
    int status = 0;
    bool killed = false;

    while (waitpid(child, &status, WNOHANG) == 0) {
        if (!killed && hangs(c)) {
            tell_hang(c);
            kill(child, SIGKILL);
            killed = true;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000}, NULL);
    }
    if (!killed)
        tell_end(c, status);
}

/*
 * Becomes this same program again: a fresh one, whose malloc keeps nothing back for its threads, so that what
 * is allocated can be counted.
 */
static void exec_child(int fd, int argc, char **argv)
{
    char number[16], **words = calloc((size_t)argc + 3, sizeof(*words));

    if (words && fcntl(fd, F_SETFD, 0) == 0) {
        snprintf(number, sizeof(number), "%d", fd);
        setenv(child_mark, number, 1);
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        words[0] = "weir";
        words[1] = "check-plugin";
        memcpy(words + 2, argv, (size_t)argc * sizeof(*words));
        execv("/proc/self/exe", words);
    }
    _exit(EXIT_START);
}

static bool map_report(struct check *c, int fd)
{
    void *at = mmap(NULL, sizeof(*c->report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    c->report = at == MAP_FAILED ? NULL : at;
    return c->report;
}

static void make_data_dir(struct check *c)
{
    const char *base = getenv("TMPDIR");

    snprintf(c->report->data_dir, sizeof(c->report->data_dir), "%s/weir-check.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(c->report->data_dir))
        *c->report->data_dir = '\0';
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static int run_check(struct check *c, int argc, char **argv)
{
    int fd = memfd_create("weir-check-plugin", MFD_CLOEXEC), status = EXIT_START;
    pid_t child = -1;

    if (fd < 0 || ftruncate(fd, sizeof(*c->report)) < 0 || !map_report(c, fd)) {
        fprintf(stderr, "error: no memory to share with another process: %s\n", strerror(errno));
    } else if (make_data_dir(c), (child = fork()) < 0) {
        fprintf(stderr, "error: can't start a process: %s\n", strerror(errno));
    } else if (child == 0) {
        exec_child(fd, argc, argv);
    } else {
        watch(c, child);
        status = print_report(c);
    }
    if (c->report && *c->report->data_dir)
        nftw(c->report->data_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    if (c->report)
        munmap(c->report, sizeof(*c->report));
    if (fd >= 0)
        close(fd);
    return status;
}

/* In the child: the number of the descriptor that the report is behind, or -1. */
static int report_descriptor(void)
{
    const char *text = getenv(child_mark);
    int64_t number;

    if (!text || option_parse_int(text, &number) < 0 || number < 3 || number > INT_MAX)
        return -1;
    unsetenv(child_mark);
    unsetenv("GLIBC_TUNABLES");
    return (int)number;
}

static int run_as_child(struct check *c, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size != sizeof(*c->report) || !map_report(c, fd))
        return EXIT_START;
    close(fd);
    run_child(c);
    return 0; /* main goes on to its end, with the plugin's handlers, and a sanitizer's own look for leaks */
}

/* -- The arguments -- */

static int usage(const char *format, const char *what)
{
    fputs("error: ", stderr);
    fprintf(stderr, format, what);
    fputs("; it is: weir check-plugin FILE.so [--option K=V]… [--cycles N] [--limit TIME] [--verbose]\n",
          stderr);
    return EXIT_CONFIG;
}

/* A flag with its value. 0, or the exit status after a message. */
static int read_flag(struct check *c, const char *flag, char *value)
{
    int64_t number = 0;

    if (strcmp(flag, "--option") == 0) {
        c->options[c->option_count++] = value;
        return strchr(value, '=') && *value != '=' ? 0 : usage("--option wants K=V, not '%s'", value);
    }
    if (strcmp(flag, "--cycles") == 0) {
        if (option_parse_int(value, &number) < 0 || number < 1 || number > MOST_CYCLES)
            return usage("--cycles wants a number from 1 to a million, not '%s'", value);
        c->cycles = (unsigned)number;
        return 0;
    }
    if (option_parse_duration(value, &c->limit) < 0 || c->limit < 1000000)
        return usage("--limit wants a time such as 10s, not '%s'", value);
    return 0;
}

static bool has_value(const char *flag)
{
    return strcmp(flag, "--option") == 0 || strcmp(flag, "--cycles") == 0 || strcmp(flag, "--limit") == 0;
}

static int read_arguments(struct check *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (has_value(argv[i])) {
            int r = i + 1 < argc ? read_flag(c, argv[i], argv[i + 1]) : usage("%s wants a value", argv[i]);
            if (r)
                return r;
            i++;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            c->verbose = true;
        } else if (argv[i][0] == '-') {
            return usage("unknown flag '%s'", argv[i]);
        } else if (c->path) {
            return usage("'%s' is one file too many", argv[i]);
        } else {
            c->path = argv[i];
        }
    }
    return c->path ? 0 : usage("%s is missing", "the file");
}

int check_plugin(int argc, char **argv)
{
    struct check check = {.cycles = CYCLES, .limit = LIMIT_S * UINT64_C(1000000000)};
    int r, fd = report_descriptor();

    check.options = calloc((size_t)argc + 1, sizeof(*check.options));
    if (!check.options)
        return EXIT_START;
    r = read_arguments(&check, argc, argv);
    if (r == 0)
        r = fd >= 0 ? run_as_child(&check, fd) : run_check(&check, argc, argv);
    free(check.options);
    return r;
}
