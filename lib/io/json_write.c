/* SPDX-License-Identifier: MIT */
/* See json_write.h. */
#include "io/json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static void put(dmi_json_writer *w, const char *bytes, size_t size) {
    if (w->status) return;
    w->status = dmi_reserve(w->host, &w->text, &w->capacity, w->size + size, 1, "JSON");
    if (w->status) return;
    memcpy(w->text + w->size, bytes, size);
    w->size += size;
}

static void put_text(dmi_json_writer *w, const char *text) { put(w, text, strlen(text)); }

static void put_quoted(dmi_json_writer *w, const char *text) {
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    char code[8];
    put_text(w, "\"");
    for (; *text; text++) {
        const char *found = strchr(escaped, *text);
        if (found) put(w, (const char[]){'\\', letters[found - escaped]}, 2);
        else if ((unsigned char)*text >= 0x20) put(w, text, 1);
        else put(w, code, (size_t)snprintf(code, sizeof code, "\\u%04x", (unsigned)*text));
    }
    put_text(w, "\"");
}

static void new_line(dmi_json_writer *w) {
    put_text(w, "\n");
    for (int32_t i = 0; i < w->depth; i++) put_text(w, "  ");
}

/* What stands before a value. */
static void lead(dmi_json_writer *w, const char *key) {
    if (w->depth > 0) {
        if (!w->first) put_text(w, ",");
        new_line(w);
    }
    w->first = false;
    if (!key) return;
    put_quoted(w, key);
    put_text(w, ": ");
}

void dmi_json_write_begin(dmi_json_writer *w, dmi_host *host) {
    *w = (dmi_json_writer){.host = host, .first = true};
}

void dmi_json_write_open(dmi_json_writer *w, const char *key, char bracket) {
    lead(w, key);
    put(w, &bracket, 1);
    w->depth++;
    w->first = true;
}

void dmi_json_write_close(dmi_json_writer *w, char bracket) {
    const bool empty = w->first;
    w->depth--;
    w->first = false;
    if (!empty) new_line(w);
    put(w, &bracket, 1);
}

void dmi_json_write_string(dmi_json_writer *w, const char *key, const char *value) {
    lead(w, key);
    put_quoted(w, value);
}

void dmi_json_write_integer(dmi_json_writer *w, const char *key, int64_t value) {
    char text[DMI_NUMBER_SIZE];
    snprintf(text, sizeof text, "%" PRId64, value);
    lead(w, key);
    put_text(w, text);
}

/* Whether text that dmi_format_double wrote is the value. */
static bool reads_back(const char *text, double value, bool is_float) {
    const char *end;
    double back = 0;
    dmi_parse_double(text, &end, &back);
    return is_float ? (float)back == (float)value : back == value;
}

/* digits: those with which any number reads back the same. */
static void write_number(dmi_json_writer *w, const char *key, double value, int digits,
                         bool is_float) {
    char text[DMI_NUMBER_SIZE] = "null"; /* stays for what is not finite */
    int n = 0;
    do {
        dmi_format_double(text, sizeof text, value, ++n);
    } while (n < digits && !reads_back(text, value, is_float));
    lead(w, key);
    put_text(w, text);
    /* Programs tell integers and floating-point numbers apart. */
    if (!strpbrk(text, ".en")) put_text(w, ".0");
}

void dmi_json_write_double(dmi_json_writer *w, const char *key, double value) {
    write_number(w, key, value, 17, false);
}

void dmi_json_write_float(dmi_json_writer *w, const char *key, float value) {
    write_number(w, key, (double)value, 9, true);
}

void dmi_json_write_bool(dmi_json_writer *w, const char *key, bool value) {
    lead(w, key);
    put_text(w, value ? "true" : "false");
}

void dmi_json_write_null(dmi_json_writer *w, const char *key) {
    lead(w, key);
    put_text(w, "null");
}

void dmi_json_write_free(dmi_json_writer *w) {
    dmi_free(w->host, w->text);
    w->text = NULL;
}

int32_t dmi_json_write_file(dmi_json_writer *w, dmi_file_writer *file) {
    put_text(w, "\n");
    int32_t status = w->status;
    if (!status) status = dmi_file_write_at(w->host, file, w->text, w->size, 0);
    if (!status) status = dmi_file_sync(w->host, file);
    dmi_json_write_free(w);
    return status;
}
