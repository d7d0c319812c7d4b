/* SPDX-License-Identifier: Apache-2.0 */
/* The status as tables: inputs, files by lag, outputs, and what else there is. Owns nothing. */
#include "status_print.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "text.h"

enum { FILES_SHOWN = 20 };

static const char *string_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static long long number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* A name or a message out of the answer may hold anything. */
static void put_text(FILE *f, const char *text, int width)
{
    char *escaped = malloc(strlen(text) * TEXT_ESCAPE_GROWTH + 1);

    if (!escaped)
        return;
    size_t size = text_escape(escaped, strlen(text) * TEXT_ESCAPE_GROWTH, text, strlen(text), TEXT_PLAIN);
    fprintf(f, "%-*.*s", width, (int)size, escaped);
    free(escaped);
}

/* JSON escapes no control characters but those of ASCII. */
static void put_lines(FILE *f, char *text)
{
    char *next = text, *line;

    while ((line = strsep(&next, "\n"))) {
        put_text(f, line, 0);
        fputc('\n', f);
    }
}

static void put_error(FILE *f, const json_t *object)
{
    const char *error = string_of(object, "error");

    if (*error) {
        fputs("    ", f);
        put_text(f, error, 0);
        fputc('\n', f);
    }
}

static void print_inputs(FILE *f, const json_t *inputs)
{
    size_t i;
    json_t *in;

    fprintf(f, "\n%-24s %-9s %-20s %-16s %12s %14s\n", "INPUT", "STATE", "TAG", "TOPIC", "RECORDS", "BYTES");
    json_array_foreach(inputs, i, in)
    {
        put_text(f, string_of(in, "alias"), 24);
        fprintf(f, " %-9s ", string_of(in, "state"));
        put_text(f, string_of(in, "tag"), 20);
        fputc(' ', f);
        put_text(f, string_of(in, "topic"), 16);
        fprintf(f, " %12lld %14lld\n", number_of(in, "records"), number_of(in, "bytes"));
        put_error(f, in);
    }
}

static void print_outputs(FILE *f, const json_t *outputs)
{
    size_t i;
    json_t *o;

    fprintf(f, "\n%-24s %-9s %12s %14s %12s %8s %9s\n", "OUTPUT", "STATE", "RECORDS", "BYTES", "QUEUED",
            "RETRIES", "REJECTED");
    json_array_foreach(outputs, i, o)
    {
        put_text(f, string_of(o, "alias"), 24);
        fprintf(f, " %-9s %12lld %14lld %12lld %8lld %9lld\n", string_of(o, "state"), number_of(o, "records"),
                number_of(o, "bytes"), number_of(o, "queued_bytes"), number_of(o, "retries"),
                number_of(o, "rejected"));
        put_error(f, o);
    }
}

/* -- Files ------------------------------------------------------------------------------------------ */

static long long lag_of(const json_t *file)
{
    return number_of(file, "size") - number_of(file, "committed");
}

static int compare_lag(const void *a, const void *b)
{
    long long x = lag_of(*(json_t *const *)a), y = lag_of(*(json_t *const *)b);

    return (x < y) - (x > y);
}

static size_t collect_files(const json_t *inputs, json_t **files, size_t room)
{
    size_t i, n, count = 0;
    json_t *in, *file;

    json_array_foreach(inputs, i, in) json_array_foreach(json_object_get(in, "files"), n, file)
    {
        if (count < room)
            files[count] = file;
        count++;
    }
    return count;
}

static void print_files(FILE *f, const json_t *inputs)
{
    size_t count = collect_files(inputs, NULL, 0);
    json_t **files = calloc(count + 1, sizeof(json_t *));

    if (!files || !count) {
        free(files);
        return;
    }
    collect_files(inputs, files, count);
    qsort(files, count, sizeof(json_t *), compare_lag);
    fprintf(f, "\n%-48s %-8s %14s %14s %12s\n", "FILE", "STATE", "SIZE", "COMMITTED", "LAG");
    for (size_t i = 0; i < count && i < FILES_SHOWN; i++) {
        put_text(f, string_of(files[i], "path"), 48);
        fprintf(f, " %-8s %14lld %14lld %12lld\n", string_of(files[i], "state"), number_of(files[i], "size"),
                number_of(files[i], "committed"), lag_of(files[i]));
    }
    if (count > FILES_SHOWN)
        fprintf(f, "and %zu more with less lag\n", count - FILES_SHOWN);
    free(files);
}

/* -- The rest --------------------------------------------------------------------------------------- */

static void print_others(FILE *f, json_t *whole)
{
    const char *name;
    json_t *value;

    json_object_foreach(whole, name, value)
    {
        if (!json_is_array(value) || !strcmp(name, "inputs") || !strcmp(name, "outputs"))
            continue;
        char *text = json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        fputc('\n', f);
        put_text(f, name, 0);
        fputs(": ", f);
        put_lines(f, text ? text : (char[]){""});
        free(text);
    }
}

int status_print(FILE *f, const char *json)
{
    json_t *whole = json_loads(json, 0, NULL);
    json_t *inputs = json_object_get(whole, "inputs"), *outputs = json_object_get(whole, "outputs");

    if (!json_is_array(inputs) || !json_is_array(outputs)) {
        json_decref(whole);
        return -EINVAL;
    }
    fprintf(f, "weir %s, up %.0f s, configuration %lld\n", string_of(whole, "version"),
            json_number_value(json_object_get(whole, "uptime_s")), number_of(whole, "generation"));
    if (number_of(whole, "former_inputs"))
        fprintf(f, "positions are kept of %lld inputs that there are no more\n",
                number_of(whole, "former_inputs"));
    print_inputs(f, inputs);
    print_files(f, inputs);
    print_outputs(f, outputs);
    print_others(f, whole);
    json_decref(whole);
    return 0;
}
