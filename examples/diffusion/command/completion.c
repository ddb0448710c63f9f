/* SPDX-License-Identifier: MIT */
/* Completion scripts for shells. */
#include <stdio.h>
#include <string.h>

#include "command/help.h"

/* Commands of the program itself, see main.c. */
static const char about_commands[] = "help completion manual", shells[] = "bash zsh fish";

static void print_command_names(const char *before) {
    const command *c;
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) printf("%s%s", i ? " " : before, c->name);
}

/* What a word may be completed to. */
typedef enum completed {
    COMPLETE_NOTHING,
    COMPLETE_WORDS,
    COMPLETE_FILES,
    COMPLETE_FOLDERS
} completed;

static completed kind_of(const option_group *g, const option *o, char words[OPTION_TEXT_SIZE]) {
    option_words(g, o, words);
    if (o->kind == OPTION_FILE) return COMPLETE_FILES;
    if (o->kind == OPTION_FOLDER) return COMPLETE_FOLDERS;
    return *words ? COMPLETE_WORDS : COMPLETE_NOTHING;
}

/* The first sentence of an option's help, without what a shell takes for its own. */
static void short_help(const option_group *g, const option *o, char text[OPTION_TEXT_SIZE]) {
    option_help(g, o, text);
    text[strcspn(text, ";(")] = 0;
    char *colon = strchr(text, ':');
    if (colon) *colon = 0;
    size_t length = strlen(text);
    while (length && text[length - 1] == ' ') text[--length] = 0;
    for (char *p = text; *p; p++)
        if (strchr("'\"`$[]\\", *p)) *p = ' ';
}

/* ---- bash ---- */

static void bash_command(const command *c) {
    char words[OPTION_TEXT_SIZE];
    size_t count;
    const option_group *groups = c->groups(&count);
    printf("        %s)\n            case $previous in\n", c->name);
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].count; i++) {
            const option *o = &groups[g].options[i];
            if (!option_takes_argument(o)) continue;
            printf("                --%s", o->name);
            if (o->letter) printf("|-%c", o->letter);
            switch (kind_of(&groups[g], o, words)) {
                case COMPLETE_FILES: printf(") _diffusion_files; return ;;\n"); break;
                case COMPLETE_FOLDERS: printf(") _diffusion_folders; return ;;\n"); break;
                default: printf(") _diffusion_words '%s'; return ;;\n", words);
            }
        }
    printf("            esac\n            options='--help");
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].count; i++) printf(" --%s", groups[g].options[i].name);
    printf("' ;;\n");
}

static void print_bash(void) {
    const command *c;
    printf("# bash completion for diffusion\n"
           "_diffusion_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\"); }\n"
           "_diffusion_files() {\n    compopt -o filenames\n"
           "    mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n}\n"
           "_diffusion_folders() {\n    compopt -o filenames\n"
           "    mapfile -t COMPREPLY < <(compgen -d -- \"$word\")\n}\n"
           "_diffusion() {\n"
           "    local word=$2 previous=$3 options=\n    COMPREPLY=()\n"
           "    # The shell divides --option=value into three words.\n"
           "    if [ \"$word\" = = ]; then word=; fi\n"
           "    if [ \"$previous\" = = ]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        _diffusion_words '--help --version");
    print_command_names(" ");
    printf(" %s'\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", about_commands);
    printf("        completion) _diffusion_words '%s'; return ;;\n", shells);
    print_command_names("        help | manual) _diffusion_words '");
    printf("'; return ;;\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) bash_command(c);
    printf("    esac\n    case $word in\n        -*) _diffusion_words \"$options\" ;;\n"
           "        *) _diffusion_files ;;\n    esac\n}\ncomplete -F _diffusion diffusion\n");
}

/* ---- zsh ---- */

static void zsh_option(const option_group *g, const option *o) {
    char words[OPTION_TEXT_SIZE], help[OPTION_TEXT_SIZE];
    completed kind = kind_of(g, o, words);
    short_help(g, o, help);
    int argument = option_takes_argument(o);
    printf("                ");
    /* Either of the two, and once. */
    if (o->letter)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'[%s]", o->letter, o->name, o->letter,
               argument ? "+" : "", o->name, argument ? "=" : "", help);
    else printf("'--%s%s[%s]", o->name, argument ? "=" : "", help);
    if (argument) {
        printf(":%s:", option_argument(g, o));
        if (kind == COMPLETE_FILES) printf("_files");
        if (kind == COMPLETE_FOLDERS) printf("_files -/");
        if (kind == COMPLETE_WORDS) printf("(%s)", words);
    }
    printf("' \\\n");
}

static void print_zsh(void) {
    const command *c;
    printf("#compdef diffusion\n# zsh completion for diffusion\n"
           "_diffusion() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++)
        printf("            '%s:%s'\n", c->name, c->summary);
    printf("            %s\n        )\n        _describe command commands\n        return\n    fi\n"
           "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
           "    case $command in\n",
           about_commands);
    printf("        completion) _values shell %s ;;\n", shells);
    print_command_names("        help|manual) _values command ");
    printf(" ;;\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        size_t count;
        const option_group *groups = c->groups(&count);
        printf("        %s)\n            _arguments \\\n", c->name);
        for (size_t g = 0; g < count; g++)
            for (size_t k = 0; k < groups[g].count; k++)
                zsh_option(&groups[g], &groups[g].options[k]);
        printf(
            "                '(-h --help)'{-h,--help}'[Print a short help]' '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_diffusion \"$@\"\n");
}

/* ---- fish ---- */

static void fish_option(const command *c, const option_group *g, const option *o) {
    char words[OPTION_TEXT_SIZE], help[OPTION_TEXT_SIZE];
    completed kind = kind_of(g, o, words);
    short_help(g, o, help);
    printf("complete -c diffusion -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (option_takes_argument(o)) printf(kind == COMPLETE_FILES ? " -r -F" : " -x");
    if (kind == COMPLETE_FOLDERS) printf(" -a '(__fish_complete_directories)'");
    if (kind == COMPLETE_WORDS) printf(" -a '%s'", words);
    printf(" -d '%s'\n", help);
}

static void print_fish(void) {
    const command *c;
    printf("# fish completion for diffusion\ncomplete -c diffusion -n __fish_use_subcommand -f\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++)
        printf("complete -c diffusion -n __fish_use_subcommand -a %s -d '%s'\n", c->name,
               c->summary);
    printf("complete -c diffusion -n __fish_use_subcommand -a '%s'\n", about_commands);
    printf("complete -c diffusion -n '__fish_seen_subcommand_from completion' -f -a '%s'\n",
           shells);
    print_command_names(
        "complete -c diffusion -n '__fish_seen_subcommand_from help manual' -f -a '");
    printf("'\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        size_t count;
        const option_group *groups = c->groups(&count);
        printf("complete -c diffusion -n '__fish_seen_subcommand_from %s' -l help -s h "
               "-d 'Print a short help'\n",
               c->name);
        for (size_t g = 0; g < count; g++)
            for (size_t k = 0; k < groups[g].count; k++)
                fish_option(c, &groups[g], &groups[g].options[k]);
    }
}

int print_completion(const char *shell) {
    if (!strcmp(shell, "bash")) print_bash();
    else if (!strcmp(shell, "zsh")) print_zsh();
    else if (!strcmp(shell, "fish")) print_fish();
    else return 1;
    return 0;
}
