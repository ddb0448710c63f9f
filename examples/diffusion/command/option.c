/* SPDX-License-Identifier: MIT */
/* See option.h. */
#include "command/option.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_member(const option_group *g, const option *o, dm_member_info *info) {
    dm_member_info_init(info, sizeof *info);
    if (o->kind != OPTION_MEMBER) return 0;
    for (int32_t i = 0; !dm_struct_member(g->struct_name, i, info); i++)
        if (!strcmp(info->name, o->member)) return 1;
    return 0;
}

static int is_real(const dm_member_info *info) {
    return info->type == DM_TYPE_F32 || info->type == DM_TYPE_F64;
}

int option_takes_argument(const option *o) {
    return o->kind == OPTION_MEMBER ? o->flag == NULL : o->kind != OPTION_FLAG;
}

const char *option_argument(const option_group *g, const option *o) {
    dm_member_info info;
    if (!option_takes_argument(o)) return "";
    if (o->argument) return o->argument;
    switch (o->kind) {
        case OPTION_COUNT: return "N";
        case OPTION_REAL: return "X";
        case OPTION_FILE: return "FILE";
        case OPTION_FOLDER: return "DIR";
        case OPTION_MEMBER: break;
        default: return "NAME";
    }
    if (!option_member(g, o, &info)) return "";
    if (info.enumeration) return "NAME";
    if (info.count > 1) return "LIST";
    return is_real(&info) ? "X" : "N";
}

/* Appends to a text of OPTION_TEXT_SIZE bytes, as far as it fits. */
static void append(char *text, const char *more) {
    size_t length = strlen(text);
    snprintf(text + length, OPTION_TEXT_SIZE - length, "%s", more);
}

/* Whether a value of the member's enumeration is in its range and not hidden. */
static int is_offered(const option *o, const dm_member_info *info, int32_t value) {
    if (o->hidden && !strcmp(o->hidden, dm_enum_name(info->enumeration, value))) return 0;
    if (info->minimum == 0 && info->maximum == 0) return 1;
    return value >= info->minimum && value <= info->maximum;
}

void option_words(const option_group *g, const option *o, char text[OPTION_TEXT_SIZE]) {
    dm_member_info info;
    int member = option_member(g, o, &info);
    const char *enumeration = member ? info.enumeration : o->enumeration;
    *text = 0;
    if (!enumeration) {
        append(text, o->choices ? o->choices : "");
        return;
    }
    for (int32_t i = 0, value; !dm_enum_item(enumeration, i, &value); i++) {
        if (member && !is_offered(o, &info, value)) continue;
        if (*text) append(text, " ");
        append(text, dm_enum_name(enumeration, value));
    }
}

/* The member's value: a single number short, a list without the zeros at its end; "none" for a list
 * of names without any. */
static void member_value(const option_group *g, const option *o, const dm_member_info *info,
                         char text[OPTION_TEXT_SIZE]) {
    dm_options_get(NULL, g->struct_name, g->values, o->member, text, OPTION_TEXT_SIZE, NULL);
    if (is_real(info) && info->count == 1)
        snprintf(text, OPTION_TEXT_SIZE, "%g", strtod(text, NULL));
    const char *zero = info->enumeration ? dm_enum_name(info->enumeration, 0) : "0";
    if (info->count == 1 || !zero) return;
    for (char *last = strrchr(text, ','); last && !strcmp(last + 1, zero);
         last = strrchr(text, ','))
        *last = 0;
    if (info->enumeration && !strcmp(text, zero)) snprintf(text, OPTION_TEXT_SIZE, "none");
}

static void initial_value(const option_group *g, const option *o, char text[OPTION_TEXT_SIZE]) {
    dm_member_info info;
    *text = 0;
    if (!option_takes_argument(o)) return;
    if (o->initial) {
        append(text, o->initial);
        return;
    }
    switch (o->kind) {
        case OPTION_MEMBER:
            if (option_member(g, o, &info)) member_value(g, o, &info, text);
            return;
        case OPTION_COUNT:
            snprintf(text, OPTION_TEXT_SIZE, "%lld", (long long)*(int64_t *)o->value);
            return;
        case OPTION_REAL: snprintf(text, OPTION_TEXT_SIZE, "%g", *(double *)o->value); return;
        default:
            if (*(const char **)o->value) append(text, *(const char **)o->value);
    }
}

void option_help(const option_group *g, const option *o, char text[OPTION_TEXT_SIZE]) {
    dm_member_info info;
    char words[OPTION_TEXT_SIZE], value[OPTION_TEXT_SIZE];
    const char *help = o->help;
    *text = 0;
    if (!help && option_member(g, o, &info)) help = info.help;
    if (!help) help = "";
    if (o->flag && !strncmp(help, "1: ", 3)) help += 3;
    append(text, help);
    size_t length = strlen(text);
    if (length && text[length - 1] == '.') text[length - 1] = 0;
    *text = (char)toupper((unsigned char)*text);
    option_words(g, o, words);
    if (*words && option_takes_argument(o) && !o->open) {
        append(text, ": ");
        for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
            if (text[strlen(text) - 1] != ' ') append(text, ", ");
            append(text, word);
        }
    }
    initial_value(g, o, value);
    if (!*value) return;
    append(text, " (default: ");
    append(text, value);
    append(text, ")");
}

/* '-' and '_' are the same in words. */
static int same_word(const char *a, const char *b, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i] && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')))
            return 0;
    return a[length] == 0;
}

const char *option_named_word(const char *words, const char *text, size_t *length) {
    for (const char *w = words; *w; w += *length + (w[*length] == ' ')) {
        *length = strcspn(w, " ");
        if (same_word(text, w, *length)) return w;
    }
    return NULL;
}

int option_enum_value(const char *enumeration, const char *text, int32_t *value) {
    size_t length = strlen(text);
    for (int32_t i = 0; !dm_enum_item(enumeration, i, value); i++) {
        const char *name = dm_enum_name(enumeration, *value);
        if (strlen(name) == length && same_word(text, name, length)) return 0;
    }
    return 1;
}
