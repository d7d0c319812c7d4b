/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects what is wrong with a configuration and finds the name that was meant. Owns the texts. On the
 * thread of whoever holds the list.
 */
#include "problem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "text.h"

enum { MOST_PROBLEMS = 100, LONGEST_NAME = 64 };

/* "file:line:column: ", or less where less is known. NULL: no memory. */
static char *place_text(const struct origin *origin)
{
    char *text;
    int length;
    if (!origin || !origin->file)
        return strdup("");
    if (!origin->line)
        length = asprintf(&text, "%s: ", origin->file);
    else if (!origin->column)
        length = asprintf(&text, "%s:%u: ", origin->file, origin->line);
    else
        length = asprintf(&text, "%s:%u:%u: ", origin->file, origin->line, origin->column);
    return length < 0 ? NULL : text;
}

/* place and message as one escaped line. */
static bool make_line(struct problem *ret, const char *place, const char *message)
{
    size_t room = (strlen(place) + strlen(message)) * TEXT_ESCAPE_GROWTH;
    char *line = malloc(room + 1);
    if (!line)
        return false;
    size_t used = text_escape(line, room, place, strlen(place), TEXT_PLAIN);
    ret->place = used;
    used += text_escape(line + used, room - used, message, strlen(message), TEXT_PLAIN);
    line[used] = '\0';
    ret->text = line;
    return true;
}

static void append(struct problems *problems, const struct origin *origin, bool warning, const char *fmt,
                   va_list args)
{
    char *message = NULL;
    if (warning)
        problems->warnings++;
    else
        problems->errors++;
    if (problems->count >= MOST_PROBLEMS || vasprintf(&message, fmt, args) < 0)
        return;
    struct problem problem = {.warning = warning};
    char *place = place_text(origin);
    struct problem *items = realloc(problems->items, (problems->count + 1) * sizeof *items);
    if (items)
        problems->items = items;
    if (items && place && make_line(&problem, place, message))
        problems->items[problems->count++] = problem;
    free(place);
    free(message);
}

void problem_error(struct problems *problems, const struct origin *origin, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append(problems, origin, false, fmt, args);
    va_end(args);
}

void problem_warn(struct problems *problems, const struct origin *origin, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append(problems, origin, true, fmt, args);
    va_end(args);
}

void problems_print(const struct problems *problems, FILE *file)
{
    size_t errors = 0, warnings = 0;
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];
        errors += !problem->warning;
        warnings += problem->warning;
        fprintf(file, "%.*s%s: %s\n", (int)problem->place, problem->text,
                problem->warning ? "warning" : "error", problem->text + problem->place);
    }
    if (errors < problems->errors)
        fprintf(file, "error: %zu more errors are not shown\n", problems->errors - errors);
    if (warnings < problems->warnings)
        fprintf(file, "warning: %zu more warnings are not shown\n", problems->warnings - warnings);
}

void problems_move(struct problems *problems, struct problems *from)
{
    size_t room = MOST_PROBLEMS - problems->count, more = from->count < room ? from->count : room;
    struct problem *items = more ? realloc(problems->items, (problems->count + more) * sizeof *items) : NULL;
    problems->errors += from->errors;
    problems->warnings += from->warnings;
    if (items) {
        problems->items = items;
        memcpy(items + problems->count, from->items, more * sizeof *items);
        problems->count += more;
        memmove(from->items, from->items + more, (from->count - more) * sizeof *items);
        from->count -= more;
    }
    problems_clear(from);
}

void problems_clear(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].text);
    free(problems->items);
    *problems = (struct problems){0};
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions, substitutions and swaps of neighbours; both names are at most LONGEST_NAME long. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][LONGEST_NAME + 1];
    size_t length = strlen(b);
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= length; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[length];
}

const char *problem_nearest(const char *name, const char *const *names, size_t count)
{
    size_t length = strlen(name);
    if (!length || length > LONGEST_NAME)
        return NULL;
    const char *nearest = NULL;
    unsigned limit = length < 3 ? 1 : (unsigned)(length + 1) / 3, best = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > LONGEST_NAME)
            continue;
        unsigned d = distance(name, names[i]);
        if (d <= limit && d < strlen(names[i]) && d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
