/* SPDX-License-Identifier: MIT */
/* See config.h. */
#include "core/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "io/file.h"
#include "io/json.h"

/* ---- reading ---- */

/* A scalar, or the whole of what is no scalar as DMI_CONFIG_OTHER. */
static void read_scalar(dmi_json *json, dmi_config_value *value) {
    bool truth = false;
    const char c = dmi_json_peek(json);
    value->begin = json->at;
    if (dmi_json_not_finite(json, &value->number)) {
        value->kind = DMI_CONFIG_NUMBER;
    } else if (c == 't' || c == 'f') {
        value->kind = DMI_CONFIG_BOOL;
        dmi_json_bool(json, &truth);
        value->number = truth;
    } else if (c == 'n') {
        value->kind = DMI_CONFIG_NULL;
        dmi_json_null(json);
    } else if (c == '"') {
        value->kind = DMI_CONFIG_TEXT;
        dmi_json_string(json, &value->text);
    } else if (c == '{' || c == '[' || c == 0) {
        value->kind = DMI_CONFIG_OTHER;
        dmi_json_skip(json);
    } else {
        value->kind = DMI_CONFIG_NUMBER;
        dmi_json_double(json, &value->number);
    }
    value->end = json->at;
}

static dm_status read_list(dmi_config *c, dmi_json *json, dmi_config_value *list) {
    list->kind = DMI_CONFIG_LIST;
    list->begin = json->at;
    list->first = c->element_count;
    dmi_json_array(json);
    while (dmi_json_element(json)) {
        dmi_config_value element = {0};
        if (c->element_count == DMI_CONFIG_ELEMENTS_MAX)
            return dmi_fail(c->host, DM_ERROR_BAD_FORMAT,
                            "%s: its lists have more than %d elements", c->from,
                            DMI_CONFIG_ELEMENTS_MAX);
        dm_status status = dmi_reserve(c->host, &c->elements, &c->element_capacity,
                                       c->element_count + 1, sizeof element, c->from);
        if (status) return status;
        read_scalar(json, &element);
        if (element.kind == DMI_CONFIG_OTHER) list->kind = DMI_CONFIG_OTHER;
        c->elements[c->element_count++] = element;
    }
    list->count = c->element_count - list->first;
    list->end = json->at;
    return DM_OK;
}

static dm_status add_pair(dmi_config *c, const char *key) {
    if (c->pair_count == DMI_CONFIG_KEYS_MAX)
        return dmi_fail(c->host, DM_ERROR_BAD_FORMAT, "%s: it has more than %d keys", c->from,
                        DMI_CONFIG_KEYS_MAX);
    for (size_t i = 0; i < c->pair_count; i++)
        if (!strcmp(c->pairs[i].key, key))
            return dmi_fail(c->host, DM_ERROR_BAD_FORMAT, "%s: it has the key '%.64s' twice",
                            c->from, key);
    dm_status status = dmi_reserve(c->host, &c->pairs, &c->pair_capacity, c->pair_count + 1,
                                   sizeof *c->pairs, c->from);
    if (!status) c->pairs[c->pair_count++] = (dmi_config_pair){.key = key};
    return status;
}

static dm_status read_pairs(dmi_config *c, size_t length) {
    dmi_json json;
    const char *key;
    dm_status status = DM_OK;
    dmi_json_begin(&json, c->text, length);
    dmi_json_object(&json);
    while (!status && dmi_json_key(&json, &key)) {
        status = add_pair(c, key);
        if (status) break;
        dmi_config_value *value = &c->pairs[c->pair_count - 1].value;
        if (dmi_json_peek(&json) == '[') status = read_list(c, &json, value);
        else read_scalar(&json, value);
    }
    if (status || dmi_json_end(&json)) return status;
    return dmi_fail(c->host, DM_ERROR_BAD_FORMAT, "%s: not a JSON object: at byte %zu %s", c->from,
                    json.at, json.error);
}

dm_status dmi_config_parse(dmi_host *host, dmi_config *out, const char *text, size_t length,
                           const char *from) {
    *out = (dmi_config){.host = host, .from = from};
    if (length > DMI_CONFIG_SIZE_MAX)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: it has %zu bytes; at most %d are read",
                        from, length, DMI_CONFIG_SIZE_MAX);
    dm_status status = dmi_alloc(host, &out->text, length, from);
    if (!status) status = dmi_alloc(host, &out->raw, length, from);
    if (!status && length) {
        memcpy(out->text, text, length);
        memcpy(out->raw, text, length);
    }
    if (!status) status = read_pairs(out, length);
    if (status) dmi_config_free(out);
    return status;
}

dm_status dmi_config_read(dmi_host *host, dmi_config *out, const char *from) {
    int descriptor;
    size_t size;
    char *text = NULL;
    *out = (dmi_config){.host = host, .from = from};
    dm_status status = dmi_file_open(host, from, &descriptor, &size);
    if (status) return status;
    if (size > DMI_CONFIG_SIZE_MAX)
        status = dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: it has %zu bytes; at most %d are read",
                          from, size, DMI_CONFIG_SIZE_MAX);
    if (!status) status = dmi_alloc(host, &text, size, from);
    if (!status) status = dmi_file_read_at(host, descriptor, from, text, size, 0);
    dmi_file_close(descriptor);
    if (!status) status = dmi_config_parse(host, out, text, size, from);
    dmi_free(host, text);
    return status;
}

void dmi_config_free(dmi_config *c) {
    dmi_free(c->host, c->elements);
    dmi_free(c->host, c->pairs);
    dmi_free(c->host, c->raw);
    dmi_free(c->host, c->text);
    *c = (dmi_config){.host = c->host, .from = c->from};
}

/* ---- messages ---- */

enum { VALUE_SIZE = 80 };

/* The value as the file has it, shortened, with single blanks. */
static void describe(const dmi_config *c, const dmi_config_value *value, char text[VALUE_SIZE]) {
    if (!value) {
        snprintf(text, VALUE_SIZE, "missing");
        return;
    }
    size_t length = 0, at = value->begin;
    for (; at < value->end && length < VALUE_SIZE - 4; at++) {
        const char byte = c->raw[at];
        const bool blank = byte <= ' ' || byte > '~';
        if (!blank) text[length++] = byte;
        else if (length && text[length - 1] != ' ') text[length++] = ' ';
    }
    snprintf(text + length, VALUE_SIZE - length, "%s", at < value->end ? "..." : "");
}

static const dmi_config_value *peek(const dmi_config *c, const char *key) {
    for (size_t i = 0; i < c->pair_count; i++)
        if (!strcmp(c->pairs[i].key, key)) return &c->pairs[i].value;
    return NULL;
}

void dmi_config_refuse(dmi_config *c, dm_status status, const char *key, const char *reason) {
    char value[VALUE_SIZE];
    if (c->status) return;
    describe(c, peek(c, key), value);
    c->status = dmi_fail(c->host, status, "%s: '%s' is %s; %s", c->from, key, value, reason);
}

static void refuse_type(dmi_config *c, const char *key, const char *type) {
    char reason[160];
    snprintf(reason, sizeof reason, "it must be %s", type);
    dmi_config_refuse(c, DM_ERROR_BAD_FORMAT, key, reason);
}

/* ---- values ---- */

const dmi_config_value *dmi_config_find(dmi_config *c, const char *key) {
    for (size_t i = 0; i < c->pair_count; i++) {
        if (strcmp(c->pairs[i].key, key) != 0) continue;
        c->pairs[i].used = true;
        return &c->pairs[i].value;
    }
    return NULL;
}

bool dmi_config_is_null(dmi_config *c, const char *key) {
    const dmi_config_value *value = dmi_config_find(c, key);
    return !value || value->kind == DMI_CONFIG_NULL;
}

int32_t dmi_config_i32(dmi_config *c, const char *key, int32_t otherwise, int32_t minimum,
                       int32_t maximum) {
    char type[64];
    const dmi_config_value *value = dmi_config_find(c, key);
    if (!value) return otherwise;
    if (value->kind == DMI_CONFIG_NUMBER && value->number >= minimum && value->number <= maximum &&
        value->number == floor(value->number))
        return (int32_t)value->number;
    snprintf(type, sizeof type, "a whole number from %d to %d", (int)minimum, (int)maximum);
    refuse_type(c, key, type);
    return otherwise;
}

double dmi_config_double(dmi_config *c, const char *key, double otherwise, double minimum,
                         double maximum) {
    char type[96], low[DMI_NUMBER_SIZE] = "-infinity", high[DMI_NUMBER_SIZE] = "infinity";
    const dmi_config_value *value = dmi_config_find(c, key);
    if (!value) return otherwise;
    if (value->kind == DMI_CONFIG_NUMBER && value->number >= minimum && value->number <= maximum)
        return value->number;
    dmi_format_double(low, sizeof low, minimum, 6);
    dmi_format_double(high, sizeof high, maximum, 6);
    snprintf(type, sizeof type, "a number from %s to %s", low, high);
    refuse_type(c, key, type);
    return otherwise;
}

bool dmi_config_bool(dmi_config *c, const char *key, bool otherwise) {
    const dmi_config_value *value = dmi_config_find(c, key);
    if (!value) return otherwise;
    if (value->kind == DMI_CONFIG_BOOL) return value->number != 0;
    refuse_type(c, key, "true or false");
    return otherwise;
}

const char *dmi_config_text(dmi_config *c, const char *key, const char *otherwise) {
    const dmi_config_value *value = dmi_config_find(c, key);
    if (!value) return otherwise;
    if (value->kind == DMI_CONFIG_NULL) return NULL;
    if (value->kind == DMI_CONFIG_TEXT) return value->text;
    refuse_type(c, key, "a string or null");
    return otherwise;
}

int32_t dmi_config_choice(dmi_config *c, const char *key, const char *otherwise,
                          const dmi_config_name *names) {
    char list[160] = "";
    size_t length = 0;
    const char *text = dmi_config_text(c, key, otherwise);
    for (int32_t i = 0; text && names[i].name; i++)
        if (!strcmp(names[i].name, text)) return names[i].value;
    for (int32_t i = 0; names[i].name && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s",
                                   i ? ", " : "supported are ", names[i].name);
    dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, list);
    return names[0].value;
}

dm_status dmi_config_end(dmi_config *c) {
    for (size_t i = 0; i < c->pair_count; i++) {
        const dmi_config_pair *p = &c->pairs[i];
        if (p->used || p->key[0] == '_' || p->value.kind == DMI_CONFIG_NULL) continue;
        char key[65];
        snprintf(key, sizeof key, "%s", p->key);
        if (!strcmp(key, p->key))
            dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "this key is not known");
        else if (!c->status)
            c->status = dmi_fail(c->host, DM_ERROR_UNSUPPORTED, "%s: the key '%s...' is not known",
                                 c->from, key);
    }
    return c->status;
}
