/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir status` and `weir reload`: one HTTP/1.0 request to a running weir, whose answer ends with the
 * connection. Control thread of a process that does nothing else.
 */
#include "ask.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "address.h"
#include "engine.h"
#include "status_print.h"

enum { LONGEST_ANSWER = 64 << 20, PATIENCE = 10 /* s */ };

static int complain(const struct service *s, const char *why)
{
    char port[24] = "";

    if (strncmp(s->http_listen, ADDRESS_UNIX, strlen(ADDRESS_UNIX)) != 0)
        snprintf(port, sizeof(port), " port %d", (int)s->http_port);
    fprintf(stderr, "error: weir at %s%s: %s\n", s->http_listen, port, why);
    return EXIT_FAILED;
}

/* `what` is the request without its version, "GET /metrics". */
static int send_request(int fd, const struct service *s, const char *what)
{
    char *text = NULL;
    bool token = s->http_token && *s->http_token;
    int size =
        asprintf(&text, "%s HTTP/1.0\r\nHost: localhost\r\n%s%s%s\r\n", what,
                 token ? "Authorization: Bearer " : "", token ? s->http_token : "", token ? "\r\n" : "");
    int sent = 0;

    if (size < 0)
        return -ENOMEM;
    while (sent < size) {
        ssize_t n = send(fd, text + sent, (size_t)(size - sent), MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            break;
        sent += n > 0 ? (int)n : 0;
    }
    int rc = sent < size ? -errno : 0;
    free(text);
    return rc;
}

/* All until the end of the connection, with a NUL behind. */
static int read_answer(int fd, char **ret, size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0, room = 0;

    for (;;) {
        if (size + 1 >= room) {
            room = room ? room * 2 : 64 << 10;
            char *larger = room <= LONGEST_ANSWER ? realloc(text, room) : NULL;
            if (!larger) {
                free(text);
                return -EMSGSIZE;
            }
            text = larger;
        }
        ssize_t n = recv(fd, text + size, room - size - 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            text[size] = '\0';
            *ret = text;
            *ret_size = size;
            return n < 0 ? -errno : 0;
        }
        size += (size_t)n;
    }
}

/* Whether less than the head promises has come: weir ended while it answered. */
static bool is_cut(const char *head, const char *body, size_t size)
{
    static const char name[] = "Content-Length:";

    for (const char *line = head; line < body; line = strchr(line, '\n') + 1)
        if (!strncasecmp(line, name, strlen(name)))
            return strtoull(line + strlen(name), NULL, 10) > size;
    return false;
}

/* Asks, and gives the answer's status and body; *ret_answer is what the caller frees. 0, or an exit status
 * after saying what is wrong. */
static int ask(const struct service *s, const char *what, bool patient, char **ret_answer, int *ret_code,
               char **ret_body)
{
    char *why = NULL, *answer = NULL;
    size_t size = 0;
    int fd = address_connect(s->http_listen, (uint16_t)s->http_port, PATIENCE, &why);

    *ret_answer = NULL;
    if (fd < 0) {
        fprintf(stderr, "error: can't reach weir: %s; does it run, with http_server: on?\n",
                why ? why : strerror(-fd));
        free(why);
        return EXIT_FAILED;
    }
    const struct timeval for_ever = {0}; /* a reload lasts as long as outputs need, within their grace */
    if (patient)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
    int rc = send_request(fd, s, what);
    if (rc == 0)
        rc = read_answer(fd, &answer, &size);
    close(fd);
    if (rc < 0)
        return complain(s, strerror(-rc));
    *ret_answer = answer;
    char *end = strstr(answer, "\r\n\r\n");
    if (sscanf(answer, "HTTP/1.%*d %d", ret_code) != 1 || !end)
        return complain(s, "what answers there is no weir");
    *ret_body = end + 4;
    if (is_cut(answer, *ret_body, size - (size_t)(*ret_body - answer)))
        return complain(s, "it ended in the middle of its answer");
    return EXIT_STOPPED;
}

/* Says what the server answered instead of what was wanted. */
static int complain_of(const struct service *s, int code, const char *body)
{
    char why[256];

    snprintf(why, sizeof(why), "%d, %.*s", code, (int)strcspn(body, "\n"), body);
    return complain(s, why);
}

int ask_status(const struct service *s, bool json)
{
    char *answer, *body;
    int code, status = ask(s, "GET /api/v1/status?files=1000&sort=lag", false, &answer, &code, &body);

    if (status == EXIT_STOPPED && code != 200)
        status = complain_of(s, code, body);
    else if (status == EXIT_STOPPED && json)
        status = fputs(body, stdout) < 0 ? EXIT_FAILED : EXIT_STOPPED;
    else if (status == EXIT_STOPPED && status_print(stdout, body) < 0)
        status = complain(s, "what it answered is no status");
    free(answer);
    return status;
}

/* Prints the answer's message, which is lines. */
static int print_message(const struct service *s, const char *body, bool applied)
{
    json_t *whole = json_loads(body, 0, NULL);
    const char *message = json_string_value(json_object_get(whole, "message"));
    int status = applied ? EXIT_STOPPED : EXIT_CONFIG;

    if (message)
        fputs(message, applied ? stdout : stderr);
    else
        status = complain(s, "what it answered tells of no reload");
    json_decref(whole);
    return status;
}

int ask_reload(const struct service *s)
{
    char *answer, *body;
    int code, status = ask(s, "POST /api/v1/reload", true, &answer, &code, &body);

    if (status == EXIT_STOPPED)
        status =
            code == 200 || code == 409 ? print_message(s, body, code == 200) : complain_of(s, code, body);
    free(answer);
    return status;
}
