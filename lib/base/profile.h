/* The profile: time by operation. A run is a sequence of spans; each span's time is added to a row,
 * which is an operation, a part of it and a shape. Rows are added as they occur, in memory
 * allocated at the start; when they run out, the last row takes everything else. A NULL profile is
 * switched off, and costs a comparison. */
#ifndef DMI_BASE_PROFILE_H
#define DMI_BASE_PROFILE_H

#include "base/host.h"

/* What a span's time was spent on. Names are string constants: rows are compared by address. */
typedef struct dmi_work {
    const char *name;         /* "conv" */
    const char *algorithm;    /* "winograd"; NULL: the operation has only one */
    const char *part;         /* "forward"; NULL: the whole */
    int32_t n, h, w, in, out; /* of the output, with the channels that come in */
    double flop;              /* of the direct algorithm: a fast one may need fewer */
    double bytes;             /* that must at least be read and written */
} dmi_work;

typedef struct dmi_profile_row {
    dmi_work work; /* flop and bytes are sums over all spans */
    uint64_t spans;
    double seconds;
} dmi_profile_row;

typedef struct dmi_profile dmi_profile;

int32_t dmi_profile_create(dmi_host *host, dmi_profile **out);
void dmi_profile_destroy(dmi_host *host, dmi_profile *profile);

/* Starts a span. The time before belongs to no row. */
void dmi_profile_start(dmi_profile *profile);
/* Ends the span, which was spent on `work`, and starts the next. */
void dmi_profile_span(dmi_profile *profile, const dmi_work *work);

/* Rows in the order in which they first occurred. */
int32_t dmi_profile_rows(const dmi_profile *profile);
const dmi_profile_row *dmi_profile_row_at(const dmi_profile *profile, int32_t index);
void dmi_profile_reset(dmi_profile *profile);

#endif
