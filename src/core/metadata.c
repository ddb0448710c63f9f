/* SPDX-License-Identifier: MIT */
/* Structs as metadata of a safetensors file. */
#include "core/metadata.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"

enum { KEY_SIZE = 96 };

static void write_key(char key[KEY_SIZE], const dmi_struct *of, const dmi_member *m) {
    snprintf(key, KEY_SIZE, "%s.%s", of->owner, m->name);
}

dm_status dmi_struct_save(dmi_host *host, dmi_safetensors_writer *writer, const dmi_struct *of,
                          const void *values) {
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < of->count; i++) {
        const dmi_member *m = &of->members[i];
        char key[KEY_SIZE], text[DMI_TEXT_SIZE];
        if (!m->saved || (m->saved == DMI_SAVED_IF_SET && dmi_member_is_default(of, m, values)))
            continue;
        write_key(key, of, m);
        if (!dmi_member_format(m, values, false, text, sizeof text))
            return dmi_fail(host, DM_ERROR_INTERNAL, "metadata: '%s' cannot be written", key);
        status = dmi_safetensors_add_metadata(host, writer, key, text);
    }
    return status;
}

static dm_status load_member(dmi_host *host, const dmi_safetensors *file, const dmi_struct *of,
                             const dmi_member *m, void *values) {
    char key[KEY_SIZE];
    write_key(key, of, m);
    const char *from = dmi_safetensors_from(file), *text = dmi_safetensors_metadata(file, key);
    if (!text && m->saved == DMI_SAVED_IF_SET) return DM_OK;
    if (!text)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: its metadata has no '%s'", from, key);
    if (dmi_member_parse(m, values, text, true)) return DM_OK;
    if (m->count == 1)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: metadata '%s' is \"%.60s\"; it must be %s",
                        from, key, text, dmi_member_kind(m));
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: metadata '%s' is \"%.60s\"; it must be a list of %u, each %s", from, key,
                    text, (unsigned)m->count, dmi_member_kind(m));
}

dm_status dmi_blame_file(dmi_host *host, const dmi_safetensors *file, dm_status status) {
    if (status != DM_ERROR_INVALID_ARGUMENT) return status;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: %s", dmi_safetensors_from(file), host->error);
}

dm_status dmi_struct_load(dmi_host *host, const dmi_safetensors *file, const dmi_struct *of,
                          void *values) {
    dm_status status = DM_OK;
    dmi_struct_defaults(of, values);
    for (int32_t i = 0; !status && i < of->count; i++)
        if (of->members[i].saved) status = load_member(host, file, of, &of->members[i], values);
    if (!status) status = dmi_struct_check(host, of, values);
    return dmi_blame_file(host, file, status);
}

/* ---- which file it is ---- */

enum { FORMAT_VERSION = 2 };

const char dmi_format_unet[] = "libdiffusion.unet";
const char dmi_format_checkpoint[] = "libdiffusion.checkpoint";

/* The version as a member of a struct, so that it is written and read as all numbers are. */
typedef struct format_info {
    int32_t format_version;
} format_info;

static const dmi_member version_member = {
    .name = "format_version",
    .type = DM_TYPE_I32,
    .offset = offsetof(format_info, format_version),
    .count = 1,
    .element_size = sizeof(int32_t),
};

dm_status dmi_format_write(dmi_host *host, dmi_safetensors_writer *writer, const char *format,
                           int32_t format_version) {
    char version[DMI_NUMBER_SIZE];
    const format_info info = {format_version};
    dmi_member_format(&version_member, &info, false, version, sizeof version);
    dm_status status = dmi_safetensors_add_metadata(host, writer, "format", format);
    return status ? status
                  : dmi_safetensors_add_metadata(host, writer, version_member.name, version);
}

static dm_status check_kind(dmi_host *host, const dmi_safetensors *file, bool training) {
    const char *from = dmi_safetensors_from(file), *its = dmi_safetensors_metadata(file, "format");
    const bool unet = its && strcmp(its, dmi_format_unet) == 0;
    const bool checkpoint = its && strcmp(its, dmi_format_checkpoint) == 0;
    if (checkpoint || (unet && !training)) return DM_OK;
    if (unet)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                        "%s: it holds a network without training state; load it with dm_unet_load "
                        "and create a new trainer",
                        from);
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: no %s of this library: its metadata 'format' is '%.60s', not '%s'", from,
                    training ? "checkpoint" : "network", its ? its : "",
                    training ? dmi_format_checkpoint : dmi_format_unet);
}

dm_status dmi_format_check(dmi_host *host, const dmi_safetensors *file, bool training) {
    dm_status status = check_kind(host, file, training);
    if (status) return status;
    const char *from = dmi_safetensors_from(file);
    const char *version = dmi_safetensors_metadata(file, version_member.name);
    format_info info = {0};
    if (!version || !dmi_member_parse(&version_member, &info, version, true) ||
        info.format_version < 1)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: its metadata 'format_version' is '%.60s'",
                        from, version ? version : "");
    if (info.format_version <= FORMAT_VERSION) return DM_OK;
    return dmi_fail(host, DM_ERROR_UNSUPPORTED_VERSION,
                    "%s: its format_version is %d; this library reads up to %d", from,
                    (int)info.format_version, FORMAT_VERSION);
}

int32_t dmi_format_version(const dmi_safetensors *file) {
    const char *version = dmi_safetensors_metadata(file, version_member.name);
    format_info info = {0};
    if (version) dmi_member_parse(&version_member, &info, version, true);
    return info.format_version;
}
