/* SPDX-License-Identifier: MIT */
/* A schedule as metadata of a safetensors file, and back: its options and, of a custom one, the
 * list of its betas. */
#include <string.h>

#include "core/metadata.h"
#include "core/text.h"
#include "diffusion/schedule.h"

static const char betas_key[] = "schedule.betas";

/* A number, and a comma or bracket. */
enum { BETA_SIZE = DMI_NUMBER_SIZE };

/* Text of the form [0.1,0.2]. */
static dm_status format_betas(dmi_host *host, char **out, const double *beta, int32_t count) {
    dm_status status =
        dmi_alloc_array(host, out, (size_t)count + 1, BETA_SIZE, "schedule: text of the betas");
    if (status) return status;
    char *at = *out;
    for (int32_t t = 0; t < count; t++) {
        *at++ = t == 0 ? '[' : ',';
        at += dmi_format_double(at, BETA_SIZE - 1, beta[t], 17);
    }
    memcpy(at, "]", 2);
    return DM_OK;
}

int32_t dmi_schedule_format_version(const dm_schedule *schedule) {
    return dmi_struct_format_version(&dmi_struct_schedule_options, &schedule->options);
}

dm_status dmi_schedule_write(dmi_host *host, dmi_safetensors_writer *writer,
                             const dm_schedule *schedule) {
    dm_status status =
        dmi_struct_save(host, writer, &dmi_struct_schedule_options, &schedule->options);
    if (status || schedule->options.kind != DM_SCHEDULE_CUSTOM) return status;
    char *text;
    status = format_betas(host, &text, schedule->beta, schedule->steps);
    if (status) return status;
    status = dmi_safetensors_add_metadata(host, writer, betas_key, text);
    dmi_free(host, text);
    return status;
}

static const char *skip_space(const char *text) {
    while (*text == ' ' || *text == '\n' || *text == '\t' || *text == '\r') text++;
    return text;
}

/* False if the text is not a list of exactly `count` numbers. */
static bool parse_betas(const char *text, double *beta, int32_t count) {
    text = skip_space(text);
    for (int32_t t = 0; t < count; t++) {
        if (*text++ != (t == 0 ? '[' : ',')) return false;
        if (!dmi_parse_double(skip_space(text), &text, &beta[t])) return false;
        text = skip_space(text);
    }
    return *text == ']' && *skip_space(text + 1) == 0;
}

static dm_status read_betas(dm_schedule **out, dm_context *context, const dmi_safetensors *file,
                            const dm_schedule_options *options) {
    dmi_host *host = &context->host;
    int32_t count = options->timesteps;
    const char *text = dmi_safetensors_metadata(file, betas_key);
    if (!text)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: there is no metadata '%s'",
                        betas_key);
    double *beta;
    dm_status status =
        dmi_alloc_array(host, &beta, (size_t)count, sizeof *beta, "schedule: betas of a file");
    if (status) return status;
    status = parse_betas(text, beta, count)
                 ? dmi_schedule_create_from_betas(out, context, beta, (size_t)count,
                                                  options->float32_tables != 0)
                 : dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "schedule: metadata '%s' is not a list of %d numbers", betas_key,
                            (int)count);
    dmi_free(host, beta);
    return status;
}

dm_status dmi_schedule_read(dm_schedule **out, dm_context *context, const dmi_safetensors *file) {
    *out = NULL;
    dmi_host *host = &context->host;
    if (!dmi_safetensors_metadata(file, "schedule.kind"))
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: it has no schedule: there is no metadata 'schedule.kind'",
                        dmi_safetensors_from(file));
    dm_schedule_options options;
    dm_status status = dmi_struct_load(host, file, &dmi_struct_schedule_options, &options);
    if (!status)
        status = options.kind == DM_SCHEDULE_CUSTOM ? read_betas(out, context, file, &options)
                                                    : dmi_schedule_create(out, context, &options);
    return dmi_blame_file(host, file, status);
}

static dm_status load(dm_schedule **out, dm_context *context, dmi_safetensors *file) {
    dm_status status = dmi_format_check(&context->host, file, false);
    if (!status) status = dmi_schedule_read(out, context, file);
    dmi_safetensors_close(&context->host, file);
    return status;
}

static dm_status load_file(dm_schedule **out, dm_context *context, const char *path) {
    dmi_host *host = &context->host;
    if (!out || !path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: '%s' is NULL",
                        out ? "path" : "out");
    dmi_safetensors *file;
    dm_status status = dmi_safetensors_open(host, &file, path);
    return status ? status : load(out, context, file);
}

static dm_status load_memory(dm_schedule **out, dm_context *context, const void *bytes,
                             size_t size) {
    dmi_host *host = &context->host;
    if (!out || !bytes)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: '%s' is NULL",
                        out ? "bytes" : "out");
    dmi_safetensors *file;
    dm_status status = dmi_safetensors_parse(host, &file, bytes, size, "memory");
    return status ? status : load(out, context, file);
}

dm_status dm_schedule_load(dm_schedule **out, dm_context *context, const char *path) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load_file(out, context, path));
}

dm_status dm_schedule_load_memory(dm_schedule **out, dm_context *context, const void *bytes,
                                  size_t size) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load_memory(out, context, bytes, size));
}
