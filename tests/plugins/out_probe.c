/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out_probe: tries what a plugin that was taken over would, on the output's thread, and logs what came of
 * each. Records are dropped. With `thread` a thread is there from create on, which is where none may be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/plugin.h>

struct probe_config {
    struct weir_list try;
};

struct probe {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct probe_config *config;
};

/* -- Attempts: 0 or an errno -- */

static int opened(int fd)
{
    int error = fd < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return error;
}

static int try_read(const char *path)
{
    return opened(open(path, O_RDONLY | O_CLOEXEC));
}

static int try_write(const char *path)
{
    return opened(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_list(const char *path)
{
    return opened(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_remove(const char *path)
{
    return unlink(path) < 0 ? errno : 0;
}

/* The child says by its status what execve said. */
static int try_execute(const char *path)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        execl(path, path, (char *)NULL);
        _exit(errno);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int try_signal(const char *pid)
{
    return kill((pid_t)atol(pid), 0) < 0 ? errno : 0;
}

static int try_call(const char *name)
{
    static const struct {
        const char *name;
        long number, a, b;
    } calls[] = {
        {"ptrace", SYS_ptrace, 16 /* PTRACE_ATTACH */, 1},
        {"unshare", SYS_unshare, CLONE_NEWUSER, 0},
        {"clone", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0},
        {"clone3", SYS_clone3, 0, 0},
        {"setns", SYS_setns, -1, 0},
        {"mount", SYS_mount, 0, 0},
        {"chroot", SYS_chroot, 0, 0},
        {"bpf", SYS_bpf, -1, 0},
        {"perf_event_open", SYS_perf_event_open, 0, 0},
        {"userfaultfd", SYS_userfaultfd, -1, 0},
        {"io_uring_setup", SYS_io_uring_setup, 1, 0},
        {"open_by_handle_at", SYS_open_by_handle_at, -1, 0},
        {"process_vm_readv", SYS_process_vm_readv, 0, 0},
        {"keyctl", SYS_keyctl, -1, 0},
        {"init_module", SYS_init_module, 0, 0},
        {"execveat", SYS_execveat, -1, 0},
        {"tiocsti", SYS_ioctl, -1, TIOCSTI},
        {"ioctl", SYS_ioctl, -1, FIONREAD},
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        if (!strcmp(calls[i].name, name))
            return syscall(calls[i].number, calls[i].a, calls[i].b, 0, 0, 0) < 0 ? errno : 0;
    return EDOM;
}

static int attempt(const char *text)
{
    static const struct {
        const char *word;
        int (*fn)(const char *what);
    } ways[] = {
        {"read:", try_read},       {"write:", try_write},   {"list:", try_list}, {"remove:", try_remove},
        {"execute:", try_execute}, {"signal:", try_signal}, {"call:", try_call},
    };

    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
        if (!strncmp(text, ways[i].word, strlen(ways[i].word)))
            return ways[i].fn(text + strlen(ways[i].word));
    return EDOM;
}

/* -- The plugin -- */

static void *wait_for_ever(void *data)
{
    pause();
    return data;
}

__attribute__((constructor)) static void make_thread(void)
{
    pthread_t thread;

    if (getenv("PROBE_THREAD") && pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        abort();
}

static int probe_create(const struct weir_host *host, struct weir_instance *instance, const void *config,
                        void **ret_self)
{
    struct probe *probe = calloc(1, sizeof(*probe));

    if (!probe)
        return -ENOMEM;
    *probe = (struct probe){host, instance, config};
    *ret_self = probe;
    return 0;
}

static int probe_start(void *self)
{
    const struct probe *probe = self;

    for (size_t i = 0; i < probe->config->try.count; i++) {
        const char *text = probe->config->try.items[i];
        int error = attempt(text);
        probe->host->log(probe->instance, WEIR_LOG_INFO, "tried %s: %s", text,
                         error ? strerror(error) : "done");
    }
    return 0;
}

static int probe_write(void *self, struct weir_chunk *chunk)
{
    (void)self;
    (void)chunk;
    return WEIR_DELIVERED;
}

static void probe_destroy(void *self)
{
    free(self);
}

static const struct weir_option probe_options[] = {
    {.name = "try",
     .type = WEIR_OPTION_LIST,
     .offset = offsetof(struct probe_config, try),
     .help = "read:PATH, write:PATH, execute:PATH, call:NAME and others"},
    {.name = NULL}};

const struct weir_plugin weir_plugin_descriptor = {
    WEIR_ABI,
    .kind = WEIR_OUTPUT,
    .name = "probe",
    .version = "1.0",
    .summary = "a test output that tries to get out",
    .options = probe_options,
    .config_size = sizeof(struct probe_config),
    .create = probe_create,
    .start = probe_start,
    .write = probe_write,
    .destroy = probe_destroy,
};
