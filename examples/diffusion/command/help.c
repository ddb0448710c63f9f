/* SPDX-License-Identifier: MIT */
/* Help for a terminal, wrapped to its width. */
#include "command/help.h"

#include <stdio.h>
#include <string.h>

#include "console/terminal.h"

enum { COLUMN = 28, WIDTH_MIN = 50, WIDTH_MAX = 100 };

static int text_width(void) {
    int width = terminal_width(stdout);
    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
}

/* Prints words from column `at`, those after a line break from column `indent`. */
static void print_wrapped(const char *text, int at, int indent, int width) {
    int first = 1;
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (!first && at + 1 + length > width) {
            printf("\n%*s", indent, "");
            at = indent;
            first = 1;
        }
        printf("%s%.*s", first ? "" : " ", length, text);
        at += length + !first;
        first = 0;
        text += length;
        if (text[0] == '\n' && text[1] == '\n') {
            printf("\n\n%*s", indent, "");
            at = indent;
            first = 1;
        }
        text += strspn(text, " \n");
    }
    printf("\n");
}

static void print_option(const option_group *g, const option *o, int width) {
    char help[OPTION_TEXT_SIZE], name[64];
    const char *argument = option_argument(g, o);
    int at = snprintf(name, sizeof name, "  %c%c%s--%s%s%s", o->letter ? '-' : ' ',
                      o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                      *argument ? "=" : "", argument);
    option_help(g, o, help);
    printf("%s", name);
    if (at >= COLUMN) printf("\n%*s", COLUMN, "");
    else printf("%*s", COLUMN - at, "");
    print_wrapped(help, COLUMN, COLUMN, width);
}

/* "Values of --solver" with a line about each. */
static void print_explained(const option_group *groups, size_t count, const char *enumeration,
                            int width) {
    dm_member_info info;
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].count; i++)
            if (option_member(&groups[g], &groups[g].options[i], &info) && info.enumeration &&
                !strcmp(info.enumeration, enumeration))
                printf("\nValues of --%s:\n", groups[g].options[i].name);
    for (int32_t i = 0, value; !dm_enum_item(enumeration, i, &value); i++) {
        int at = printf("  %s", dm_enum_name(enumeration, value));
        printf("%*s", COLUMN - at, "");
        print_wrapped(dm_enum_help(enumeration, value), COLUMN, COLUMN, width);
    }
}

void print_command_help(const command *c) {
    int width = text_width();
    size_t count;
    const option_group *groups = c->groups(&count);
    printf("Usage: diffusion %s [OPTION...]%s%s\n\n", c->name, *c->words ? " " : "", c->words);
    print_wrapped(c->description, 0, 0, width);
    printf("\nExamples:\n");
    for (const command_example *e = c->examples; e->words; e++)
        printf("  # %s\n  %s\n", e->says, e->words);
    for (size_t g = 0; g < count; g++) {
        printf("\n%s:\n", groups[g].title);
        for (size_t i = 0; i < groups[g].count; i++)
            print_option(&groups[g], &groups[g].options[i], width);
    }
    if (c->explained) print_explained(groups, count, c->explained, width);
    printf("\nHelp:\n  -h, --help%*sPrint this text\n", COLUMN - 12, "");
}

void print_program_help(void) {
    const command *c;
    printf("Usage: diffusion COMMAND [OPTION...]\n\n"
           "Trains diffusion models on your pictures and generates new ones.\n\nCommands:\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) printf("  %-12s%s\n", c->name, c->summary);
    printf(
        "\nStart here:\n"
        "  diffusion demo                sample, train and sample again, in about three minutes\n"
        "  diffusion sample              pictures of the model that is installed\n"
        "  diffusion train PICTURES      train on a folder of PNG and JPEG files\n"
        "\n'diffusion COMMAND --help' lists the options; 'diffusion --version' the version.\n");
}
