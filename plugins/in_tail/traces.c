/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shapes of traces, as small state machines over whole lines. Most lines of most logs begin no trace:
 * that is decided by a look at what stands before each colon and at the line's end. No state; any thread.
 */
#include "traces.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum state {
    NONE,
    JAVA_HEAD,   /* behind the line that names the exception */
    JAVA_NESTED, /* behind "nested exception is:" */
    JAVA_FRAMES,
    PYTHON_FRAMES,
    PYTHON_GROUP,    /* within an exception group, all of which is indented */
    PYTHON_END,      /* behind the line that names the exception */
    PYTHON_GAP,      /* an empty line behind that */
    PYTHON_LINK,     /* "During handling of the above exception, …" */
    PYTHON_LINK_GAP, /* an empty line behind that */
    GO_HEAD,         /* behind the line that says what happened */
    GO_GAP,          /* behind an empty line: a goroutine is to come */
    GO_CALL,         /* a function is to come */
    GO_PLACE         /* its file is to come */
};

/* A line that is looked at from its start. */
struct at {
    const char *p, *end;
};

static struct at at_start(const uint8_t *line, size_t size)
{
    size -= size > 0 && line[size - 1] == '\r';
    return (struct at){(const char *)line, (const char *)line + size};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Moves past blanks; how many there were. */
static size_t skip_blanks(struct at *at)
{
    const char *before = at->p;
    while (at->p < at->end && is_blank(*at->p)) {
        at->p++;
    }
    return (size_t)(at->p - before);
}

static bool is_at_end(struct at at)
{
    return at.p == at.end;
}

static bool starts(struct at at, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(at.end - at.p) >= size && memcmp(at.p, word, size) == 0;
}

static bool equals(struct at at, const char *text)
{
    return (size_t)(at.end - at.p) == strlen(text) && starts(at, text);
}

/* Whether the word stands directly before `end`. */
static bool ends(const char *begin, const char *end, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(end - begin) >= size && memcmp(end - size, word, size) == 0;
}

unsigned tail_language_of(const char *name)
{
    static const struct {
        const char *name;
        unsigned language;
    } all[] = {{"java", TAIL_JAVA}, {"python", TAIL_PYTHON}, {"go", TAIL_GO}};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (strcmp(name, all[i].name) == 0) {
            return all[i].language;
        }
    }
    return 0;
}

/* -- Java ------------------------------------------------------------------------------------------- */

/* What stands before `p` names an exception. */
static bool java_names(const char *begin, const char *p)
{
    if (p == begin) {
        return false;
    }
    switch (p[-1]) {
    case 'n':
        return ends(begin, p, "Exception");
    case 'r':
        return ends(begin, p, "Error");
    case 'e':
        return ends(begin, p, "Throwable");
    default:
        return false;
    }
}

/* "\tat com.example.Main.main(Main.java:5)", and "    at eval at f (…)" of others that print the same way. */
static bool java_frame(struct at at)
{
    return skip_blanks(&at) > 0 && (starts(at, "at ") || starts(at, "eval at "));
}

static bool java_names_somewhere(struct at at)
{
    for (const char *p = at.p; (p = memchr(p, ':', (size_t)(at.end - p))); p++) {
        if (java_names(at.p, p)) {
            return true;
        }
    }
    return java_names(at.p, at.end);
}

static bool java_elided(struct at at)
{
    return starts(at, "... ") && at.end - at.p > 4 && isdigit((unsigned char)at.p[4]);
}

static unsigned java_next(unsigned state, struct at at)
{
    struct at text = at;
    size_t blanks = skip_blanks(&text);
    if (state == JAVA_NESTED) {
        return java_names_somewhere(at) ? JAVA_HEAD : NONE;
    }
    if (state == JAVA_HEAD && is_at_end(text)) {
        return JAVA_HEAD;
    }
    if (state == JAVA_HEAD && starts(text, "nested exception is:")) {
        return JAVA_NESTED;
    }
    if (starts(text, "Caused by:") || starts(text, "Suppressed:")) {
        return JAVA_HEAD;
    }
    bool frames = (blanks > 0 && (starts(text, "at ") || starts(text, "eval at "))) || java_elided(text) ||
                  starts(text, "--- End of ") || (blanks > 0 && starts(text, "[CIRCULAR REFERENCE:"));
    return frames ? JAVA_FRAMES : NONE;
}

/* -- Python ----------------------------------------------------------------------------------------- */

static const char PYTHON_START[] = "Traceback (most recent call last):";

static unsigned python_begin(struct at at)
{
    if (starts(at, "Traceback")) {
        return equals(at, PYTHON_START) ? PYTHON_FRAMES : NONE;
    }
    static const char group[] = "+ Exception Group ";
    if (skip_blanks(&at) == 0 || !starts(at, group)) {
        return NONE;
    }
    return equals((struct at){at.p + sizeof(group) - 1, at.end}, PYTHON_START) ? PYTHON_GROUP : NONE;
}

/* "package.SomeError: what", or without what. */
static bool python_names(struct at at)
{
    const char *begin = at.p;
    while (at.p < at.end && (isalnum((unsigned char)*at.p) || *at.p == '_' || *at.p == '.')) {
        at.p++;
    }
    return at.p > begin && !isdigit((unsigned char)*begin) && (is_at_end(at) || *at.p == ':');
}

static unsigned python_next(unsigned state, struct at at)
{
    switch (state) {
    case PYTHON_FRAMES:
        if (at.p < at.end && is_blank(*at.p)) {
            return PYTHON_FRAMES;
        }
        return python_names(at) ? PYTHON_END : NONE;
    case PYTHON_GROUP:
        return at.p < at.end && is_blank(*at.p) ? PYTHON_GROUP : NONE;
    case PYTHON_END:
        return is_at_end(at) ? PYTHON_GAP : NONE;
    case PYTHON_GAP:
        return starts(at, "During handling of the above exception") ||
                       starts(at, "The above exception was the direct cause")
                   ? PYTHON_LINK
                   : NONE;
    case PYTHON_LINK:
        return is_at_end(at) ? PYTHON_LINK_GAP : NONE;
    default:
        return python_begin(at);
    }
}

/* -- Go --------------------------------------------------------------------------------------------- */

/* The colon at `p` belongs to "panic: ". */
static bool go_panics(const char *begin, const char *p, const char *end)
{
    return ends(begin, p, "panic") && end - p > 1 && p[1] == ' ' &&
           (p - begin == 5 || !(isalnum((unsigned char)p[-6]) || p[-6] == '_'));
}

static bool go_serves(const char *begin, const char *p, const char *end)
{
    return ends(begin, p, "http") && starts((struct at){p, end}, ": panic serving ");
}

/* "goroutine 7 [running]:", "goroutine 7 gp=0xc000 m=0 mp=0x55 [running]:", "runtime stack:" */
static bool go_routine(struct at at)
{
    return (starts(at, "goroutine ") && ends(at.p, at.end, ":")) || equals(at, "runtime stack:");
}

/* "main.(*T).f(0x1, {…})", "created by main.main in goroutine 1", "...additional frames elided..." */
static bool go_call(struct at at)
{
    if (starts(at, "created by ") || starts(at, "...additional frames elided") ||
        starts(at, "\tgoroutine running on other thread")) {
        return true;
    }
    size_t size = (size_t)(at.end - at.p);
    const char *bracket = memchr(at.p, '(', size), *blank = memchr(at.p, ' ', size);
    return bracket > at.p && at.end[-1] == ')' && !is_blank(*at.p) && (!blank || bracket < blank);
}

static unsigned go_next(unsigned state, struct at at)
{
    switch (state) {
    case GO_HEAD:
        if (starts(at, "[signal ") || starts(at, "\t")) {
            return GO_HEAD;
        }
        return is_at_end(at) ? GO_GAP : NONE;
    case GO_GAP:
        return go_routine(at) ? GO_CALL : NONE;
    case GO_PLACE:
        return at.p < at.end && is_blank(*at.p) ? GO_CALL : NONE;
    default:
        if (is_at_end(at)) {
            return GO_GAP;
        }
        return go_call(at) ? (starts(at, "...") ? GO_CALL : GO_PLACE) : NONE;
    }
}

/* -- All ---------------------------------------------------------------------------------------------- */

static unsigned begin_by_colon(unsigned languages, struct at at)
{
    for (const char *p = at.p; (p = memchr(p, ':', (size_t)(at.end - p))); p++) {
        if ((languages & TAIL_JAVA) && java_names(at.p, p)) {
            return JAVA_HEAD;
        }
        if (languages & TAIL_GO) {
            if (go_panics(at.p, p, at.end) || (p - at.p == 11 && starts(at, "fatal error: "))) {
                return GO_HEAD;
            }
            if (go_serves(at.p, p, at.end)) {
                return GO_GAP;
            }
        }
    }
    return NONE;
}

unsigned tail_trace_begin(unsigned languages, const uint8_t *line, size_t size)
{
    struct at at = at_start(line, size);
    if (is_at_end(at)) {
        return NONE;
    }
    unsigned state = languages & TAIL_PYTHON ? python_begin(at) : NONE;
    if (state == NONE && (languages & (TAIL_JAVA | TAIL_GO))) {
        state = begin_by_colon(languages, at);
    }
    if (state == NONE && (languages & TAIL_JAVA)) {
        /* frames whose head is elsewhere stay together at least */
        state = java_names(at.p, at.end) ? JAVA_HEAD : java_frame(at) ? JAVA_FRAMES : NONE;
    }
    return state;
}

unsigned tail_trace_next(unsigned state, const uint8_t *line, size_t size)
{
    struct at at = at_start(line, size);
    if (state >= GO_HEAD) {
        return go_next(state, at);
    }
    return state >= PYTHON_FRAMES ? python_next(state, at) : java_next(state, at);
}
