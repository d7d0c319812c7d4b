/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir new-plugin: writes a project out of the templates, with its name in place of @…@. Touches nothing that
 * is there: the directory is new or empty, and each file is made anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "embedded.h"
#include "engine.h"
#include "kit.h"
#include "plugin_file.h"

/* The build makes it out of kit/templates. */
extern const struct embedded template_files[];

struct project {
    const char *name, *dir;
    bool input;
    char file[48]; /* in_NAME, out_NAME */
};

static int usage(const char *format, const char *what)
{
    fputs("error: ", stderr);
    fprintf(stderr, format, what);
    fputs("; it is: weir new-plugin NAME --input|--output DIR\n", stderr);
    return EXIT_CONFIG;
}

static int failed(const char *doing, const char *dir, const char *name)
{
    fprintf(stderr, "error: can't %s %s%s%s: %s\n", doing, dir, *name ? "/" : "", name, strerror(errno));
    return EXIT_CONFIG;
}

/* -- Writing -- */

/* What stands for the word of `length` bytes between two @, or NULL. */
static const char *value_of(const struct project *p, const char *word, size_t length)
{
    static const char *const words[] = {"NAME", "FILE", "CHECK_OPTIONS"};
    const char *values[] = {p->name, p->file,
                            p->input ? " --option interval=1ms"
                                     : "\n  --option path=${CMAKE_CURRENT_BINARY_DIR}/checked.txt"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
            return values[i];
    return NULL;
}

static void write_text(FILE *file, const struct project *p, const char *text, size_t size)
{
    const char *end = text + size;

    while (text < end) {
        const char *at = memchr(text, '@', (size_t)(end - text));
        const char *close = at ? memchr(at + 1, '@', (size_t)(end - at - 1)) : NULL;
        const char *value = close ? value_of(p, at + 1, (size_t)(close - at - 1)) : NULL;
        if (!value) {
            size_t plain = at ? (size_t)(at + 1 - text) : (size_t)(end - text);
            fwrite(text, 1, plain, file);
            text += plain;
            continue;
        }
        fwrite(text, 1, (size_t)(at - text), file);
        fputs(value, file);
        text = close + 1;
    }
}

static int write_file(const struct project *p, int dir, const char *template, const char *name)
{
    const struct embedded *e = embedded_find(template_files, template);
    int fd = e ? openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!file)
        return failed("make", p->dir, name);
    write_text(file, p, (const char *)e->data, e->size);
    bool whole = !ferror(file);
    if (fclose(file) != 0 || !whole)
        return failed("write", p->dir, name);
    printf("  %s\n", name);
    return 0;
}

static int write_files(const struct project *p, int dir)
{
    char source[64], test[64];
    int r;

    snprintf(source, sizeof(source), "%s.c", p->file);
    snprintf(test, sizeof(test), "test_%s.c", p->file);
    r = write_file(p, dir, p->input ? "input.c" : "output.c", source);
    if (r == 0)
        r = write_file(p, dir, p->input ? "test_input.c" : "test_output.c", test);
    if (r == 0)
        r = write_file(p, dir, "CMakeLists.txt.in", "CMakeLists.txt");
    if (r == 0)
        r = write_file(p, dir, p->input ? "README_input.md" : "README_output.md", "README.md");
    return r ? r : write_file(p, dir, "gitignore", ".gitignore");
}

/* -- The directory -- */

static bool is_empty(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    int entries = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return d && entries == 0;
}

static int make(const struct project *p)
{
    int dir, r;

    if (mkdir(p->dir, 0755) < 0 && errno != EEXIST)
        return failed("make the directory", p->dir, "");
    dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return failed("open the directory", p->dir, "");
    if (is_empty(dir)) {
        printf("%s:\n", p->dir);
        r = write_files(p, dir);
    } else {
        fprintf(stderr, "error: %s is not empty: nothing is overwritten\n", p->dir);
        r = EXIT_CONFIG;
    }
    close(dir);
    return r;
}

/* -- The arguments -- */

/* 0, or the exit status after a message. */
static int read_arguments(struct project *p, int argc, char **argv)
{
    bool has_kind = false;

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        bool is_input = strcmp(word, "--input") == 0, is_output = strcmp(word, "--output") == 0;
        if (is_input || is_output) {
            if (has_kind)
                return usage("%s is one kind too many", word);
            has_kind = true;
            p->input = is_input;
        } else if (*word == '-') {
            return usage("unknown flag '%s'", word);
        } else if (!p->name) {
            p->name = word;
        } else if (!p->dir) {
            p->dir = word;
        } else {
            return usage("'%s' is one word too many", word);
        }
    }
    if (!p->name || !p->dir || !*p->dir || !has_kind)
        return usage("%s is missing", !p->name    ? "the name"
                                      : !has_kind ? "--input or --output"
                                                  : "the directory");
    return 0;
}

int new_plugin(int argc, char **argv)
{
    struct project p = {0};
    int r = read_arguments(&p, argc, argv);

    if (r)
        return r;
    if (!plugin_is_name(p.name)) {
        fprintf(
            stderr,
            "error: a plugin's name begins with a small letter and has small letters, digits and _, at most 32 in "
            "all: not '%s'\n",
            p.name);
        return EXIT_CONFIG;
    }
    snprintf(p.file, sizeof(p.file), "%s_%s", p.input ? "in" : "out", p.name);
    r = make(&p);
    if (r == 0)
        printf(
            "Build and test it:  cd '%s' && cmake -B build && cmake --build build && ctest --test-dir build\n",
            p.dir);
    return r;
}
