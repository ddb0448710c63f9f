/* SPDX-License-Identifier: MIT */
/* Command lines for tests of commands, and what is printed. */
#ifndef DM_TESTS_LINES_H
#define DM_TESTS_LINES_H

#include <unistd.h>

#include "command/line.h"
#include "support/support.h"

/* A stream whose bytes go to a file for a while. */
typedef struct capture {
    FILE *stream, *file;
    int saved; /* its descriptor before */
} capture;

static inline capture capture_begin(FILE *stream) {
    capture c = {.stream = stream, .file = tmpfile(), .saved = dup(fileno(stream))};
    ck_assert(c.file && c.saved >= 0 && !fflush(stream));
    ck_assert_int_ge(dup2(fileno(c.file), fileno(stream)), 0);
    return c;
}

/* All that it got, to be freed. */
static inline char *capture_end(capture *c) {
    ck_assert_int_eq(fflush(c->stream), 0);
    ck_assert_int_ge(dup2(c->saved, fileno(c->stream)), 0);
    close(c->saved);
    ck_assert_int_eq(fseek(c->file, 0, SEEK_END), 0);
    const size_t size = (size_t)ftell(c->file);
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    rewind(c->file);
    ck_assert_uint_eq(fread(text, 1, size, c->file), size);
    text[size] = 0;
    fclose(c->file);
    return text;
}

/* A command line as it was read. */
typedef struct given_line {
    command_line line;
    char text[1000];
    const char *words[64];
    int status, done;
    char message[1200]; /* what was printed to standard error */
} given_line;

/* Reads `words`, which are divided by spaces, for a command, all of whose options are as if none
 * had been given before. */
static inline void read_line(given_line *g, const char *name, const char *words) {
    const command *c = command_named(name);
    size_t count;
    int argc = 0;
    ck_assert_ptr_nonnull(c);
    *g = (given_line){.status = 0};
    option_group *groups = c->groups(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < groups[i].count; k++) {
            groups[i].options[k].given = 0;
            groups[i].options[k].text = NULL;
        }
    snprintf(g->text, sizeof g->text, "%s", words);
    g->words[argc++] = name;
    char *rest = g->text;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        ck_assert_int_lt(argc, 63);
        g->words[argc++] = word;
    }
    capture err = capture_begin(stderr);
    g->status = command_line_read(&g->line, c, argc, g->words, &g->done);
    char *message = capture_end(&err);
    snprintf(g->message, sizeof g->message, "%s", message);
    free(message);
}

/* Frees what read_settings has kept for a line; its options are not to be used any more. */
static inline void forget_settings(given_line *g) {
    for (size_t i = 0; i < g->line.group_count; i++)
        for (size_t k = 0; k < g->line.groups[i].count; k++) {
            option *o = &g->line.groups[i].options[k];
            if (!o->given) free((void *)o->text);
            o->text = NULL;
        }
    g->line.group_count = 0;
}

/* read_line; a line that is refused fails the test. */
static inline void accept_line(given_line *g, const char *name, const char *words) {
    read_line(g, name, words);
    ck_assert_msg(!g->status && !g->done, "%s %s: %s", name, words, g->message);
    ck_assert_str_eq(g->message, "");
}

#endif
