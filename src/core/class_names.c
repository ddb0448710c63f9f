/* SPDX-License-Identifier: MIT */
/* See class_names.h. */
#include "core/class_names.h"

#include <string.h>

#include "core/metadata.h"
#include "io/json.h"

/* All names together, with an end each, so that the header of a file has room for them even where
 * JSON doubles their bytes. */
enum { NAME_BYTES_MAX = 255, ALL_BYTES_MAX = 8000000 };

static const char key[] = "unet.class_names";

/* Whether the character is one of U+0000 to U+001F and U+007F to U+009F. */
static bool is_control(const char *character) {
    const uint8_t *b = (const uint8_t *)character;
    return b[0] < 0x20 || b[0] == 0x7f || (b[0] == 0xc2 && b[1] < 0xa0);
}

static bool is_name(const char *name) {
    const size_t length = strnlen(name, NAME_BYTES_MAX + 1);
    if (length < 1 || length > NAME_BYTES_MAX) return false;
    for (size_t i = 0, size; i < length; i += size) {
        size = dmi_utf8_length(name + i, length - i);
        if (size == 0 || is_control(name + i)) return false;
    }
    return true;
}

/* The bytes of all names with their ends. */
static dm_status measure(dmi_host *host, const char *owner, const char *const *names, size_t count,
                         size_t *bytes) {
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (!names[i] || !is_name(names[i]))
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "%s: the name of class %zu must be UTF-8 of 1 to %d bytes without "
                            "control characters%s",
                            owner, i, NAME_BYTES_MAX, names[i] ? "" : ", not NULL");
        *bytes += strlen(names[i]) + 1;
        if (*bytes > ALL_BYTES_MAX)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "%s: the names of the classes take more than %d bytes", owner,
                            ALL_BYTES_MAX);
    }
    return DM_OK;
}

dm_status dmi_class_names_set(dmi_host *host, const char *owner, dmi_class_names *out,
                              const char *const *names, size_t count) {
    size_t bytes, table;
    const char **copy;
    if (!count) {
        dmi_class_names_free(host, out);
        return DM_OK;
    }
    dm_status status = measure(host, owner, names, count, &bytes);
    if (status) return status;
    table = count * sizeof *copy; /* names take 2 bytes at least, so that this cannot overflow */
    status = dmi_alloc(host, &copy, table + bytes, "names of classes");
    if (status) return status;
    char *text = (char *)copy + table;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names[i]) + 1;
        memcpy(text, names[i], size);
        copy[i] = text;
        text += size;
    }
    dmi_class_names_free(host, out);
    *out = (dmi_class_names){copy, count};
    return DM_OK;
}

void dmi_class_names_free(dmi_host *host, dmi_class_names *names) {
    dmi_free(host, (void *)names->names);
    *names = (dmi_class_names){0};
}

const char *dmi_class_name(const dmi_class_names *names, int32_t label) {
    return names->names && label >= 0 && (size_t)label < names->count ? names->names[label] : NULL;
}

dm_status dmi_class_names_write(dmi_host *host, dmi_safetensors_writer *writer,
                                const dmi_class_names *names) {
    size_t bytes = 0;
    char *text, *to;
    if (!names->names) return DM_OK;
    for (size_t i = 0; i < names->count; i++) bytes += strlen(names->names[i]) + 1;
    dm_status status = dmi_alloc(host, &text, bytes, "names of classes");
    if (status) return status;
    to = text;
    for (size_t i = 0; i < names->count; i++) {
        size_t length = strlen(names->names[i]);
        memcpy(to, names->names[i], length);
        to += length;
        *to++ = '\n';
    }
    to[-1] = 0;
    status = dmi_safetensors_add_metadata(host, writer, key, text);
    dmi_free(host, text);
    return status;
}

/* text: the names with their line breaks, which become ends. */
static dm_status split(dmi_host *host, char *text, dmi_class_names *out, size_t count) {
    const char **names;
    dm_status status = dmi_alloc_array(host, &names, count, sizeof *names, "names of classes");
    if (status) return status;
    for (size_t i = 0; i < count; i++) {
        names[i] = text;
        text += strcspn(text, "\n");
        *text++ = 0;
    }
    status = dmi_class_names_set(host, "unet", out, names, count);
    dmi_free(host, names);
    return status;
}

dm_status dmi_class_names_read(dmi_host *host, const dmi_safetensors *file, dmi_class_names *out,
                               int32_t classes) {
    const char *text = dmi_safetensors_metadata(file, key);
    char *copy;
    if (!text) return DM_OK;
    size_t count = 1, bytes = strlen(text) + 1;
    for (const char *p = text; *p; p++) count += *p == '\n';
    if (count != (size_t)classes)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                        "%s: metadata '%s' has %zu names; the network has %d classes",
                        dmi_safetensors_from(file), key, count, (int)classes);
    dm_status status = dmi_alloc(host, &copy, bytes, "names of classes");
    if (status) return status;
    memcpy(copy, text, bytes);
    status = dmi_blame_file(host, file, split(host, copy, out, count));
    dmi_free(host, copy);
    return status;
}
