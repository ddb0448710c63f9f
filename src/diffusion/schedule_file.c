/* A schedule as metadata of a safetensors file, and back. Schedules are written as their options,
 * one of the caller's as the list of its betas. */
#include <string.h>

#include "core/metadata.h"
#include "diffusion/schedule.h"

static const char betas_key[] = "schedule.betas";

static const dmi_meta options_table[] = {
    {"schedule.kind", DMI_META_I32, 1, offsetof(dm_schedule_options, kind)},
    {"schedule.timesteps", DMI_META_I32, 1, offsetof(dm_schedule_options, timesteps)},
    {"schedule.beta_start", DMI_META_F64, 1, offsetof(dm_schedule_options, beta_start)},
    {"schedule.beta_end", DMI_META_F64, 1, offsetof(dm_schedule_options, beta_end)},
};
enum { OPTIONS_COUNT = sizeof options_table / sizeof options_table[0] };

/* Of kinds and options that older files don't know; those mean the defaults. */
static const dmi_meta later_table[] = {
    {"schedule.zero_terminal_snr", DMI_META_I32, 1,
     offsetof(dm_schedule_options, zero_terminal_snr)},
    {"schedule.scale_betas", DMI_META_I32, 1, offsetof(dm_schedule_options, scale_betas)},
    {"schedule.flow_shift", DMI_META_F64, 1, offsetof(dm_schedule_options, flow_shift)},
    {"schedule.sigma_min", DMI_META_F64, 1, offsetof(dm_schedule_options, sigma_min)},
    {"schedule.sigma_max", DMI_META_F64, 1, offsetof(dm_schedule_options, sigma_max)},
    {"schedule.rho", DMI_META_F64, 1, offsetof(dm_schedule_options, rho)},
};
enum { LATER_COUNT = sizeof later_table / sizeof later_table[0] };

/* Room for one beta: 17 digits, sign, point and exponent are 24 characters; a comma or bracket
 * follows. */
enum { BETA_SIZE = 32 };

/* Text of the form [0.1,0.2]. */
static int32_t format_betas(dmi_host *host, char **out, const double *beta, int32_t count) {
    int32_t status =
        dmi_alloc_array(host, out, (size_t)count + 1, BETA_SIZE, "schedule: text of the betas");
    if (status) return status;
    char *at = *out;
    for (int32_t t = 0; t < count; t++) {
        *at++ = t == 0 ? '[' : ',';
        at += dmi_meta_format_double(at, BETA_SIZE - 1, beta[t], 17);
    }
    memcpy(at, "]", 2);
    return DM_OK;
}

int32_t dmi_schedule_write(dmi_host *host, dmi_safetensors_writer *writer,
                           const dm_schedule *schedule) {
    int32_t status = dmi_meta_write(host, writer, options_table, OPTIONS_COUNT, &schedule->options);
    if (!status)
        status = dmi_meta_write(host, writer, later_table, LATER_COUNT, &schedule->options);
    if (status || schedule->options.kind != DMI_SCHEDULE_CUSTOM) return status;
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

/* False where the text is no list of exactly `count` numbers. */
static bool parse_betas(const char *text, double *beta, int32_t count) {
    text = skip_space(text);
    for (int32_t t = 0; t < count; t++) {
        if (*text++ != (t == 0 ? '[' : ',')) return false;
        if (!dmi_meta_parse_double(skip_space(text), &text, &beta[t])) return false;
        text = skip_space(text);
    }
    return *text == ']' && *skip_space(text + 1) == 0;
}

static int32_t read_betas(dm_schedule **out, dm_context *context, const dmi_safetensors *file,
                          int32_t count) {
    dmi_host *host = &context->host;
    if (count < 1 || count > DMI_SCHEDULE_STEPS_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'timesteps' is %d; it must be 1 to %d", (int)count,
                        (int)DMI_SCHEDULE_STEPS_MOST);
    const char *text = dmi_safetensors_metadata(file, betas_key);
    if (!text)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: there is no metadata '%s'",
                        betas_key);
    double *beta;
    int32_t status =
        dmi_alloc_array(host, &beta, (size_t)count, sizeof *beta, "schedule: betas of a file");
    if (status) return status;
    status = parse_betas(text, beta, count)
                 ? dm_schedule_create_from_betas(out, context, beta, (size_t)count)
                 : dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "schedule: metadata '%s' is not a list of %d numbers", betas_key,
                            (int)count);
    dmi_free(host, beta);
    return status;
}

int32_t dmi_schedule_read(dm_schedule **out, dm_context *context, const dmi_safetensors *file) {
    *out = NULL;
    dmi_host *host = &context->host;
    if (!dmi_safetensors_metadata(file, "schedule.kind"))
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "'%s' holds no schedule: it has no metadata 'schedule.kind'",
                        dmi_safetensors_from(file));
    dm_schedule_options options;
    int32_t status = dm_schedule_options_init(&options, sizeof options);
    if (!status) status = dmi_meta_read(host, file, options_table, OPTIONS_COUNT, &options);
    if (!status && dmi_safetensors_metadata(file, later_table[0].key))
        status = dmi_meta_read(host, file, later_table, LATER_COUNT, &options);
    if (!status)
        status = options.kind == DMI_SCHEDULE_CUSTOM
                     ? read_betas(out, context, file, options.timesteps)
                     : dm_schedule_create(out, context, &options);
    if (status != DM_ERROR_INVALID_ARGUMENT) return status;
    /* A value out of its range is the file's fault here, not the caller's. */
    return dmi_fail(host, DM_ERROR_BAD_FORMAT, "'%s': %s", dmi_safetensors_from(file), host->error);
}

int32_t dm_schedule_load(dm_schedule **out, dm_context *context, const char *path) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out || !path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: '%s' is NULL",
                        out ? "path" : "out");
    dmi_safetensors *file;
    int32_t status = dmi_safetensors_open(host, &file, path);
    if (status) return status;
    status = dmi_format_check(host, file, false);
    if (!status) status = dmi_schedule_read(out, context, file);
    dmi_safetensors_close(host, file);
    return status;
}
