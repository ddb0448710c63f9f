/* See cli.h. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int32_t choice(const char *program, const char *option, const char *word,
               const char *const *words) {
    for (int32_t i = 0; words[i]; i++)
        if (!strcmp(word, words[i])) return i;
    fprintf(stderr, "%s: --%s is '%s'; it must be one of:", program, option, word);
    for (int32_t i = 0; words[i]; i++) fprintf(stderr, " %s", words[i]);
    fprintf(stderr, "\n");
    return -1;
}

int32_t number_list(const char *program, const char *option, const char *text, int32_t *values,
                    int32_t most, int32_t wanted) {
    int32_t count = 0;
    memset(values, 0, (size_t)most * sizeof *values);
    for (const char *p = text; count < most;) {
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno || v < 0 || v > INT_MAX || (*end && *end != ',')) break;
        values[count++] = (int32_t)v;
        if (!*end) {
            for (; count == 1 && wanted > 1 && wanted <= most; wanted--)
                values[wanted - 1] = values[0];
            return count;
        }
        p = end + 1;
    }
    fprintf(stderr,
            "%s: --%s is '%s'; it must be up to %d numbers with commas between, as in 64,128,128\n",
            program, option, text, (int)most);
    return -1;
}

int32_t real_list(const char *program, const char *option, const char *text, double *values,
                  int32_t most) {
    int32_t count = 0;
    memset(values, 0, (size_t)most * sizeof *values);
    for (const char *p = text; count < most;) {
        char *end;
        double v = strtod(p, &end);
        if (end == p || (*end && *end != ',')) break;
        values[count++] = v;
        if (!*end) return count;
        p = end + 1;
    }
    fprintf(stderr,
            "%s: --%s is '%s'; it must be up to %d numbers with commas between, as in 0.99,0.999\n",
            program, option, text, (int)most);
    return -1;
}

int out_of_range(const char *program, const char *option, long long value, long long least,
                 long long most) {
    if (value >= least && value <= most) return 0;
    fprintf(stderr, "%s: --%s is %lld; it must be from %lld to %lld\n", program, option, value,
            least, most);
    return 1;
}

/* What popt complains of, with the option where popt names the value alone. */
static const char *complaint(poptContext arguments, int argc, const char **argv,
                             const char **option) {
    const char *bad = poptBadOption(arguments, 0);
    *option = "";
    for (int i = 1; i < argc; i++)
        if (*bad != '-' && !strcmp(argv[i], bad) && argv[i - 1][0] == '-') *option = argv[i - 1];
        else if (*bad != '-' && strchr(argv[i], '=') && !strcmp(strchr(argv[i], '=') + 1, bad))
            bad = argv[i];
    return bad;
}

int read_command_line(const char *program, int argc, const char **argv,
                      const struct poptOption *options, int *marked) {
    poptContext arguments = poptGetContext(program, argc, argv, options, 0);
    int result, mark = 0;
    while ((result = poptGetNextOpt(arguments)) >= 0) mark = result;
    if (marked) *marked = mark;
    const char *extra = result == -1 ? poptPeekArg(arguments) : NULL;
    if (result < -1) {
        const char *option, *bad = complaint(arguments, argc, argv, &option);
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

int has_unused(const char *program, int argc, const char **argv, const use_rule *rules,
               size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (rules[i].used || !is_given(argc, argv, rules[i].option)) continue;
        fprintf(stderr, "%s: --%s does nothing without %s (--help lists the options)\n", program,
                rules[i].option, rules[i].with);
        return 1;
    }
    return 0;
}

int make_folder(const char *program, const char *path) {
    char part[1024];
    if (!*path) {
        fprintf(stderr, "%s: a folder has no name: ''\n", program);
        return 1;
    }
    if (snprintf(part, sizeof part, "%s", path) < (int)sizeof part) {
        int bad = 0;
        for (char *p = part + 1; !bad; p++)
            if (*p == '/' || !*p) {
                char here = *p;
                *p = 0;
                bad = mkdir(part, 0777) && errno != EEXIST;
                *p = here;
                if (!here) break;
            }
        if (!bad) return 0;
    } else {
        errno = ENAMETOOLONG;
    }
    fprintf(stderr, "%s: %s: %s\n", program, path, strerror(errno));
    return 1;
}

int no_png(const char *program, const char *option, const char *path) {
    struct stat is;
    size_t length = strlen(path);
    const char *slash = strrchr(path, '/'), *why = NULL;
    char folder[1024] = ".";
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (length < 5 || strcmp(path + length - 4, ".png"))
        why = "its name must end in .png, since it will be a PNG";
    else if (!stat(path, &is) && S_ISDIR(is.st_mode)) why = "that is a folder";
    else if (stat(folder, &is)) why = "there is no such folder to write it to";
    else if (access(folder, W_OK | X_OK)) why = "its folder cannot be written to";
    if (why) fprintf(stderr, "%s: --%s is '%s'; %s\n", program, option, path, why);
    return why != NULL;
}

static void tell_warning(void *program, int32_t level, const char *message) {
    if (level == DM_LOG_WARNING) fprintf(stderr, "%s: %s\n", (const char *)program, message);
}

dm_context *open_context(const char *program, int32_t threads, uint64_t memory_limit,
                         int32_t profile) {
    dm_context_options options;
    dm_context *context;
    dm_context_options_init(&options, sizeof options);
    options.threads = threads;
    options.memory_limit = memory_limit;
    options.profile = profile;
    options.log = tell_warning;
    options.log_user = (void *)program;
    int32_t status = dm_context_create(&context, &options);
    if (status) fprintf(stderr, "%s: no context: %s\n", program, dm_status_message(status));
    return context;
}

void tell_error(const char *program, const dm_context *context, int32_t status) {
    const char *text = dm_context_error(context);
    size_t length = strlen(program);
    bool named = !strncmp(text, program, length) &&
                 text[length] == ':'; /* the library's own word for it is the program's */
    fprintf(stderr, "%s%s%s\n", named ? "" : program, named ? "" : ": ",
            *text ? text : dm_status_message(status));
}
