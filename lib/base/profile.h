/* The profile: where the time goes, by operation. A run is a chain of laps; each lap's time is
 * ascribed to a row, which is an operation, a part of it and a shape. Rows are made as they come
 * up, in memory that is there from the start; where they run out, the last one takes what is left.
 * A NULL profile is one that is switched off, and costs a comparison. */
#ifndef DMI_BASE_PROFILE_H
#define DMI_BASE_PROFILE_H

#include "base/host.h"

/* What a lap was spent on. The names live for ever: rows are told apart by their addresses. */
typedef struct dmi_work {
    const char *name;         /* "conv" */
    const char *way;          /* "winograd"; NULL: there is but one */
    const char *part;         /* "forward"; NULL: the whole */
    int32_t n, h, w, in, out; /* of the output, with the channels that come in */
    double flop;              /* of the plain algorithm: a fast one may need fewer */
    double bytes;             /* that it must read and write at the least */
} dmi_work;

typedef struct dmi_profile_row {
    dmi_work work; /* flop and bytes are sums over all laps */
    uint64_t laps;
    double seconds;
} dmi_profile_row;

typedef struct dmi_profile dmi_profile;

int32_t dmi_profile_create(dmi_host *host, dmi_profile **out);
void dmi_profile_destroy(dmi_host *host, dmi_profile *profile);

/* Begins a chain of laps: what went before is nobody's. */
void dmi_profile_start(dmi_profile *profile);
/* The time since the chain began, or since the last lap, was spent on `work`. */
void dmi_profile_lap(dmi_profile *profile, const dmi_work *work);

/* Rows in the order in which they came up. */
int32_t dmi_profile_rows(const dmi_profile *profile);
const dmi_profile_row *dmi_profile_row_at(const dmi_profile *profile, int32_t index);
void dmi_profile_reset(dmi_profile *profile);

#endif
