/* SPDX-License-Identifier: MIT */
/* See settings.h. */
#include "train/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/output.h"
#include "data/data_options.h"

enum { LINE_SIZE = 4500 };

/* The first line, which has no "=". */
static const char settings_title[] = "# what diffusion train was given";

/* The text of an option of one of the kinds that have one, or NULL. */
static const char *option_value(const option *o) {
    int is_text = o->kind == OPTION_TEXT || o->kind == OPTION_CHOICE || o->kind == OPTION_FILE ||
                  o->kind == OPTION_FOLDER;
    return is_text ? *(const char **)o->value : NULL;
}

/* Generated data has a name that is no path. */
static int is_path(const option *o, const char *text) {
    return (o->kind == OPTION_FILE || o->kind == OPTION_FOLDER) && !is_builtin(text);
}

/* One line of the option's value; none where it has no value. */
static void write_option(output *to, const option *o) {
    const char *text = option_value(o);
    switch (o->kind) {
        case OPTION_FLAG:
            if (*(int *)o->value) output_print(to, "%s=1\n", o->name);
            return;
        case OPTION_COUNT:
            output_print(to, "%s=%lld\n", o->name, (long long)*(int64_t *)o->value);
            return;
        case OPTION_REAL: output_print(to, "%s=%.17g\n", o->name, *(double *)o->value); return;
        default: break;
    }
    if (!text) return;
    /* Paths from the root, so that a run can be resumed in another folder. */
    char *path = is_path(o, text) ? realpath(text, NULL) : NULL;
    output_print(to, "%s=%s\n", o->name, path ? path : text);
    free(path);
}

static int check_option(const command_line *line, const option *o) {
    const char *text = option_value(o);
    if (!text || (!strpbrk(text, "\r\n") && strlen(text) < LINE_SIZE - 100)) return 0;
    return command_line_refuse(line, "--%s has a line break, or is too long", o->name);
}

int check_settings(const command_line *line) {
    for (size_t g = 0; g < line->group_count; g++)
        for (size_t i = 0; i < line->groups[g].count; i++)
            if (line->groups[g].options[i].saved && check_option(line, &line->groups[g].options[i]))
                return REPORTED;
    return 0;
}

int write_settings(const command_line *line, const char *path) {
    output to;
    if (!output_begin(&to, path, "w")) {
        output_print(&to, "%s\n", settings_title);
        for (size_t g = 0; g < line->group_count; g++)
            for (size_t i = 0; i < line->groups[g].count; i++)
                if (line->groups[g].options[i].saved)
                    write_option(&to, &line->groups[g].options[i]);
        output_replace(&to);
    }
    return output_close(&to, line->program) ? REPORTED : 0;
}

/* `text` becomes the option's, which keeps it. */
static int set_option(const command_line *line, option *o, const char *text) {
    char *kept = strdup(text);
    if (!kept) return command_line_refuse(line, "out of memory");
    o->text = kept;
    if (!command_line_set(line, o, kept)) return 0;
    o->text = NULL;
    free(kept);
    return REPORTED;
}

int is_settings(const char *path) {
    char text[LINE_SIZE];
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int begins =
        fgets(text, sizeof text, file) && !strncmp(text, settings_title, sizeof settings_title - 1);
    (void)fclose(file); /* which was only read */
    return begins;
}

int read_settings(const command_line *line, const char *path) {
    char text[LINE_SIZE];
    FILE *file = fopen(path, "r");
    if (!file && errno == ENOENT) return 0;
    if (!file) return command_line_refuse(line, "%s: %s", path, strerror(errno));
    int bad = 0;
    while (!bad && fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = 0;
        char *equals = strchr(text, '=');
        if (!equals || *text == '#') continue;
        *equals = 0;
        option *o = command_line_option(line, text);
        if (!o || !o->saved || o->given) continue;
        if (o->kind == OPTION_FLAG && !strcmp(equals + 1, "0")) continue;
        if (set_option(line, o, equals + 1))
            bad = command_line_refuse(line, "this value comes from %s", path);
    }
    if (!bad && ferror(file)) bad = command_line_refuse(line, "%s: %s", path, strerror(errno));
    (void)fclose(file); /* which was only read */
    return bad;
}
