/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin address. libmicrohttpd has an epoll descriptor of its own, which the control loop watches; there
 * is no thread, and no timer while nobody is connected. A status that must be asked for suspends its
 * connection.
 */
#include "admin.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "address.h"
#include "admin_clients.h"
#include "admin_guard.h"
#include "engine_private.h"
#include "log.h"
#include "mhd.h"
#include "page.h"
#include "reload.h"
#include "status.h"
#include "status_text.h"

/* Of all clients together: more wait in the kernel's queue, and slow ones are let go after a while. */
enum {
    CONNECTIONS = 128,
    CROWDED = CONNECTIONS * 3 / 4,
    CONNECTION_MEMORY = 16 << 10,
    IDLE_SECONDS = 10,
    FILES_DEFAULT = 100,
    FILES_MAX = 10000
};

struct admin {
    struct engine *engine;
    struct status *status;
    const struct service *service;
    struct admin_clients clients;
    struct MHD_Daemon *daemon;
    struct weir_watch *watch;
    struct weir_timer *timer;
};

/* One request, from its first line until its answer is out. */
struct exchange {
    struct admin *admin;
    struct MHD_Connection *connection;
    char *json; /* the status, once it is there */
    size_t size;
    bool asked, answered;
    bool applied; /* a reload that went well */
};

/* -- Answers ---------------------------------------------------------------------------------------- */

/* What every answer has: nobody keeps it, no other site gets at it. */
static void add_headers(struct MHD_Response *r, const char *type)
{
    mhd.add_response_header(r, "Content-Type", type);
    mhd.add_response_header(r, "Cache-Control", "no-store");
    mhd.add_response_header(r, "X-Content-Type-Options", "nosniff");
    mhd.add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    mhd.add_response_header(r, "Referrer-Policy", "no-referrer");
    mhd.add_response_header(r, "Content-Security-Policy", PAGE_POLICY);
}

/* Takes text over: malloc's, or NULL. `allow`: the methods that are, or NULL. */
static enum MHD_Result respond(struct MHD_Connection *c, unsigned code, const char *type, const char *allow,
                               char *text, size_t size)
{
    struct MHD_Response *r = text ? mhd.create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE) : NULL;

    if (!r) {
        free(text);
        return MHD_NO;
    }
    add_headers(r, type);
    if (code == MHD_HTTP_UNAUTHORIZED)
        mhd.add_response_header(r, "WWW-Authenticate", "Bearer");
    if (allow)
        mhd.add_response_header(r, "Allow", allow);
    enum MHD_Result rc = mhd.queue_response(c, code, r);
    mhd.destroy_response(r);
    return rc;
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned code, const char *type, char *text,
                             size_t size)
{
    return respond(c, code, type, NULL, text, size);
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned code, const char *text)
{
    char *copy = strdup(text);

    return reply(c, code, "text/plain; charset=utf-8", copy, strlen(text));
}

static enum MHD_Result reply_page(struct MHD_Connection *c, const struct page_file *page)
{
    struct MHD_Response *r =
        mhd.create_response_from_buffer(page->file->size, (void *)page->file->data, MHD_RESPMEM_PERSISTENT);

    if (!r)
        return MHD_NO;
    add_headers(r, page->type);
    enum MHD_Result rc = mhd.queue_response(c, MHD_HTTP_OK, r);
    mhd.destroy_response(r);
    return rc;
}

static enum MHD_Result reply_ready(struct admin *a, struct MHD_Connection *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return MHD_NO;
    bool ready = status_ready(a->engine, f);
    fclose(f);
    return reply(c, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "application/json", text, size);
}

/* -- The status ------------------------------------------------------------------------------------- */

/* A query argument of digits only; false: it is something else. */
static bool read_number(struct MHD_Connection *c, const char *name, uint64_t def, uint64_t max, uint64_t *ret)
{
    const char *text = mhd.lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
    char *end;

    *ret = def;
    if (!text)
        return true;
    if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 18)
        return false;
    *ret = strtoull(text, &end, 10);
    if (*ret > max)
        *ret = max;
    return true;
}

static void suspend(struct admin *a, struct exchange *x)
{
    x->asked = true;
    admin_clients_turn(&a->clients, x->connection, ADMIN_WAITS);
    mhd.suspend_connection(x->connection);
}

static void on_status(void *data, char *json, size_t size)
{
    struct exchange *x = data;

    x->json = json;
    x->size = size;
    x->answered = true;
    admin_clients_turn(&x->admin->clients, x->connection, ADMIN_TAKES);
    mhd.resume_connection(x->connection);
    loop_timer_set(x->admin->timer, 1, 0); /* its own epoll descriptor does not tell of this */
}

static enum MHD_Result reply_status(struct admin *a, struct exchange *x)
{
    struct status_page page;

    if (x->answered) {
        char *json = x->json;
        x->json = NULL;
        return json ? reply(x->connection, MHD_HTTP_OK, "application/json", json, x->size)
                    : reply_text(x->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "weir is ending\n");
    }
    if (!read_number(x->connection, "files", FILES_DEFAULT, FILES_MAX, &page.limit) ||
        !read_number(x->connection, "offset", 0, UINT64_MAX, &page.offset))
        return reply_text(x->connection, MHD_HTTP_BAD_REQUEST, "files and offset are whole numbers\n");
    const char *sort = mhd.lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, "sort");
    page.worst_first = sort && !strcmp(sort, "lag");
    if (sort && !page.worst_first)
        return reply_text(x->connection, MHD_HTTP_BAD_REQUEST, "sort is lag, or left out\n");
    suspend(a, x);
    if (status_ask(a->status, page, on_status, x) < 0)
        on_status(x, NULL, 0);
    return MHD_YES;
}

static enum MHD_Result reply_metrics(struct admin *a, struct exchange *x)
{
    if (x->answered) {
        char *text = x->json;
        x->json = NULL;
        return text ? reply(x->connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text,
                            x->size)
                    : reply_text(x->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "weir is ending\n");
    }
    suspend(a, x);
    if (status_ask_metrics(a->status, on_status, x) < 0)
        on_status(x, NULL, 0);
    return MHD_YES;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return mhd.lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* -- Reload ----------------------------------------------------------------------------------------- */

static void on_reloaded(void *data, bool applied, const char *text)
{
    struct exchange *x = data;
    struct text_out out = {0};

    text_open(&out, '{');
    text_key(&out, "applied");
    text_raw(&out, applied ? "true" : "false", applied ? 4 : 5);
    text_count(&out, "generation", x->admin->engine->generation);
    text_member(&out, "message", text);
    text_close(&out, '}');
    char *json = text_take(&out);
    x->applied = applied;
    on_status(x, json, json ? strlen(json) : 0);
}

static enum MHD_Result reply_reload(struct admin *a, struct exchange *x)
{
    if (x->answered) {
        char *json = x->json;
        x->json = NULL;
        return json ? reply(x->connection, x->applied ? MHD_HTTP_OK : MHD_HTTP_CONFLICT, "application/json",
                            json, x->size)
                    : reply_text(x->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not enough memory\n");
    }
    suspend(a, x);
    reload_ask(a->engine->reload, on_reloaded, x);
    return MHD_YES;
}

/* Whether weir may be changed by that request. A page in a browser always sends an Origin. */
static const char *why_no_change(const struct admin *a, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = mhd.get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (header(c, "Origin"))
        return "a request with an Origin, as browsers send it, changes nothing here\n";
    if (!(a->service->http_token && *a->service->http_token) &&
        !admin_is_local(info ? info->client_addr : NULL))
        return "from another machine this needs a bearer token: set service.http_token\n";
    return NULL;
}

/* -- Requests --------------------------------------------------------------------------------------- */

static const char reload_url[] = "/api/v1/reload";

static enum MHD_Result reply_refusal(struct MHD_Connection *c, unsigned code, const char *url,
                                     const char *why)
{
    const char *allow = strcmp(url, reload_url) ? "GET, HEAD" : "POST";

    return respond(c, code, "text/plain; charset=utf-8", code == MHD_HTTP_METHOD_NOT_ALLOWED ? allow : NULL,
                   strdup(why), strlen(why));
}

/* 0, or the answer to who may not ask, or not so. */
static unsigned refuse(const struct admin *a, struct MHD_Connection *c, const char *url, const char *method,
                       const char **ret_why)
{
    bool reload = !strcmp(url, reload_url);
    struct page_file page;

    if (!admin_host_allowed(header(c, MHD_HTTP_HEADER_HOST), &a->service->http_hosts)) {
        *ret_why =
            "this Host is not served: ask by IP address or localhost, or name it in service.http_hosts\n";
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    /* The page holds nothing to be kept from anybody: it asks for the token itself. */
    if (!page_find(url, &page) &&
        !admin_token_allowed(header(c, MHD_HTTP_HEADER_AUTHORIZATION), a->service->http_token)) {
        *ret_why = "a bearer token is needed: service.http_token\n";
        return MHD_HTTP_UNAUTHORIZED;
    }
    if (reload ? strcmp(method, MHD_HTTP_METHOD_POST) != 0
               : strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *ret_why = reload ? "a reload is asked for with POST\n" : "only GET and HEAD are known here\n";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    *ret_why = reload ? why_no_change(a, c) : NULL;
    return *ret_why ? MHD_HTTP_FORBIDDEN : 0;
}

static enum MHD_Result answer(struct admin *a, struct exchange *x, const char *url)
{
    struct page_file page;

    if (page_find(url, &page))
        return reply_page(x->connection, &page);
    if (!strcmp(url, "/healthz"))
        return reply_text(x->connection, MHD_HTTP_OK, "ok\n");
    if (!strcmp(url, "/readyz"))
        return reply_ready(a, x->connection);
    if (!strcmp(url, "/metrics"))
        return reply_metrics(a, x);
    if (!strcmp(url, "/api/v1/status"))
        return reply_status(a, x);
    if (!strcmp(url, reload_url))
        return reply_reload(a, x);
    return reply_text(x->connection, MHD_HTTP_NOT_FOUND,
                      "there are /, /metrics, /healthz, /readyz, /api/v1/status and (POST) /api/v1/reload\n");
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size,
                                  void **ret_exchange)
{
    struct exchange *x = *ret_exchange;
    const char *why = NULL;

    (void)version;
    (void)upload;
    if (!x) {
        x = calloc(1, sizeof(*x));
        if (!x)
            return MHD_NO;
        x->connection = c;
        x->admin = data;
        *ret_exchange = x;
        admin_clients_turn(&x->admin->clients, c, ADMIN_TAKES);
        return MHD_YES;
    }
    if (*upload_size) { /* nothing that is known wants a body */
        *upload_size = 0;
        return MHD_YES;
    }
    if (x->asked && !x->answered)
        return MHD_YES;
    /* Who was let in gets the answer, though the token may have changed with it. */
    unsigned code = x->answered ? 0 : refuse(data, c, url, method, &why);
    return code ? reply_refusal(c, code, url, why) : answer(data, x, url);
}

static void on_completed(void *data, struct MHD_Connection *c, void **exchange,
                         enum MHD_RequestTerminationCode why)
{
    struct admin *a = data;
    struct exchange *x = *exchange;

    (void)why;
    admin_clients_turn(&a->clients, c, ADMIN_ASKS); /* another one, on the same connection */
    if (x)
        free(x->json);
    free(x);
    *exchange = NULL;
}

/* libmicrohttpd's complaints are about clients. */
static void on_complaint(void *data, const char *format, va_list args) WEIR_PRINTF(2, 0);
static void on_complaint(void *data, const char *format, va_list args)
{
    (void)data;
    log_vwrite(WEIR_LOG_DEBUG, "http", format, args);
}

/* -- The loop --------------------------------------------------------------------------------------- */

static void work(struct admin *a)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    bool full = a->clients.count >= CONNECTIONS;

    mhd.run(a->daemon);
    /* It stops and begins to listen at the beginning of a turn only, and there may be no other. */
    if (full && a->clients.count < CONNECTIONS)
        mhd.run(a->daemon);
    uint64_t next = admin_clients_prune(&a->clients);
    if (mhd.get_timeout(a->daemon, &ms) == MHD_YES && (!next || ms * 1000000 + 1 < next))
        next = ms * 1000000 + 1;
    loop_timer_set(a->timer, next, 0);
}

static void on_ready(void *data, int fd, uint32_t events)
{
    (void)fd, (void)events;
    work(data);
}

static void on_timer(void *data)
{
    work(data);
}

static int start_daemon(struct admin *a, int listener)
{
    a->daemon = mhd.start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                                 on_request, a, MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL,
                                 MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, a, MHD_OPTION_NOTIFY_CONNECTION,
                                 admin_clients_notify, &a->clients, MHD_OPTION_END);
    if (!a->daemon) {
        close(listener);
        return -ENOMEM;
    }
    const union MHD_DaemonInfo *info = mhd.get_daemon_info(a->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    a->timer = loop_timer_add(a->engine->control, on_timer, a);
    a->watch = info ? loop_watch_add(a->engine->control, info->epoll_fd, EPOLLIN, on_ready, a) : NULL;
    if (!a->timer || !a->watch)
        return -ENOMEM;
    work(a); /* only now does it begin to watch the listening socket */
    return 0;
}

static int load_library(void)
{
    const char *why = mhd_load();

    if (why)
        log_error(
            "http",
            "libmicrohttpd can't be loaded: %s; install it (Debian: libmicrohttpd12), or set service.http_server: off",
            why);
    return why ? -ELIBACC : 0;
}

static int start_listening(struct admin *a)
{
    const struct service *s = a->service;
    char *why = NULL;

    if (load_library())
        return -ELIBACC;
    int listener = address_listen(s->http_listen, (uint16_t)s->http_port, &why);
    int rc = listener < 0 ? listener : start_daemon(a, listener);

    if (rc < 0)
        log_error("http", "%s (service.http_listen, http_port)", why ? why : strerror(-rc));
    else if (!strncmp(s->http_listen, ADDRESS_UNIX, strlen(ADDRESS_UNIX)))
        log_info("http", "metrics, health and status at %s", s->http_listen);
    else
        log_info("http", "metrics, health and status at %s port %d", s->http_listen, (int)s->http_port);
    free(why);
    return rc;
}

int admin_create(struct engine *e, struct status *status, struct admin **ret_admin)
{
    const struct service *s = engine_service(e);

    *ret_admin = NULL;
    if (!s->http_server)
        return 0;
    struct admin *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    *a = (struct admin){.engine = e, .status = status, .service = s, .clients.many = CROWDED};
    int rc = start_listening(a);
    if (rc < 0)
        admin_destroy(a);
    else
        *ret_admin = a;
    return rc;
}

static void remove_socket_file(const struct service *s)
{
    size_t length = strlen(ADDRESS_UNIX);

    if (!strncmp(s->http_listen, ADDRESS_UNIX, length))
        unlink(s->http_listen + length);
}

void admin_destroy(struct admin *a)
{
    if (!a)
        return;
    if (a->watch)
        loop_watch_remove(a->watch);
    if (a->timer)
        loop_timer_remove(a->timer);
    if (a->daemon) {
        mhd.run(a->daemon); /* what was resumed must be known to it before it may stop */
        mhd.stop_daemon(a->daemon);
        remove_socket_file(a->service);
    }
    free(a);
}
