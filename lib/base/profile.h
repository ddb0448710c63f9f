/* SPDX-License-Identifier: MIT */
/* The profile: the time spent, by operation. A run is a sequence of adjacent spans; the time of
 * each span is added to a row, which stands for an operation, a part of it and a shape. Rows are
 * created on first use in memory that is allocated from the start; once all are in use, further
 * operations share the last one. A NULL profile is switched off and costs a comparison. */
#ifndef DMI_BASE_PROFILE_H
#define DMI_BASE_PROFILE_H

#include "base/host.h"

/* What a span was spent on. The names are static strings: rows are compared by their addresses. */
typedef struct dmi_work {
    const char *name;         /* "conv" */
    const char *algorithm;    /* "winograd"; NULL: there is one only */
    const char *part;         /* "forward"; NULL: all of it */
    int32_t n, h, w, in, out; /* of the output [n, h, w, out]; `in`: channels of the input */
    double flop;              /* of the direct algorithm: a fast one may need fewer */
    double bytes;             /* that any algorithm must read and write */
} dmi_work;

typedef struct dmi_profile_row {
    dmi_work work; /* flop and bytes are sums over all spans */
    uint64_t spans;
    double seconds;
} dmi_profile_row;

typedef struct dmi_profile dmi_profile;

int32_t dmi_profile_create(dmi_host *host, dmi_profile **out);
void dmi_profile_destroy(dmi_host *host, dmi_profile *profile);

/* Begins a sequence of spans: the time before is not counted. */
void dmi_profile_start(dmi_profile *profile);
/* Ends a span: the time since the last one ended, or since the start, was spent on `work`. */
void dmi_profile_span(dmi_profile *profile, const dmi_work *work);

/* Rows in the order of their first use. */
int32_t dmi_profile_rows(const dmi_profile *profile);
const dmi_profile_row *dmi_profile_row_at(const dmi_profile *profile, int32_t index);
void dmi_profile_reset(dmi_profile *profile);

#endif
