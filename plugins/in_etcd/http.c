/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface driven by the input's loop: curl says which sockets and which time-out it waits
 * for. Bytes are only gathered inside curl's callbacks; what they mean is dealt with after it has returned,
 * since curl must not be entered again from within. Loop thread.
 */
#include "http.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct etcd_request {
    struct etcd_http *http;
    struct etcd_request *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    etcd_piece_fn piece;
    etcd_answer_fn answer;
    void *data;
    char *bytes;
    size_t size, room;
    bool too_large;
    char why[CURL_ERROR_SIZE];
};

struct etcd_http {
    const struct weir_host *host;
    struct weir_instance *instance;
    const struct etcd_settings *settings;
    CURLM *multi; /* NULL: none before the next request */
    struct weir_timer *timer;
    struct etcd_request *requests;
    bool handling; /* results are being dealt with */
    bool broken;   /* it is being begun anew: nothing can be asked */
};

/* -- Requests --------------------------------------------------------------------------------------- */

static void request_free(struct etcd_request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else if (r->http->requests == r)
        r->http->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    if (r->easy) {
        curl_multi_remove_handle(r->http->multi, r->easy);
        curl_easy_cleanup(r->easy);
    }
    curl_slist_free_all(r->headers);
    free(r->bytes);
    free(r);
}

void etcd_http_cancel(struct etcd_request *r)
{
    request_free(r);
}

/* curl's: gathers. */
static size_t on_bytes(char *bytes, size_t one, size_t size, void *data)
{
    struct etcd_request *r = data;

    (void)one;
    if (size > etcd_answer_max(r->http->settings) - r->size) {
        r->too_large = true;
        return 0;
    }
    if (r->size + size + 1 > r->room) {
        size_t room = (r->size + size + 1) * 2;
        char *larger = realloc(r->bytes, room);
        if (!larger)
            return 0;
        r->bytes = larger;
        r->room = room;
    }
    memcpy(r->bytes + r->size, bytes, size);
    r->size += size;
    r->bytes[r->size] = '\0';
    return size;
}

static bool add_header(struct etcd_request *r, const char *text)
{
    struct curl_slist *longer = curl_slist_append(r->headers, text);

    if (longer)
        r->headers = longer;
    return longer;
}

static bool add_headers(struct etcd_request *r, const struct etcd_query *q)
{
    char token[4096 + 32];

    if (q->token && (size_t)snprintf(token, sizeof(token), "Authorization: %s", q->token) >= sizeof(token))
        return false;
    return add_header(r, "Content-Type: application/json") && add_header(r, "Expect:") &&
           (!q->token || add_header(r, token)) &&
           /* A member that has no leader must end the watch, not keep it open in silence. */
           (!q->piece || add_header(r, "Grpc-Metadata-hasleader: true"));
}

static bool set_text(CURL *easy, CURLoption option, const char *text)
{
    return !text || curl_easy_setopt(easy, option, text) == CURLE_OK;
}

/* What libcurl copies, and may have no memory for: without one of these it would be another request. */
static bool set_texts(CURL *easy, const struct etcd_settings *s, const struct etcd_query *q)
{
    return set_text(easy, CURLOPT_URL, q->url) && set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
           /* etcd is asked directly, whatever the environment says */
           set_text(easy, CURLOPT_PROXY, "") && set_text(easy, CURLOPT_COPYPOSTFIELDS, q->body) &&
           set_text(easy, CURLOPT_CAINFO, s->ca_file) && set_text(easy, CURLOPT_SSLCERT, s->crt_file) &&
           set_text(easy, CURLOPT_SSLKEY, s->key_file);
}

static bool set_easy(struct etcd_request *r, const struct etcd_query *q)
{
    const struct etcd_settings *s = r->http->settings;
    CURL *easy = r->easy;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A name server that does not answer keeps curl's thread for a minute or more: it must not be waited for
     * here, when the request has run out of time, or at a stop. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 10L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(s->connect_timeout / 1000000));
    if (!q->piece)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(s->request_timeout / 1000000));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->why);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    return set_texts(easy, s, q);
}

static bool start_multi(struct etcd_http *);

struct etcd_request *etcd_http_ask(struct etcd_http *http, const struct etcd_query *q)
{
    if (http->broken || (!http->multi && !start_multi(http)))
        return NULL;
    struct etcd_request *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->http = http;
    r->piece = q->piece;
    r->answer = q->answer;
    r->data = q->data;
    r->next = http->requests;
    if (r->next)
        r->next->prev = r;
    http->requests = r;
    r->easy = curl_easy_init();
    if (!r->easy || !add_headers(r, q) || !set_easy(r, q) ||
        curl_multi_add_handle(http->multi, r->easy) != CURLM_OK) { /* it would never be answered */
        request_free(r);
        return NULL;
    }
    return r;
}

/* -- Results ---------------------------------------------------------------------------------------- */

static struct etcd_request *next_with_bytes(const struct etcd_http *http)
{
    struct etcd_request *r = http->requests;

    while (r && !(r->piece && r->size))
        r = r->next;
    return r;
}

/* Gives streams what has come. Whatever is called may cancel any request, so it begins anew after each. */
static void give_pieces(struct etcd_http *http)
{
    struct etcd_request *r;

    while ((r = next_with_bytes(http))) {
        char *bytes = r->bytes;
        size_t size = r->size;
        r->bytes = NULL;
        r->size = r->room = 0;
        r->piece(r->data, bytes, size);
        free(bytes);
    }
}

static void finish_request(struct etcd_request *r, CURLcode result)
{
    struct etcd_http *http = r->http;
    struct etcd_answer a = {.body = r->bytes ? r->bytes : "", .size = r->size, .local_ip = ""};
    char *ip = NULL, kept[64];

    if (r->too_large) {
        snprintf(r->why, sizeof(r->why), "the answer is larger than %zu MiB: all keys together hold too much",
                 etcd_answer_max(http->settings) >> 20);
        a.error = r->why;
    } else if (result != CURLE_OK)
        a.error = *r->why ? r->why : curl_easy_strerror(result);
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &a.code);
    if (curl_easy_getinfo(r->easy, CURLINFO_LOCAL_IP, &ip) == CURLE_OK && ip) {
        snprintf(kept, sizeof(kept), "%s", ip);
        a.local_ip = kept;
    }
    /* The callback may do anything but touch this request, which is out of the list now. */
    if (r->prev)
        r->prev->next = r->next;
    else
        http->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
    curl_multi_remove_handle(http->multi, r->easy);
    r->answer(r->data, &a);
    curl_easy_cleanup(r->easy);
    r->easy = NULL;
    request_free(r);
}

static void handle_results(struct etcd_http *http)
{
    CURLMsg *message;
    int left;

    if (http->handling)
        return;
    http->handling = true;
    give_pieces(http);
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct etcd_request *r = NULL;
        CURLcode result = message->data.result;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&r) == CURLE_OK && r)
            finish_request(r, result);
    }
    http->handling = false;
}

/* -- curl's needs ------------------------------------------------------------------------------------ */

/*
 * Where curl had no memory it is begun anew: it has not said when it wants to be called again, and of a
 * socket that there was no memory to note 7.88 keeps a half, and divides by zero when it gets one of the same
 * number.
 */
static void begin_anew(struct etcd_http *http)
{
    http->broken = true;
    while (http->requests)
        finish_request(http->requests, CURLE_OUT_OF_MEMORY);
    http->broken = false;
    curl_multi_cleanup(http->multi);
    http->multi = NULL;
    http->host->timer_set(http->timer, 0, 0);
}

static void act(struct etcd_http *http, curl_socket_t fd, int mask)
{
    int running;
    CURLMcode code = curl_multi_socket_action(http->multi, fd, mask, &running);

    handle_results(http);
    if (code != CURLM_OK)
        begin_anew(http);
}

static void on_socket_ready(void *data, int fd, uint32_t events)
{
    int mask = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events & EPOLLERR ? CURL_CSELECT_ERR : 0);

    act(data, fd, mask);
}

/*
 * Where the kernel has no memory for a watch, curl is not told: after an error from here it would refuse all
 * that is asked of it, for ever. Nothing is heard of that connection, so its request runs into its time-out
 * and is made again; pings find out what a deaf watch has missed.
 */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *assigned)
{
    struct etcd_http *http = data;
    struct weir_watch *watch = assigned;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            http->host->watch_remove(watch);
        curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (watch) {
        http->host->watch_set(watch, events);
        return 0;
    }
    watch = http->host->watch_add(http->host->loop(http->instance), fd, events, on_socket_ready, http);
    curl_multi_assign(http->multi, fd, watch);
    return 0;
}

static int on_timeout_wanted(CURLM *multi, long ms, void *data)
{
    struct etcd_http *http = data;

    (void)multi;
    http->host->timer_set(http->timer, ms < 0 ? 0 : (uint64_t)ms * 1000000 + 1, 0);
    return 0;
}

static void on_timer(void *data)
{
    act(data, CURL_SOCKET_TIMEOUT, 0);
}

/* -- Life ------------------------------------------------------------------------------------------- */

/* A thread of curl's that still asks for a name goes on when the plugin's file is closed: its code stays. */
static void *curl_code;

static void init_curl(void)
{
    Dl_info curl;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (dladdr((void *)(uintptr_t)curl_easy_init, &curl))
        curl_code = dlopen(curl.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

struct etcd_http *etcd_http_create(const struct weir_host *host, struct weir_instance *instance,
                                   const struct etcd_settings *settings)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct etcd_http *http = calloc(1, sizeof(*http));

    pthread_once(&once, init_curl);
    if (http)
        *http = (struct etcd_http){.host = host, .instance = instance, .settings = settings};
    return http;
}

static bool start_multi(struct etcd_http *http)
{
    http->multi = curl_multi_init();
    if (!http->multi)
        return false;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    return true;
}

int etcd_http_start(struct etcd_http *http)
{
    http->timer = http->host->timer_add(http->host->loop(http->instance), on_timer, http);
    return http->timer && start_multi(http) ? 0 : -ENOMEM;
}

void etcd_http_stop(struct etcd_http *http)
{
    while (http->requests)
        request_free(http->requests);
    if (http->multi)
        curl_multi_cleanup(http->multi);
    http->multi = NULL;
    if (http->timer)
        http->host->timer_remove(http->timer);
    http->timer = NULL;
}

void etcd_http_destroy(struct etcd_http *http)
{
    free(http);
}
