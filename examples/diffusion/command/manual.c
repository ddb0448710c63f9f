/* SPDX-License-Identifier: MIT */
/* Manual pages of the commands, in the format of man(7). */
#include <stdio.h>
#include <string.h>

#include "command/help.h"

/* Text with what roff would take for its own: backslashes, minus signs, and dots and quotation
 * marks at the start of a line. */
static void print_text(const char *text) {
    int start = 1;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) printf("\\&");
        start = *text == '\n';
        if (*text == '\\') printf("\\e");
        else if (*text == '-') printf("\\-");
        else if (text[0] == '\n' && text[1] == '\n') printf("\n.PP");
        else printf("%c", *text);
    }
    printf("\n");
}

static void print_title(const char *name) {
    printf(".\\\" Written by `diffusion manual`.\n.TH \"%s\" 1 \"\" \"diffusion %s\" "
           "\"User Commands\"\n",
           name, dm_version_string());
}

static void print_option(const option_group *g, const option *o) {
    char help[OPTION_TEXT_SIZE];
    const char *argument = option_argument(g, o);
    printf(".TP\n");
    if (o->letter) printf("\\fB\\-%c\\fR, ", o->letter);
    printf("\\fB\\-\\-");
    for (const char *p = o->name; *p; p++) printf(*p == '-' ? "\\-" : "%c", *p);
    printf("\\fR");
    if (*argument) printf("=\\fI%s\\fR", argument);
    printf("\n");
    option_help(g, o, help);
    print_text(help);
}

/* The options of that enumeration, and a line about each of its values. */
static void print_explained(const option_group *groups, size_t count, const char *enumeration) {
    dm_member_info info;
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].count; i++) {
            const option *o = &groups[g].options[i];
            if (!option_member(&groups[g], o, &info) || !info.enumeration ||
                strcmp(info.enumeration, enumeration) != 0)
                continue;
            printf(".SS Values of \\-\\-");
            print_text(o->name);
        }
    for (int32_t i = 0, value; !dm_enum_item(enumeration, i, &value); i++) {
        printf(".TP\n\\fB%s\\fR\n", dm_enum_name(enumeration, value));
        print_text(dm_enum_help(enumeration, value));
    }
}

static void print_command(const command *c) {
    char name[32];
    size_t count;
    const option_group *groups = c->groups(&count);
    snprintf(name, sizeof name, "diffusion-%s", c->name);
    print_title(name);
    printf(".SH NAME\ndiffusion\\-%s \\- ", c->name);
    print_text(c->summary);
    printf(".SH SYNOPSIS\n.B diffusion %s\n[\\fIOPTION\\fR...]", c->name);
    if (*c->words) printf(" %s", c->words);
    printf("\n.SH DESCRIPTION\n");
    print_text(c->description);
    printf(".SH OPTIONS\n");
    for (size_t g = 0; g < count; g++) {
        printf(".SS ");
        print_text(groups[g].title);
        for (size_t i = 0; i < groups[g].count; i++)
            print_option(&groups[g], &groups[g].options[i]);
    }
    if (c->explained) print_explained(groups, count, c->explained);
    printf(".SS Help\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint a short help\n");
    printf(".SH EXAMPLES\n");
    for (const command_example *e = c->examples; e->words; e++) {
        printf(".PP\n");
        print_text(e->says);
        printf(".PP\n.nf\n.RS\n");
        print_text(e->words);
        printf(".RE\n.fi\n");
    }
    printf(".SH SEE ALSO\n\\fBdiffusion\\fR(1)\n");
}

static void print_program(void) {
    const command *c;
    print_title("diffusion");
    printf(".SH NAME\ndiffusion \\- train diffusion models and sample from them\n"
           ".SH SYNOPSIS\n.B diffusion\n\\fICOMMAND\\fR [\\fIOPTION\\fR...]\n.SH DESCRIPTION\n"
           "Trains diffusion models on pictures and generates new ones.\n.SH COMMANDS\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++) {
        printf(".TP\n\\fBdiffusion\\-%s\\fR(1)\n", c->name);
        print_text(c->summary);
    }
    printf(".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint a short help\n"
           ".TP\n\\fB\\-\\-version\\fR\nPrint the version\n"
           ".SH EXIT STATUS\n.TP\n0\nAll that should be written is written; a training run that a "
           "signal stopped is saved\n.TP\n1\nSomething failed, and a message told what\n"
           ".TP\n2\nA wrong option\n.TP\n128 + N\nSignal N stopped the program without a result\n"
           ".SH SEE ALSO\n");
    for (size_t i = 0; (c = command_at(i)) != NULL; i++)
        printf("%s\\fBdiffusion\\-%s\\fR(1)", i ? ", " : "", c->name);
    printf("\n");
}

void print_manual(const command *c) {
    if (c) print_command(c);
    else print_program();
}
