/* SPDX-License-Identifier: MIT */
/* The program `diffusion`: finds the command and runs it. */
#include <diffusion.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "command/help.h"
#include "command/line.h"
#include "command/spelling.h"
#include "console/output.h"

enum { COMMANDS_MAX = 64 };

static int refuse_command(const char *name) {
    const char *names[COMMANDS_MAX];
    const command *c;
    size_t count = 0;
    while (count < COMMANDS_MAX && (c = command_at(count)) != NULL) names[count++] = c->name;
    const char *near = nearest_word(name, strlen(name), names, count);
    if (near)
        fprintf(stderr, "diffusion: there is no command '%s'; did you mean '%s'?\n", name, near);
    else
        fprintf(stderr, "diffusion: there is no command '%s' (diffusion --help lists them)\n",
                name);
    return 2;
}

/* "help", "completion" and "manual", which speak of the other commands. */
static int run_about(int argc, const char **argv) {
    const char *what = argv[1], *name = argc > 2 ? argv[2] : NULL;
    const command *c = name ? command_named(name) : NULL;
    if (!strcmp(what, "completion")) {
        if (argc == 3 && !print_completion(name)) return 0;
        fprintf(stderr, "usage: diffusion completion bash|zsh|fish\n");
        return 2;
    }
    if (argc > 3 || (name && !c)) return refuse_command(argv[argc > 3 ? 3 : 2]);
    if (!strcmp(what, "manual")) print_manual(c);
    else if (c) print_command_help(c);
    else print_program_help();
    return 0;
}

int main(int argc, const char **argv) {
    command_line line;
    int done;
    open_standard_streams("diffusion");
    if (argc < 2) {
        print_program_help();
        return 2;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        printf("diffusion %s\n%s\n", dm_version_string(), dm_build_info());
        return 0;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
        print_program_help();
        return 0;
    }
    if (!strcmp(word, "help") || !strcmp(word, "completion") || !strcmp(word, "manual"))
        return run_about(argc, argv);
    const command *c = command_named(word);
    if (!c) return refuse_command(word);
    if (command_line_read(&line, c, argc - 1, argv + 1, &done)) return 2;
    return done ? 0 : c->run(&line);
}
