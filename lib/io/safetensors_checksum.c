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

/* Notes the checksum of a tensor. One of a tensor that is not there is left aside: other programs
 * may remove tensors and keep the metadata. */
static int32_t note(dmi_host *host, const dmi_safetensors *file, const dmi_safetensors_pair *pair) {
    const char *name = pair->key + strlen(dmi_tensor_checksum_key);
    uint32_t sum;
    if (!parse_checksum(pair->value, &sum))
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: metadata '%s' is \"%.20s\"; it must be eight digits of base 16",
                        file->from, pair->key, pair->value);
    dmi_safetensors_entry *entry = dmi_safetensors_find_entry(file, name);
    if (!entry) return DMI_OK;
    entry->has_checksum = true;
    entry->checksum = sum;
    return DMI_OK;
}

int32_t dmi_safetensors_check_header(dmi_host *host, const dmi_safetensors *file) {
    const char *stated = NULL;
    uint32_t sum = 0, want;
    for (size_t i = 0; i < file->metadata_count; i++) {
        const dmi_safetensors_pair *pair = &file->metadata[i];
        if (strcmp(pair->key, dmi_checksum_key) == 0) {
            stated = pair->value;
            continue;
        }
        sum += dmi_checksum_text(dmi_checksum_text(0, pair->key), pair->value);
        if (strncmp(pair->key, dmi_tensor_checksum_key, strlen(dmi_tensor_checksum_key)) != 0)
            continue;
        int32_t status = note(host, file, pair);
        if (status) return status;
    }
    if (!stated || (parse_checksum(stated, &want) && sum == want)) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_CHECKSUM,
                    "%s: the metadata is damaged: its checksum is %08x, '%s' is \"%.20s\"",
                    file->from, (unsigned)sum, dmi_checksum_key, stated);
}
