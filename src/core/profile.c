/* The profile as the public header shows it; base/profile.h keeps it. */
#include "base/profile.h"

#include <stdio.h>

#include "core/context.h"

static int32_t check(const dm_context *context) {
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (context->host.profile) return DM_OK;
    return dmi_fail((dmi_host *)&context->host, DM_ERROR_WRONG_STATE,
                    "context: it has no profile; set 'profile' in its options to 1");
}

int32_t dm_context_profile_rows(const dm_context *context, int32_t *rows) {
    if (rows) *rows = 0;
    int32_t status = check(context);
    if (status) return status;
    if (!rows)
        return dmi_fail((dmi_host *)&context->host, DM_ERROR_INVALID_ARGUMENT,
                        "profile: 'rows' is NULL");
    *rows = dmi_profile_rows(context->host.profile);
    return DM_OK;
}

static void describe(dm_profile_row *out, const dmi_profile_row *row) {
    const dmi_work *w = &row->work;
    const char *way = w->algorithm ? w->algorithm : "", *part = w->part ? w->part : "";
    *out = (dm_profile_row){.struct_size = sizeof *out,
                            .calls = row->spans,
                            .seconds = row->seconds,
                            .flop = w->flop,
                            .bytes = w->bytes};
    snprintf(out->operation, sizeof out->operation, "%s", w->name);
    snprintf(out->part, sizeof out->part, "%s%s%s", way, *way && *part ? " " : "", part);
    if (w->n > 0)
        snprintf(out->shape, sizeof out->shape, "%dx%dx%d, %d to %d", (int)w->n, (int)w->h,
                 (int)w->w, (int)w->in, (int)w->out);
}

int32_t dm_context_profile_row(const dm_context *context, int32_t index, dm_profile_row *row) {
    int32_t status = check(context);
    if (status) return status;
    dmi_host *host = (dmi_host *)&context->host;
    if (!row) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "profile: 'row' is NULL");
    dm_profile_row full = {.struct_size = sizeof full};
    int32_t rows = dmi_profile_rows(context->host.profile);
    bool found = index >= 0 && index < rows;
    if (found) describe(&full, dmi_profile_row_at(context->host.profile, index));
    status = dmi_options_write(host, row, row->struct_size, &full, sizeof full, "dm_profile_row");
    if (status || found) return status;
    return dmi_fail(host, DM_ERROR_NOT_FOUND, "profile: row %d; there are %d", (int)index,
                    (int)rows);
}

int32_t dm_context_profile_reset(dm_context *context) {
    int32_t status = check(context);
    if (!status) dmi_profile_reset(context->host.profile);
    return status;
}
