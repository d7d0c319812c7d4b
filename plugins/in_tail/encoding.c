/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iconv for what a text is, and its own answer to what a newline looks like. A line is decoded by itself,
 * which is right for every encoding whose lines begin in the initial state. Owns the buffer that text is
 * decoded into.
 */
#include "encoding.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Encodings whose order of bytes stands in the file. */
struct ordered {
    const char *name, *little, *big;
    size_t width;
};

static const struct ordered orders[] = {
    {"utf-16", "utf-16le", "utf-16be", 2}, {"utf16", "utf-16le", "utf-16be", 2},
    {"utf-32", "utf-32le", "utf-32be", 4}, {"utf32", "utf-32le", "utf-32be", 4},
    {"ucs-2", "utf-16le", "utf-16be", 2},  {"ucs-4", "utf-32le", "utf-32be", 4},
};

/* One way to read: two of them where the order is to be found out. */
struct reading {
    iconv_t cd;
    uint8_t newline[4];
    size_t width, mark; /* mark: which byte of a newline is not 0 */
};

struct tail_encoding {
    struct reading little, big;
    bool ordered;
    const struct reading *now;
    uint8_t *text;
    size_t room;
};

/* -- Opening ---------------------------------------------------------------------------------------- */

/* What a newline is: the second one that is written, behind whatever mark stands first. */
static int find_newline(struct reading *r, const char *name)
{
    char newline[] = "\n", text[16];
    iconv_t cd = iconv_open(name, "UTF-8");

    if (cd == (iconv_t)-1)
        return -EINVAL;
    for (int round = 0; round < 2; round++) {
        char *in = newline, *out = text;
        size_t left = 1, room = sizeof(text);
        r->width = iconv(cd, &in, &left, &out, &room) == (size_t)-1 ? 0 : sizeof(text) - room;
    }
    iconv_close(cd);
    if (r->width != 1 && r->width != 2 && r->width != 4)
        return -EINVAL;
    memcpy(r->newline, text, r->width);
    while (r->mark + 1 < r->width && !r->newline[r->mark])
        r->mark++;
    return 0;
}

static int reading_open(struct reading *r, const char *name)
{
    int rc = find_newline(r, name);

    r->cd = rc == 0 ? iconv_open("UTF-8", name) : (iconv_t)-1;
    return r->cd == (iconv_t)-1 ? -EINVAL : 0;
}

static const struct ordered *find_order(const char *name)
{
    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
        if (!strcasecmp(name, orders[i].name))
            return &orders[i];
    return NULL;
}

struct tail_encoding *tail_encoding_create(const char *name)
{
    const struct ordered *order = find_order(name);
    struct tail_encoding *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->big.cd = (iconv_t)-1;
    e->ordered = order;
    e->now = &e->little;
    if (reading_open(&e->little, order ? order->little : name) < 0 ||
        (order && reading_open(&e->big, order->big) < 0)) {
        tail_encoding_destroy(e);
        errno = EINVAL;
        return NULL;
    }
    return e;
}

void tail_encoding_destroy(struct tail_encoding *e)
{
    if (!e)
        return;
    if (e->little.cd != (iconv_t)-1)
        iconv_close(e->little.cd);
    if (e->big.cd != (iconv_t)-1)
        iconv_close(e->big.cd);
    free(e->text);
    free(e);
}

/* -- Lines ------------------------------------------------------------------------------------------ */

void tail_encoding_of_text(struct tail_encoding *e, const uint8_t *mark, size_t n)
{
    if (!e->ordered)
        return;
    bool big = e->little.width == 2 ? n >= 2 && mark[0] == 0xfe && mark[1] == 0xff
                                    : n >= 4 && !mark[0] && !mark[1] && mark[2] == 0xfe && mark[3] == 0xff;
    e->now = big ? &e->big : &e->little;
}

void tail_encoding_of_file(struct tail_encoding *e, int fd)
{
    uint8_t mark[4] = {0};

    if (!e->ordered)
        return;
    ssize_t n = pread(fd, mark, sizeof(mark), 0);
    tail_encoding_of_text(e, mark, n > 0 ? (size_t)n : 0);
}

size_t tail_encoding_width(const struct tail_encoding *e)
{
    return e->little.width;
}

const uint8_t *tail_encoding_newline(const struct tail_encoding *e, const uint8_t *data, size_t size)
{
    const struct reading *r = e->now;

    if (r->width == 1)
        return memchr(data, r->newline[0], size);
    for (size_t at = 0; at + r->width <= size;) {
        const uint8_t *p = memchr(data + at + r->mark, r->newline[r->mark], size - at - r->mark);
        if (!p)
            break;
        at = (size_t)(p - data) / r->width * r->width;
        if (at + r->width <= size && !memcmp(data + at, r->newline, r->width))
            return data + at;
        at += r->width; /* a unit with that byte in it is no newline, wherever the byte stands */
    }
    return NULL;
}

/* -- Decoding --------------------------------------------------------------------------------------- */

static int make_room(struct tail_encoding *e, size_t room)
{
    if (room <= e->room)
        return 0;
    uint8_t *larger = realloc(e->text, room);
    if (!larger)
        return -ENOMEM;
    e->text = larger;
    e->room = room;
    return 0;
}

static char *put_replacement(char *out)
{
    memcpy(out, "\xef\xbf\xbd", 3);
    return out + 3;
}

int tail_encoding_decode(struct tail_encoding *e, const uint8_t *data, size_t size, bool start, bool partial,
                         struct tail_decoded *ret)
{
    const struct reading *r = e->now;
    size_t left = size;

    if (make_room(e, TAIL_DECODED_MAX(size)) < 0)
        return -ENOMEM;
    *ret = (struct tail_decoded){.text = e->text};
    char *in = (char *)(uintptr_t)data, *out = (char *)e->text;
    iconv(r->cd, NULL, NULL, NULL, NULL);
    while (left) {
        size_t room = e->room - (size_t)(out - (char *)e->text);
        if (iconv(r->cd, &in, &left, &out, &room) != (size_t)-1)
            break;
        if (errno == E2BIG || (errno == EINVAL && partial))
            break;
        /* one unit that is no character, or the rest of one */
        size_t skip = errno == EILSEQ && left > r->width ? r->width : left;
        in += skip;
        left -= skip;
        ret->invalid++;
        if (e->room - (size_t)(out - (char *)e->text) < 3)
            break;
        out = put_replacement(out);
    }
    ret->used = size - left;
    ret->size = (size_t)(out - (char *)e->text);
    if (start && ret->size >= 3 && !memcmp(e->text, "\xef\xbb\xbf", 3)) {
        ret->text += 3;
        ret->size -= 3;
    }
    return 0;
}
