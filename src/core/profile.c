/* SPDX-License-Identifier: MIT */
/* The profile of base/profile.h through the public interface. */
#include "base/profile.h"

#include <stdio.h>

#include "core/context.h"

static dm_status check(dm_context *context) {
    if (context->host.profile) return DM_OK;
    return dmi_fail(&context->host, DM_ERROR_WRONG_STATE,
                    "profile: the context has none; set 'profile' in its options to 1");
}

dm_status dm_profile_row_init(dm_profile_row *row, size_t size) {
    return dmi_struct_init(&dmi_struct_profile_row, row, size);
}

static dm_status get_rows(dm_context *context, int32_t *rows) {
    dm_status status = check(context);
    if (status) return status;
    if (!rows)
        return dmi_fail(&context->host, DM_ERROR_INVALID_ARGUMENT, "profile: 'rows' is NULL");
    *rows = dmi_profile_rows(context->host.profile);
    return DM_OK;
}

dm_status dm_context_get_profile_rows(const dm_context *of, int32_t *rows) {
    dm_context *context = (dm_context *)of;
    if (rows) *rows = 0;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, get_rows(context, rows));
}

static void describe(dm_profile_row *out, const dmi_profile_row *row) {
    const dmi_work *w = &row->work;
    const char *algorithm = w->algorithm ? w->algorithm : "", *part = w->part ? w->part : "";
    *out = (dm_profile_row){.struct_size = sizeof *out,
                            .calls = row->spans,
                            .seconds = row->seconds,
                            .flop = w->flop,
                            .bytes = w->bytes};
    snprintf(out->operation, sizeof out->operation, "%s", w->name);
    snprintf(out->part, sizeof out->part, "%s%s%s", algorithm, *algorithm && *part ? " " : "",
             part);
    if (w->n > 0)
        snprintf(out->shape, sizeof out->shape, "%dx%dx%d, %d to %d", (int)w->n, (int)w->h,
                 (int)w->w, (int)w->in, (int)w->out);
}

static dm_status get_row(dm_context *context, int32_t index, dm_profile_row *row) {
    dmi_host *host = &context->host;
    dm_status status = check(context);
    if (status) return status;
    if (!row) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "profile: 'row' is NULL");
    dm_profile_row full = {.struct_size = sizeof full};
    int32_t rows = dmi_profile_rows(host->profile);
    bool found = index >= 0 && index < rows;
    if (found) describe(&full, dmi_profile_row_at(host->profile, index));
    status = dmi_struct_write_back(host, &dmi_struct_profile_row, row, &full);
    if (status || found) return status;
    return dmi_fail(host, DM_ERROR_NOT_FOUND, "profile: row %d; there are %d", (int)index,
                    (int)rows);
}

dm_status dm_context_get_profile_row(const dm_context *of, int32_t index, dm_profile_row *row) {
    dm_context *context = (dm_context *)of;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, get_row(context, index, row));
}

dm_status dm_context_profile_reset(dm_context *context) {
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    dm_status status = check(context);
    if (!status) dmi_profile_reset(context->host.profile);
    return dmi_leave(context, status);
}
