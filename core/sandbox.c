/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a configuration needs, put in force. Owns the places, and a descriptor that keeps the kernel's notion
 * of /proc/self. Control thread.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine_private.h"
#include "fail.h"
#include "log.h"
#include "sandbox_kernel.h"
#include "sandbox_places.h"
#include "status_text.h"

struct sandbox {
    struct places places;
    int version; /* of landlock; negative: there is none */
    int process; /* /proc/self: the kernel would make another inode for it once nobody has it open */
};

/* -- What is needed ------------------------------------------------------------------------------------- */

/* Whose options these are, for messages. */
struct collector {
    struct sandbox *sandbox;
    struct problems *problems;
    const struct origin *origin;
    const char *owner;
};

static const char *doing(bool write)
{
    return write ? "write to" : "read";
}

static bool is_written(const struct weir_option *row)
{
    return row->flags & WEIR_OPTION_WRITES;
}

/* Of an instance, whose kind's common options have these values, too. */
static void each_path(const struct weir_instance *i, const struct weir_option *common, const void *values,
                      void (*fn)(void *data, const struct weir_option *row, const char *path), void *data)
{
    option_each_path(common, sizeof(*common), values, fn, data);
    option_each_path(i->plugin->api.options, i->plugin->api.option_size, i->config, fn, data);
}

/* What becomes of a wish that can't be fulfilled, or more than was meant. */
static void warn(const struct collector *c, const char *option, const struct wish *w, bool write)
{
    if (w->missing && w->alone && write)
        problem_error(
            c->problems, c->origin,
            "%s: option '%s': the sandbox can't let weir make %s without letting it write to all of that "
            "directory: put it into a directory of its own",
            c->owner, option, w->path);
    else if (w->missing)
        problem_warn(
            c->problems, c->origin,
            "%s: option '%s': %s is not there, so the sandbox does not let weir %s it; when it is, restart weir",
            c->owner, option, w->path, doing(write));
    else if (w->alone)
        problem_warn(
            c->problems, c->origin,
            "%s: option '%s': of its directory the sandbox lets weir %s %s only, and not a file that takes its "
            "place: better give it a directory of its own",
            c->owner, option, doing(write), w->path);
    else if (!strcmp(w->path, "/"))
        problem_warn(c->problems, c->origin, "%s: option '%s': so the sandbox lets weir %s everything",
                     c->owner, option, doing(write));
}

/* What making the wish has returned, and the wish. */
static void add(struct sandbox *s, int rc, const struct wish *w)
{
    if (rc < 0)
        s->places.failed = true;
    else
        places_add(&s->places, w, false);
}

static void take(const struct collector *c, const char *option, int rc, const struct wish *w, bool write)
{
    if (rc == 0)
        warn(c, option, w, write);
    add(c->sandbox, rc, w);
}

static void collect(void *data, const struct weir_option *row, const char *path)
{
    struct wish w;
    int rc = wish_make(path, is_written(row), &w);

    take(data, row->name, rc, &w, is_written(row));
}

static void collect_instance(struct sandbox *s, const struct weir_instance *i,
                             const struct weir_option *common, const void *values, struct problems *problems)
{
    struct collector c = {s, problems, &i->origin, i->alias->chars};

    each_path(i, common, values, collect, &c);
}

/* Files that weir itself opens, where what is missing is told of by whoever needs it. */
static void add_file(void *data, const char *path)
{
    struct wish w;
    int rc = wish_make(path, false, &w);

    add(data, rc, &w);
}

static void add_directory(void *data, const char *path)
{
    struct wish w;
    int rc = wish_make_exact(path, SANDBOX_READ, &w);

    add(data, rc, &w);
}

static void collect_config(struct sandbox *s, const struct engine *e)
{
    const struct plugin *plugin;

    for (size_t i = 0; i < e->config->file_count; i++)
        add_file(s, e->config->files[i]);
    config_each_secret_file(e->config, add_file, s);
    for (size_t i = 0; i < e->config->plugin_count; i++)
        add_file(s, e->config->plugins[i]);
    for (size_t i = 0; (plugin = registry_at(e->registry, i)); i++)
        add_file(s, plugin->path);
    registry_each_dir(e->registry, add_directory, s);
}

/* What is named for the sandbox alone is let through as it is. */
static void collect_exact(const struct collector *c, const char *option, const struct weir_list *list,
                          bool write)
{
    for (size_t i = 0; i < list->count; i++) {
        struct wish w;
        int rc = wish_make_exact(list->items[i], write ? SANDBOX_OWN : SANDBOX_READ, &w);
        take(c, option, rc, &w, write);
    }
}

static void collect_own(struct sandbox *s, const char *path)
{
    struct wish w;
    int rc = wish_make_exact(path, SANDBOX_OWN, &w);

    w.missing = false; /* it is made before the rules are */
    add(s, rc, &w);
}

/* The directory of the admin address's socket: what an earlier weir left there is removed. */
static void collect_socket(const struct collector *c, const struct service *service)
{
    static const char scheme[] = "unix:";
    char *path = service->http_server && !strncmp(service->http_listen, scheme, sizeof(scheme) - 1)
                     ? strdup(service->http_listen + sizeof(scheme) - 1)
                     : NULL;
    struct wish w;

    if (!path)
        return;
    int rc = wish_make(path, true, &w);
    if (rc == 0)
        w.access = SANDBOX_OWN;
    take(c, "http_listen", rc, &w, true);
    free(path);
}

static void collect_service(struct sandbox *s, const struct engine *e, struct problems *problems)
{
    struct collector c = {s, problems, NULL, "service"};

    option_each_path(config_service_options, sizeof(*config_service_options), &e->service, collect, &c);
    collect_exact(&c, "sandbox_read", &e->service.sandbox_read, false);
    collect_exact(&c, "sandbox_write", &e->service.sandbox_write, true);
    collect_socket(&c, &e->service);
    if (e->data_dir)
        collect_own(s, e->data_dir);
}

struct sandbox *sandbox_plan(const struct engine *e, struct problems *problems)
{
    struct sandbox *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->process = -1;
    s->version = sandbox_landlock_version();
    collect_service(s, e, problems);
    collect_config(s, e);
    for (const struct input *in = e->inputs; in; in = in->next)
        collect_instance(s, &in->base, input_options, in->options, problems);
    for (const struct output *o = e->outputs; o; o = o->next)
        collect_instance(s, &o->base, output_options, &o->options, problems);
    places_add_system(&s->places);
    if (!s->places.failed)
        return s;
    sandbox_destroy(s);
    return NULL;
}

void sandbox_destroy(struct sandbox *s)
{
    if (!s)
        return;
    places_clear(&s->places);
    if (s->process >= 0)
        close(s->process);
    free(s);
}

/* -- In force ------------------------------------------------------------------------------------------- */

static int refuse_kernel(int error, char **ret_error)
{
    return fail(
        ret_error, error,
        "service.sandbox is on, and this kernel has no landlock (%s): it needs Linux 5.13 with landlock among its "
        "security modules (lsm=landlock,…); set it to off to run without",
        error == -EOPNOTSUPP ? "it is turned off" : strerror(-error));
}

/* What is not there any more, or yet, is left out. */
static int allow(const struct sandbox *s, int rules, const struct place *p, char **ret_error)
{
    struct stat st;
    int fd = open(p->path, O_PATH | O_CLOEXEC);

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return 0;
    int rc = fd < 0 || fstat(fd, &st) < 0
                 ? -errno
                 : sandbox_rules_add(rules, s->version, fd, S_ISDIR(st.st_mode), p->access);
    if (fd >= 0)
        close(fd);
    return rc < 0 ? fail(ret_error, rc, "the sandbox can't let weir reach %s: %s", p->path, strerror(-rc))
                  : 0;
}

/* Rules hold for the thread that makes them and those that it makes. */
static int refuse_threads(char **ret_error)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");

    for (const struct dirent *entry; tasks && (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
#if defined(__SANITIZE_THREAD__)
    count = 1; /* it has a thread of its own */
#endif
    return count <= 1
               ? 0
               : fail(
                     ret_error, -EBUSY,
                     "service.sandbox is on, and %zu threads are there before it: a plugin, or a library that it "
                     "is linked with, makes them when it is loaded, and they could not be held back",
                     count - 1);
}

static int enforce(struct sandbox *s, int rules, char **ret_error)
{
    for (size_t i = 0; i < s->places.count; i++) {
        int rc = allow(s, rules, &s->places.items[i], ret_error);
        if (rc < 0)
            return rc;
    }
    int rc = sandbox_rules_enforce(rules);
    if (rc == 0)
        rc = sandbox_filter_enforce();
    return rc < 0 ? fail(ret_error, rc, "the sandbox can't be put in force: %s", strerror(-rc)) : 0;
}

int sandbox_enforce(struct sandbox *s, char **ret_error)
{
    if (s->version < 0)
        return refuse_kernel(s->version, ret_error);
    int rc = refuse_threads(ret_error);
    if (rc < 0)
        return rc;
    s->process = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rules = sandbox_rules_create(s->version);
    if (rules < 0)
        return fail(ret_error, rules, "the sandbox can't be made: %s", strerror(-rules));
    rc = enforce(s, rules, ret_error);
    close(rules);
    return rc;
}

/* -- What comes later ----------------------------------------------------------------------------------- */

struct judge {
    const struct sandbox *sandbox;
    struct problems *problems;
    const struct origin *origin;
    const char *owner;
    bool admits;
};

static void judge(void *data, const struct weir_option *row, const char *path)
{
    struct judge *j = data;
    struct wish w;

    if (wish_make(path, is_written(row), &w) < 0) {
        problem_error(j->problems, j->origin, "no memory");
        j->admits = false;
        return;
    }
    if (!places_cover(&j->sandbox->places, &w)) {
        problem_error(
            j->problems, j->origin,
            "%s: option '%s': a restart is needed: the sandbox lets weir %s what was configured, and there, when it "
            "started, and not %s",
            j->owner, row->name, doing(is_written(row)), w.path);
        j->admits = false;
    }
    free(w.path);
}

bool sandbox_admits(const struct sandbox *s, const struct weir_instance *i, const struct weir_option *common,
                    const void *values, struct problems *problems)
{
    struct judge j = {s, problems, &i->origin, i->alias->chars, true};

    if (!s)
        return true;
    each_path(i, common, values, judge, &j);
    return j.admits;
}

bool sandbox_admits_service(const struct sandbox *s, const struct service *service, struct problems *problems)
{
    struct judge j = {s, problems, NULL, "service", true};

    if (s)
        option_each_path(config_service_options, sizeof(*config_service_options), service, judge, &j);
    return j.admits;
}

/* -- What is told --------------------------------------------------------------------------------------- */

static bool is_told(const struct place *p, bool write)
{
    return !p->system && !p->missing && (p->access > SANDBOX_READ) == write;
}

static void print_places(const struct sandbox *s, FILE *file, bool write)
{
    const char *before = write ? "  writes " : "  reads  ";

    for (size_t i = 0; i < s->places.count; i++)
        if (is_told(&s->places.items[i], write))
            fprintf(file, "%s%s\n", before, s->places.items[i].path);
}

void sandbox_print(const struct sandbox *s, FILE *file)
{
    if (s->version < 0)
        fprintf(file, "sandbox: this kernel has no landlock (%s), so weir would not start\n",
                strerror(-s->version));
    else
        fprintf(
            file,
            "sandbox: landlock version %d, %zu system calls denied, and besides the system's own files:\n",
            s->version, sandbox_filter_size());
    print_places(s, file, false);
    print_places(s, file, true);
}

void sandbox_log(const struct sandbox *s)
{
    size_t reads = 0, writes = 0;

    for (size_t i = 0; i < s->places.count; i++) {
        reads += is_told(&s->places.items[i], false);
        writes += is_told(&s->places.items[i], true);
    }
    log_info(
        "sandbox",
        "in force: landlock version %d, %zu system calls denied; besides the system's own files, %zu places can be "
        "read and %zu written to (weir check and the status list them)",
        s->version, sandbox_filter_size(), reads, writes);
}

static void put_places(const struct sandbox *s, struct text_out *out, const char *name, bool write)
{
    text_key(out, name);
    text_open(out, '[');
    for (size_t i = 0; i < s->places.count; i++)
        if (is_told(&s->places.items[i], write))
            text_string(out, s->places.items[i].path);
    text_close(out, ']');
}

void sandbox_put_status(const struct sandbox *s, struct text_out *out)
{
    text_key(out, "sandbox");
    if (!s) {
        text_string(out, NULL);
        return;
    }
    text_open(out, '{');
    text_count(out, "landlock", (uint64_t)s->version);
    text_count(out, "system_calls_denied", sandbox_filter_size());
    put_places(s, out, "reads", false);
    put_places(s, out, "writes", true);
    text_close(out, '}');
}
