/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The marks of all threads, the look for those that hang (the thread that looks: control), and the crash
 * handler, which runs on whatever thread has crashed and does only what a signal handler may.
 */
#include "callback.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include "code_range.h"
#include "log.h"
#include "loop.h"

enum { STACK = 32 << 10, LINE = 512, LONGEST_ALIAS = 128 };

_Thread_local struct callback_mark callback_now;
static _Thread_local char crash_stack[STACK];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct callback_mark *all; /* written under the lock; the crash handler reads it without */

struct rcstring *callback_owner(void)
{
    struct rcstring *alias = atomic_load_explicit(&callback_now.alias, memory_order_relaxed);

    return alias ? rcstring_ref(alias) : NULL;
}

void callback_thread_begin(void)
{
    stack_t stack = {.ss_sp = crash_stack, .ss_size = sizeof(crash_stack)};

    sigaltstack(&stack, NULL);
    pthread_mutex_lock(&lock);
    callback_now.next = all;
    all = &callback_now;
    pthread_mutex_unlock(&lock);
}

void callback_thread_end(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    struct callback_mark **at = &all;

    pthread_mutex_lock(&lock);
    while (*at && *at != &callback_now)
        at = &(*at)->next;
    if (*at)
        *at = callback_now.next;
    pthread_mutex_unlock(&lock);
    sigaltstack(&none, NULL);
}

/* -- Hangs ---------------------------------------------------------------------------------------------- */

/* The same callback as at the last look, for that long; 0: another one, or none. */
static uint64_t age(struct callback_mark *m, uint64_t now)
{
    unsigned number = atomic_load(&m->number);

    if (number != m->seen || m->since == 0) {
        m->seen = number;
        m->since = now;
    }
    return atomic_load(&m->what) ? now - m->since : 0;
}

static void tell(struct callback_mark *m, uint64_t ns, void (*fn)(const char *, const char *, uint64_t))
{
    const char *what = atomic_load(&m->what);
    struct rcstring *alias = atomic_load(&m->alias);

    m->told = m->seen;
    if (what)
        fn(alias ? alias->chars : "", what, ns);
}

void callback_watch(uint64_t limit, void (*fn)(const char *alias, const char *what, uint64_t ns))
{
    uint64_t now = loop_now();

    pthread_mutex_lock(
        &lock); /* no thread comes or goes meanwhile; one that hangs does not let go of its alias */
    for (struct callback_mark *m = all; m; m = m->next) {
        uint64_t ns = m == &callback_now ? 0 : age(m, now);
        if (ns >= limit && m->told != m->seen)
            tell(m, ns, fn);
    }
    pthread_mutex_unlock(&lock);
}

/* -- Crashes -------------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void callback_handle_crashes(void)
{
}
#else

struct text {
    char chars[LINE];
    size_t size;
};

static void add(struct text *t, const char *text)
{
    while (*text && t->size < sizeof(t->chars) - 1)
        t->chars[t->size++] = *text++;
}

/* An alias has plain characters only; what is none is memory that is gone. */
static void add_alias(struct text *t, const struct rcstring *alias)
{
    size_t i = 0;

    for (; alias && i < LONGEST_ALIAS && alias->chars[i] > ' ' && alias->chars[i] < 127 &&
           alias->chars[i] != '"' && alias->chars[i] != '\\' && t->size < sizeof(t->chars) - 1;
         i++)
        t->chars[t->size++] = alias->chars[i];
    if (i == 0)
        add(t, "a plugin");
}

static const char *signal_name(int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    case SIGABRT:
        return "SIGABRT";
    default:
        return "a signal";
    }
}

static void add_mark(struct text *t, const struct callback_mark *m)
{
    add_alias(t, atomic_load_explicit(&m->alias, memory_order_relaxed));
    add(t, ", in its callback '");
    add(t, atomic_load_explicit(&m->what, memory_order_relaxed));
    add(t, "'");
}

/* Where the other threads are: who ends a hanging process with SIGABRT, as a service manager's watchdog does,
 * wants to know. */
static void add_others(struct text *t)
{
    const char *between = "; plugins' callbacks that run: ";

    for (const struct callback_mark *m = all; m; m = m->next) {
        if (m == &callback_now || !atomic_load_explicit(&m->what, memory_order_relaxed))
            continue;
        add(t, between);
        add_mark(t, m);
        between = "; ";
    }
}

/* Where the thread was; 0: not known on this processor. */
static uintptr_t address_of(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* A thread that is none of ours: one that a plugin made, or a library of its. */
static void add_stranger(struct text *t, const ucontext_t *context)
{
    const char *plugin = code_range_find(address_of(context));

    if (plugin) {
        add(t, " in the code of the plugin '");
        add(t, plugin);
        add(t, "',");
    }
    add(t, " in a thread that was in no plugin's callback");
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    struct text t = {.size = 0};

    add(&t, "crashed: ");
    add(&t, signal_name(number));
    if (atomic_load_explicit(&callback_now.what, memory_order_relaxed)) {
        add(&t, " in the code of ");
        add_mark(&t, &callback_now);
    } else {
        add_stranger(&t, context);
    }
    if (number == SIGABRT)
        add_others(&t);
    t.chars[t.size] = '\0';
    log_crash(t.chars);
    /* The handler is gone (SA_RESETHAND): the instruction that failed fails again, and that ends the process.
     * What was sent by somebody, or by abort, is sent again. */
    if (info->si_code <= 0)
        raise(number);
}

void callback_handle_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        sigaction(signals[i], &action, NULL);
}
#endif
