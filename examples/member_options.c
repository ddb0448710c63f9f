/* SPDX-License-Identifier: MIT */
/* See member_options.h. */
#include "member_options.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int find_member(const char *struct_name, const char *member, dm_member_info *info) {
    dm_member_info_init(info, sizeof *info);
    for (int32_t i = 0; !dm_struct_member(struct_name, i, info); i++)
        if (!strcmp(info->name, member)) return 1;
    return 0;
}

static int is_real(const dm_member_info *info) {
    return info->type == DM_TYPE_F32 || info->type == DM_TYPE_F64;
}

/* The name of the argument in --help. */
static const char *argument_name(const dm_member_info *info) {
    if (info->enumeration) return "NAME";
    if (info->count > 1) return "LIST";
    return is_real(info) ? "X" : "N";
}

/* Whether a value of the member's enumeration is in its range and not hidden. */
static int is_offered(const member_option *o, const dm_member_info *info, int32_t value) {
    if (o->hidden && !strcmp(o->hidden, dm_enum_name(info->enumeration, value))) return 0;
    if (info->minimum == 0 && info->maximum == 0) return 1;
    return value >= info->minimum && value <= info->maximum;
}

/* "mse, pseudo_huber, hybrid". */
static void offered_names(const member_option *o, const dm_member_info *info, char *text,
                          size_t capacity) {
    size_t length = 0;
    *text = 0;
    for (int32_t i = 0, value; !dm_enum_item(info->enumeration, i, &value); i++)
        if (is_offered(o, info, value) && length < capacity)
            length += (size_t)snprintf(text + length, capacity - length, "%s%s", length ? ", " : "",
                                       dm_enum_name(info->enumeration, value));
}

/* The member's value as text: a single number short, a list without the zeros at its end; "none"
 * for a list of names without any. */
static void default_text(const member_options *m, const member_option *o,
                         const dm_member_info *info, char *text, size_t capacity) {
    dm_options_get(NULL, m->struct_name, m->values, o->member, text, capacity, NULL);
    if (is_real(info) && info->count == 1) snprintf(text, capacity, "%g", strtod(text, NULL));
    const char *zero = info->enumeration ? dm_enum_name(info->enumeration, 0) : "0";
    if (info->count == 1 || !zero) return;
    for (char *last = strrchr(text, ','); last && !strcmp(last + 1, zero);
         last = strrchr(text, ','))
        *last = 0;
    if (info->enumeration && !strcmp(text, zero)) snprintf(text, capacity, "none");
}

/* "Loss of one element: mse, pseudo_huber, hybrid (default: mse)". */
static void write_help(const member_options *m, const member_option *o, const dm_member_info *info,
                       char help[MEMBER_HELP_SIZE]) {
    const char *text = o->help ? o->help : info->help;
    if (o->flag && !strncmp(text, "1: ", 3)) text += 3;
    int length = (int)strlen(text);
    if (length && text[length - 1] == '.') length--;
    if (o->flag) {
        snprintf(help, MEMBER_HELP_SIZE, "%.*s", length, text);
        *help = (char)toupper((unsigned char)*help);
        return;
    }
    char names[240] = "", value[128] = "";
    if (info->enumeration) offered_names(o, info, names, sizeof names);
    default_text(m, o, info, value, sizeof value);
    snprintf(help, MEMBER_HELP_SIZE, "%.*s%s%s (default: %s)", length, text, *names ? ": " : "",
             names, value);
}

void member_options_init(member_options *m, const char *struct_name, void *values,
                         member_option *options, int count) {
    memset(m, 0, sizeof *m);
    m->struct_name = struct_name;
    m->values = values;
    m->options = options;
    assert(count <= MEMBER_OPTIONS_MAX);
    for (int i = 0; i < count; i++) {
        member_option *o = &options[i];
        dm_member_info info;
        int known = find_member(struct_name, o->member, &info);
        assert(known);
        (void)known;
        write_help(m, o, &info, m->help[i]);
        m->table[i] = (struct poptOption){
            .longName = o->name,
            .shortName = o->letter,
            .argInfo = o->flag ? POPT_ARG_NONE : POPT_ARG_STRING,
            .arg = o->flag ? (void *)&o->given : (void *)&o->text,
            .descrip = m->help[i],
            .argDescrip = o->flag ? NULL : argument_name(&info),
        };
        m->count++;
    }
}

const char *member_options_text(const member_options *m, const char *name) {
    for (int i = 0; i < m->count; i++)
        if (!strcmp(m->options[i].name, name)) return m->options[i].text;
    return NULL;
}

const char *member_options_given(const member_options *m) {
    for (int i = 0; i < m->count; i++)
        if (m->options[i].text || m->options[i].given) return m->options[i].name;
    return NULL;
}

/* Refuses a word of the enumeration that is not offered. A list may have a hidden one. */
static int check_word(const char *program, const member_option *o, const dm_member_info *info,
                      const char *word) {
    char names[240];
    int32_t value;
    if (info->count > 1 || dm_enum_value(info->enumeration, word, &value) ||
        is_offered(o, info, value))
        return 0;
    offered_names(o, info, names, sizeof names);
    fprintf(stderr, "%s: --%s is '%s'; it must be one of %s\n", program, o->name, word, names);
    return 1;
}

int member_options_apply(const member_options *m, const char *program, dm_context *context) {
    for (int i = 0; i < m->count; i++) {
        const member_option *o = &m->options[i];
        const char *value = o->flag && o->given ? o->flag : o->text;
        dm_member_info info;
        char word[64];
        if (!value) continue;
        if (find_member(m->struct_name, o->member, &info) && info.enumeration) {
            enum_word(word, sizeof word, value);
            value = word;
            if (check_word(program, o, &info, word)) return 1;
        }
        if (dm_options_set(context, m->struct_name, m->values, o->member, value)) {
            fprintf(stderr, "%s: --%s: %s\n", program, o->name, dm_context_error(context));
            return 1;
        }
    }
    return 0;
}
