/* Checks that several handles' options share. */
#ifndef DM_SRC_OPTIONS_H
#define DM_SRC_OPTIONS_H

#include "base/host.h"

/* Refuses a value outside least to most: "sampler: 'steps' is 0; it must be from 1 to 1000",
 * `owner` being "sampler". */
int32_t dmi_check_range(dmi_host *host, const char *owner, const char *name, int32_t value,
                        int32_t least, int32_t most);

#endif
