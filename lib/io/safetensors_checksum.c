/* SPDX-License-Identifier: MIT */
/* Checksums of safetensors files: how they are computed and written, and the check of those that a
 * header states. */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "io/safetensors_file.h"

const char dmi_checksum_key[] = "crc32", dmi_tensor_checksum_key[] = "crc32.";

uint32_t dmi_checksum(const void *bytes, size_t size) { return (uint32_t)crc32_z(0, bytes, size); }

uint32_t dmi_checksum_text(uint32_t sum, const char *text) {
    return (uint32_t)crc32_z(sum, (const Bytef *)text, strlen(text) + 1);
}

void dmi_format_checksum(char out[DMI_CHECKSUM_DIGITS + 1], uint32_t sum) {
    snprintf(out, DMI_CHECKSUM_DIGITS + 1, "%08x", (unsigned)sum);
}

/* Eight digits of base 16, of lower case. */
static bool parse_checksum(const char *text, uint32_t *sum) {
    static const char digits[] = "0123456789abcdef";
    uint32_t value = 0;
    for (int i = 0; i < DMI_CHECKSUM_DIGITS; i++) {
        const char *found = text[i] ? strchr(digits, text[i]) : NULL;
        if (!found) return false;
        value = value << 4 | (uint32_t)(found - digits);
    }
    *sum = value;
    return text[DMI_CHECKSUM_DIGITS] == 0;
}

static int32_t fail_digits(dmi_host *host, const dmi_safetensors *file, const char *key,
                           const char *value) {
    return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                    "%s: metadata '%s' is \"%.20s\"; it must be eight digits of base 16, of lower "
                    "case",
                    file->from, key, value);
}

/* Notes the checksum of a tensor. One of a tensor that is not there is left aside: other programs
 * may remove tensors and keep the metadata. */
static int32_t note(dmi_host *host, const dmi_safetensors *file, const dmi_safetensors_pair *pair) {
    const char *name = pair->key + strlen(dmi_tensor_checksum_key);
    uint32_t sum;
    if (!parse_checksum(pair->value, &sum)) return fail_digits(host, file, pair->key, pair->value);
    dmi_safetensors_entry *entry = dmi_safetensors_find_entry(file, name);
    if (!entry) return DMI_OK;
    entry->has_checksum = true;
    entry->checksum = sum;
    return DMI_OK;
}

static bool is_tensor_key(const char *key) {
    return strncmp(key, dmi_tensor_checksum_key, strlen(dmi_tensor_checksum_key)) == 0;
}

/* The checksum of the metadata; where there are those of tensors, it must be there too, since they
 * are part of it. */
static int32_t check_metadata(dmi_host *host, const dmi_safetensors *file) {
    const char *stated = dmi_safetensors_metadata(file, dmi_checksum_key);
    uint32_t sum = 0, want;
    bool needed = false;
    for (size_t i = 0; i < file->metadata_count; i++) {
        const dmi_safetensors_pair *pair = &file->metadata[i];
        if (strcmp(pair->key, dmi_checksum_key) == 0) continue;
        sum += dmi_checksum_text(dmi_checksum_text(0, pair->key), pair->value);
        needed = needed || is_tensor_key(pair->key);
    }
    if (!stated && needed)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: the metadata has checksums of tensors, but no '%s' of its own",
                        file->from, dmi_checksum_key);
    if (!stated) return DMI_OK;
    if (!parse_checksum(stated, &want)) return fail_digits(host, file, dmi_checksum_key, stated);
    if (sum == want) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_CHECKSUM,
                    "%s: the metadata is damaged: its checksum is %08x, '%s' is %08x", file->from,
                    (unsigned)sum, dmi_checksum_key, (unsigned)want);
}

int32_t dmi_safetensors_check_header(dmi_host *host, const dmi_safetensors *file) {
    int32_t status = check_metadata(host, file);
    for (size_t i = 0; !status && i < file->metadata_count; i++)
        if (is_tensor_key(file->metadata[i].key)) status = note(host, file, &file->metadata[i]);
    return status;
}
