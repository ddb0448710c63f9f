/* SPDX-License-Identifier: MIT */
/* See cli.h. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"

const char weights_help[] =
    "Which of a checkpoint's weights: default (the first EMA if there is one), trained, ema, "
    "ema_1, ema_2 or ema_3";

/* The word that popt refused; *option becomes the option before it where popt names the value
 * alone. */
static const char *refused_word(poptContext arguments, int argc, const char **argv,
                                const char **option) {
    const char *bad = poptBadOption(arguments, 0);
    *option = "";
    for (int i = 1; i < argc && *bad != '-'; i++) {
        const char *equals = strchr(argv[i], '=');
        if (!strcmp(argv[i], bad) && argv[i - 1][0] == '-') *option = argv[i - 1];
        else if (equals && !strcmp(equals + 1, bad)) bad = argv[i];
    }
    return bad;
}

int read_command_line(const char *program, int argc, const char **argv,
                      const struct poptOption *options) {
    poptContext arguments = poptGetContext(program, argc, argv, options, 0);
    int result;
    if (!arguments) {
        fprintf(stderr, "%s: out of memory\n", program);
        return 1;
    }
    while ((result = poptGetNextOpt(arguments)) >= 0) continue;
    const char *extra = result == -1 ? poptPeekArg(arguments) : NULL;
    if (result < -1) {
        const char *option, *bad = refused_word(arguments, argc, argv, &option);
        fprintf(stderr, "%s: %s%s%s: %s (--help lists the options)\n", program, option,
                *option ? " " : "", bad, poptStrerror(result));
    }
    if (extra) fprintf(stderr, "%s: '%s' is no option (--help lists them)\n", program, extra);
    int bad = result < -1 || extra;
    poptFreeContext(arguments);
    return bad;
}

int is_given(int argc, const char **argv, const char *option) {
    size_t length = strlen(option);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], "--", 2) && !strncmp(argv[i] + 2, option, length) &&
            (!argv[i][2 + length] || argv[i][2 + length] == '='))
            return 1;
    return 0;
}

int check_range(const char *program, const char *option, long long value, long long minimum,
                long long maximum) {
    if (value >= minimum && value <= maximum) return 0;
    fprintf(stderr, "%s: --%s is %lld; it must be from %lld to %lld\n", program, option, value,
            minimum, maximum);
    return 1;
}

int check_png_path(const char *program, const char *option, const char *path) {
    struct stat is;
    size_t length = strlen(path);
    const char *slash = strrchr(path, '/'), *why = NULL;
    char folder[1024] = ".";
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (length < 5 || strcmp(path + length - 4, ".png") != 0) why = "the name must end in .png";
    else if (!stat(path, &is) && S_ISDIR(is.st_mode)) why = "that is a folder";
    else if (stat(folder, &is)) why = "its folder does not exist";
    else if (access(folder, W_OK | X_OK)) why = "its folder cannot be written to";
    if (why) fprintf(stderr, "%s: --%s is '%s'; %s\n", program, option, path, why);
    return why != NULL;
}

int check_unused(const char *program, int argc, const char **argv, const option_rule *rules,
                 size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (rules[i].used || !is_given(argc, argv, rules[i].option)) continue;
        fprintf(stderr, "%s: --%s has no effect without %s (--help lists the options)\n", program,
                rules[i].option, rules[i].with);
        return 1;
    }
    return 0;
}

void enum_word(char *word, size_t capacity, const char *text) {
    snprintf(word, capacity, "%s", text);
    for (char *p = word; *p; p++)
        if (*p == '-') *p = '_';
}

/* "eps, x0, v": the names of an enumeration, shortened to `capacity` bytes. */
static void enum_names(const char *enumeration, char *text, size_t capacity) {
    size_t length = 0;
    *text = 0;
    for (int32_t i = 0, value; i < dm_enum_count(enumeration) && length < capacity; i++) {
        if (dm_enum_item(enumeration, i, &value)) break;
        length += (size_t)snprintf(text + length, capacity - length, "%s%s", i ? ", " : "",
                                   dm_enum_name(enumeration, value));
    }
}

int read_enum(const char *program, const char *option, const char *enumeration, const char *name,
              int32_t *value) {
    char word[64], names[320];
    enum_word(word, sizeof word, name);
    if (!dm_enum_value(enumeration, word, value)) return 0;
    enum_names(enumeration, names, sizeof names);
    fprintf(stderr, "%s: --%s is '%s'; it must be one of %s\n", program, option, name, names);
    return 1;
}

int make_folder(const char *program, const char *path) {
    char part[1024];
    int bad = 0;
    if (!*path) {
        fprintf(stderr, "%s: the name of a folder is empty\n", program);
        return 1;
    }
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        errno = ENAMETOOLONG;
        bad = 1;
    }
    for (char *p = part + 1; !bad; p++) {
        if (*p && *p != '/') continue;
        char end = *p;
        *p = 0;
        bad = mkdir(part, 0777) && errno != EEXIST;
        *p = end;
        if (!end) break;
    }
    if (bad) fprintf(stderr, "%s: %s: %s\n", program, path, strerror(errno));
    return bad;
}

static void print_warning(void *program, dm_log_level level, const char *message) {
    if (level == DM_LOG_WARNING)
        fprintf(stderr, "%s: warning: %s\n", (const char *)program, message);
}

dm_context *create_context(const char *program, int32_t threads, uint64_t memory_limit,
                           int32_t profile) {
    dm_context_options options;
    dm_context *context;
    char error[512];
    dm_context_options_init(&options, sizeof options);
    options.threads = threads;
    options.memory_limit = memory_limit;
    options.profile = profile;
    options.log = print_warning;
    options.log_user = (void *)program;
    if (dm_context_create(&context, &options, error, sizeof error))
        fprintf(stderr, "%s: %s\n", program, error);
    return context;
}

void print_error(const char *program, const dm_context *context, int32_t status) {
    if (status == DM_OK || status == REPORTED) return;
    if (status == DM_ERROR_CANCELLED && interrupt_signal()) {
        fprintf(stderr, "%s: stopped by a signal: %s\n", program, strsignal(interrupt_signal()));
        return;
    }
    const char *text = dm_context_error(context);
    fprintf(stderr, "%s: %s\n", program, *text ? text : dm_status_message(status));
}
