/* SPDX-License-Identifier: MIT */
/* See line.h. The words are split by getopt_long; values are converted and checked here. */
#include "command/line.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/help.h"
#include "command/spelling.h"

enum { OPTIONS_MAX = 160, FIRST_LONG = 256, HELP = FIRST_LONG + OPTIONS_MAX };

static option *option_at(const command_line *line, int index) {
    for (size_t g = 0; g < line->group_count; g++) {
        if (index < (int)line->groups[g].count) return &line->groups[g].options[index];
        index -= (int)line->groups[g].count;
    }
    return NULL;
}

static option *find(const command_line *line, const char *name) {
    option *o;
    for (int i = 0; (o = option_at(line, i)) != NULL; i++)
        if (!strcmp(o->name, name)) return o;
    return NULL;
}

option *command_line_option(const command_line *line, const char *name) { return find(line, name); }

int command_line_given(const command_line *line, const char *name) {
    const option *o = find(line, name);
    return o ? o->given : 0;
}

/* ---- values ---- */

static int read_count(const command_line *line, option *o) {
    char *end;
    errno = 0;
    long long value = strtoll(o->text, &end, 10);
    if (end == o->text || *end)
        return command_line_refuse(line, "--%s is '%s'; it must be a whole number", o->name,
                                   o->text);
    if (errno || (double)value < o->minimum || (double)value > o->maximum)
        return command_line_refuse(line, "--%s is %s; it must be from %.0f to %.0f", o->name,
                                   o->text, o->minimum, o->maximum);
    *(int64_t *)o->value = value;
    return 0;
}

static int read_real(const command_line *line, option *o) {
    char *end;
    double value = strtod(o->text, &end);
    if (end == o->text || *end)
        return command_line_refuse(line, "--%s is '%s'; it must be a number", o->name, o->text);
    if (!(value >= o->minimum && value <= o->maximum))
        return command_line_refuse(line, "--%s is %g; it must be from %g to %g", o->name, value,
                                   o->minimum, o->maximum);
    *(double *)o->value = value;
    return 0;
}

/* The value is the text as given: its '-' may be '_' in the word. */
static int read_choice(const command_line *line, const option_group *g, option *o) {
    char words[OPTION_TEXT_SIZE];
    size_t length;
    option_words(g, o, words);
    if (!o->open && !option_named_word(words, o->text, &length))
        return command_line_refuse_word(line, o, words);
    *(const char **)o->value = o->text;
    return 0;
}

/* On Windows paths may be divided by backslashes too; elsewhere these are parts of names. */
static void use_slashes(const char *path) {
#ifdef _WIN32
    for (char *c = (char *)path; *c; c++)
        if (*c == '\\') *c = '/';
#else
    (void)path;
#endif
}

static int read_value(const command_line *line, const option_group *g, option *o) {
    if (o->kind != OPTION_MEMBER && option_takes_argument(o) && o->kind != OPTION_TEXT && !*o->text)
        return command_line_refuse(line, "--%s is empty", o->name);
    switch (o->kind) {
        case OPTION_MEMBER: return 0;
        case OPTION_FLAG: *(int *)o->value = 1; return 0;
        case OPTION_COUNT: return read_count(line, o);
        case OPTION_REAL: return read_real(line, o);
        case OPTION_CHOICE: return read_choice(line, g, o);
        case OPTION_FILE:
        case OPTION_FOLDER: use_slashes(o->text); /* fallthrough */
        default: *(const char **)o->value = o->text; return 0;
    }
}

int command_line_set(const command_line *line, option *o, const char *text) {
    for (size_t g = 0; g < line->group_count; g++) {
        const option_group *group = &line->groups[g];
        for (size_t i = 0; i < group->count; i++) {
            if (&group->options[i] != o) continue;
            o->text = text;
            return read_value(line, group, o);
        }
    }
    return 0;
}

static int read_values(const command_line *line) {
    for (size_t g = 0; g < line->group_count; g++)
        for (size_t i = 0; i < line->groups[g].count; i++) {
            option *o = &line->groups[g].options[i];
            if (o->given && read_value(line, &line->groups[g], o)) return 1;
        }
    return 0;
}

/* ---- words ---- */

/* The option that has another name in other programs, or NULL. */
static const char *other_name(const char *text, size_t length) {
    static const char *const names[][2] = {{"learning-rate", "lr"},  {"batch-size", "batch"},
                                           {"image-size", "size"},   {"resolution", "size"},
                                           {"output", "out"},        {"output-dir", "out"},
                                           {"num-samples", "count"}, {"samples", "count"},
                                           {"number", "count"},      {"label", "class"},
                                           {"checkpoint", "resume"}, {"dataset", "data"},
                                           {"num-steps", "steps"},   {"guidance-scale", "guidance"},
                                           {"cfg", "guidance"},      {"sampler", "solver"},
                                           {"gray", "grey"}};
    const char *words[sizeof names / sizeof *names];
    const size_t count = sizeof names / sizeof *names;
    for (size_t i = 0; i < count; i++) words[i] = names[i][0];
    const char *near = nearest_word(text, length, words, count);
    for (size_t i = 0; near && i < count; i++)
        if (near == words[i]) return names[i][1];
    return NULL;
}

/* `word` is an option that getopt_long did not know, or knew more than one of. */
static int refuse_option(const command_line *line, const char *word) {
    const char *names[OPTIONS_MAX];
    char list[256] = "";
    size_t count = 0, used = 0, length = strcspn(word, "=");
    const option *o;
    int matches = 0;
    for (int i = 0; i < OPTIONS_MAX && (o = option_at(line, i)) != NULL; i++) {
        names[count++] = o->name;
        if (strncmp(word, "--", 2) != 0 || length < 3 ||
            strncmp(o->name, word + 2, length - 2) != 0 || used >= sizeof list)
            continue;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s--%s", matches++ ? ", " : "",
                                 o->name);
    }
    if (matches > 1) return command_line_refuse(line, "%.*s may be %s", (int)length, word, list);
    const char *text = word + strspn(word, "-");
    const char *near = nearest_word(text, length - (size_t)(text - word), names, count);
    const char *other = other_name(text, length - (size_t)(text - word));
    for (size_t i = 0; other && i < count; i++)
        if (!strcmp(names[i], other)) near = other;
    if (near)
        return command_line_refuse(line, "there is no option %.*s; did you mean --%s?", (int)length,
                                   word, near);
    return command_line_refuse(line, "there is no option %.*s (--help lists them)", (int)length,
                               word);
}

/* What getopt_long reads: long options with FIRST_LONG + index, letters as themselves. */
typedef struct reader {
    struct option options[OPTIONS_MAX + 2];
    char letters[2 * OPTIONS_MAX + 4];
} reader;

static void prepare(reader *r, const command_line *line) {
    size_t length = 0, count = 0;
    r->letters[length++] = ':';
    r->letters[length++] = 'h';
    const option *o;
    for (int i = 0; i < OPTIONS_MAX && (o = option_at(line, i)) != NULL; i++) {
        int argument = option_takes_argument(o);
        r->options[count++] = (struct option){o->name, argument ? required_argument : no_argument,
                                              NULL, FIRST_LONG + i};
        if (!o->letter) continue;
        r->letters[length++] = o->letter;
        if (argument) r->letters[length++] = ':';
    }
    r->options[count++] = (struct option){"help", no_argument, NULL, HELP};
    r->options[count] = (struct option){0};
    r->letters[length] = 0;
}

/* The option of a result of getopt_long. */
static option *option_of(const command_line *line, int result) {
    option *o;
    if (result >= FIRST_LONG) return option_at(line, result - FIRST_LONG);
    for (int i = 0; (o = option_at(line, i)) != NULL; i++)
        if (o->letter == result) return o;
    return NULL;
}

/* Says what is wrong with `word`, after getopt_long returned ':' or '?'. It sets optopt to the
 * letter, or to the result of a long option that is known; else to 0. */
static int refuse_result(const command_line *line, int result, const char *word) {
    if (result == ':' && optopt < FIRST_LONG)
        return command_line_refuse(line, "-%c needs an argument (see --help)", optopt);
    /* Those of BSD systems and MinGW return ':' for an argument too many as well. */
    if (optopt >= FIRST_LONG && strchr(word, '='))
        return command_line_refuse(line, "%.*s takes no argument", (int)strcspn(word, "="), word);
    if (result == ':') return command_line_refuse(line, "%s needs an argument (see --help)", word);
    if (optopt)
        return command_line_refuse(line, "there is no option -%c (--help lists them)", optopt);
    return refuse_option(line, word);
}

/* Reads the options up to the words. */
static int read_options(command_line *line, int argc, const char **argv, int *done) {
    reader r;
    int result;
    prepare(&r, line);
    opterr = 0;
    optind = 0; /* getopt_long begins anew, whatever it read before */
    /* getopt_long puts the words in another order and does not change them. */
    while ((result = getopt_long(argc, (char **)argv, r.letters, r.options, NULL)) != -1) {
        if (result == HELP || result == 'h') {
            print_command_help(line->command);
            *done = 1;
            return 0;
        }
        option *o = result == ':' || result == '?' ? NULL : option_of(line, result);
        if (!o) return refuse_result(line, result, argv[optind - 1]);
        /* "--npz --steps 10" has forgotten a name; "--npz=--steps" means it. */
        if (optarg && optarg == argv[optind - 1] && !strncmp(optarg, "--", 2) && optarg[2])
            return command_line_refuse(line, "--%s needs an argument, and %s follows (see --help)",
                                       o->name, optarg);
        o->given++;
        o->text = optarg;
    }
    line->words = argv + optind;
    line->word_count = argc - optind;
    if (line->command->words_kind == OPTION_FILE || line->command->words_kind == OPTION_FOLDER)
        for (int i = 0; i < line->word_count; i++) use_slashes(line->words[i]);
    return 0;
}

int command_line_read(command_line *line, const command *c, int argc, const char **argv,
                      int *done) {
    *done = 0;
    *line = (command_line){.command = c};
    snprintf(line->program, sizeof line->program, "diffusion %s", c->name);
    line->groups = c->groups(&line->group_count);
    if (read_options(line, argc, argv, done)) return 1;
    if (*done) return 0;
    if (line->word_count > c->words_max)
        return command_line_refuse(line,
                                   "'%s' is one word too many; usage: diffusion %s [OPTION...]%s%s",
                                   line->words[c->words_max], c->name, *c->words ? " " : "",
                                   c->words);
    if (line->word_count < c->words_min)
        return command_line_refuse(line, "usage: diffusion %s [OPTION...] %s (--help tells more)",
                                   c->name, c->words);
    return read_values(line);
}
