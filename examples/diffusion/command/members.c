/* SPDX-License-Identifier: MIT */
/* See line.h: members of the library's structs, options without effect, and messages, which speak
 * of options where the library speaks of members. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command/line.h"
#include "console/interrupt.h"
#include "console/output.h"

enum { MESSAGE_SIZE = 4096 };

/* The option that sets a member of that name, NULL if there is none. */
static const option *option_of_member(const command_line *line, const char *name, size_t length) {
    for (size_t g = 0; g < line->group_count; g++)
        for (size_t i = 0; i < line->groups[g].count; i++) {
            const option *o = &line->groups[g].options[i];
            if (o->kind == OPTION_MEMBER && !strncmp(o->member, name, length) && !o->member[length])
                return o;
        }
    return NULL;
}

/* Writes a message of the library with 'learning_rate' and 'channels[1]' as --lr and --channels.
 * The handle's name before them is left out. */
static void write_message(const command_line *line, const char *text, char *out, size_t capacity) {
    const char *colon = strstr(text, ": '");
    if (colon && colon == text + strcspn(text, ": ")) {
        size_t length = strcspn(colon + 3, "'[");
        if (option_of_member(line, colon + 3, length)) text = colon + 2;
    }
    size_t used = 0;
    *out = 0;
    while (*text && used + 1 < capacity) {
        size_t length = *text == '\'' ? strcspn(text + 1, "'[") : 0;
        const option *o = length ? option_of_member(line, text + 1, length) : NULL;
        const char *end = o ? strchr(text + 1 + length, '\'') : NULL;
        if (end) {
            used += (size_t)snprintf(out + used, capacity - used, "--%s", o->name);
            text = end + 1;
        } else {
            out[used++] = *text++;
            out[used] = 0;
        }
    }
}

int command_line_refuse(const command_line *line, const char *format, ...) {
    va_list arguments;
    char text[MESSAGE_SIZE];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: ", line->program);
    print_foreign(stderr, text);
    fprintf(stderr, "\n");
    return REPORTED;
}

int command_line_refuse_word(const command_line *line, const option *o, const char *words) {
    char list[OPTION_TEXT_SIZE] = "";
    size_t used = 0;
    for (const char *w = words; *w && used < sizeof list;) {
        size_t length = strcspn(w, " ");
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s", used ? ", " : "",
                                 (int)length, w);
        w += length + (w[length] == ' ');
    }
    return command_line_refuse(line, "--%s is '%s'; it must be one of %s", o->name, o->text, list);
}

void command_line_warn(const command_line *line, const char *message) {
    char text[1024];
    write_message(line, message, text, sizeof text);
    fprintf(stderr, "%s: warning: %s\n", line->program, text);
}

void command_line_print_error(const command_line *line, const dm_context *context, int32_t status) {
    char message[1024];
    if (status == DM_OK || status == REPORTED) return;
    if (status == DM_ERROR_CANCELLED && interrupt_signal()) {
        command_line_refuse(line, "stopped by a signal: %s", strsignal(interrupt_signal()));
        return;
    }
    const char *text = dm_context_error(context);
    write_message(line, *text ? text : dm_status_message(status), message, sizeof message);
    command_line_refuse(line, "%s", message);
}

/* '-' as '_' in a list of names of an enumeration. */
static void enum_word(char *word, size_t capacity, const char *text) {
    snprintf(word, capacity, "%s", text);
    for (char *p = word; *p; p++)
        if (*p == '-') *p = '_';
}

/* Refuses a word that is not offered, of a member with one value. */
static int check_word(const command_line *line, const option_group *g, const option *o,
                      const dm_member_info *info) {
    char words[OPTION_TEXT_SIZE];
    size_t length;
    option_words(g, o, words);
    if (info->count > 1 || option_named_word(words, o->text, &length)) return 0;
    return command_line_refuse_word(line, o, words);
}

static int apply_option(const command_line *line, const option_group *g, const option *o,
                        dm_context *context) {
    const char *value = o->flag ? o->flag : o->text;
    dm_member_info info;
    char word[256];
    if (option_member(g, o, &info) && info.enumeration) {
        enum_word(word, sizeof word, value);
        value = word;
        if (!o->flag && check_word(line, g, o, &info)) return 1;
    }
    dm_status status = dm_options_set(context, g->struct_name, g->values, o->member, value);
    command_line_print_error(line, context, status);
    return status != DM_OK;
}

int command_line_apply(const command_line *line, dm_context *context) {
    for (size_t g = 0; g < line->group_count; g++)
        for (size_t i = 0; i < line->groups[g].count; i++) {
            const option *o = &line->groups[g].options[i];
            if (o->kind == OPTION_MEMBER && o->given &&
                apply_option(line, &line->groups[g], o, context))
                return 1;
        }
    return 0;
}

int command_line_check(const command_line *line, const option_rule *rules, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!rules[i].used && command_line_given(line, rules[i].option))
            return command_line_refuse(line,
                                       "--%s has no effect without %s (--help lists the options)",
                                       rules[i].option, rules[i].with);
    return 0;
}
