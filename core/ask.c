/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir status`: one HTTP/1.0 request to a running weir, whose answer ends with the connection. Control
 * thread of a process that does nothing else.
 */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "address.h"
#include "engine.h"
#include "status_print.h"

enum { LONGEST_ANSWER = 64 << 20 };

static int complain(const struct service *s, const char *why)
{
    fprintf(stderr, "error: weir at %s port %d: %s\n", s->http_listen, (int)s->http_port, why);
    return EXIT_FAILED;
}

static int send_request(int fd, const struct service *s)
{
    char *text = NULL;
    bool token = s->http_token && *s->http_token;
    int size =
        asprintf(&text, "GET /api/v1/status?files=1000 HTTP/1.0\r\nHost: localhost\r\n%s%s%s\r\n",
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
static int read_answer(int fd, char **ret)
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
            return n < 0 ? -errno : 0;
        }
        size += (size_t)n;
    }
}

/* Prints the body of an answer, or what the server said instead. */
static int show(const struct service *s, const char *answer, bool json)
{
    const char *body = strstr(answer, "\r\n\r\n");
    int code = 0;

    if (sscanf(answer, "HTTP/1.%*d %d", &code) != 1 || !body)
        return complain(s, "what answers there is no weir");
    body += 4;
    if (code != 200) {
        char why[256];
        snprintf(why, sizeof(why), "%d, %.*s", code, (int)strcspn(body, "\n"), body);
        return complain(s, why);
    }
    if (json)
        return fputs(body, stdout) < 0 ? EXIT_FAILED : EXIT_STOPPED;
    return status_print(stdout, body) < 0 ? complain(s, "what it answered is no status") : EXIT_STOPPED;
}

int ask_status(const struct service *s, bool json)
{
    char *why = NULL, *answer = NULL;
    int fd = address_connect(s->http_listen, (uint16_t)s->http_port, &why);

    if (fd < 0) {
        fprintf(stderr, "error: can't reach weir: %s; does it run, with http_server: on?\n",
                why ? why : strerror(-fd));
        free(why);
        return EXIT_FAILED;
    }
    int rc = send_request(fd, s);
    if (rc == 0)
        rc = read_answer(fd, &answer);
    close(fd);
    int status = rc < 0 ? complain(s, strerror(-rc)) : show(s, answer, json);
    free(answer);
    return status;
}
