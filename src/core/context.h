/* What every handle shares: the context itself and the reading of option structs. */
#ifndef DM_SRC_CONTEXT_H
#define DM_SRC_CONTEXT_H

#include "base/host.h"
#include "base/pool.h"
#include "diffusion.h"
#include "kernels/kernels.h"

struct dm_context {
    dmi_host host;
    const dmi_kernels *kernels;
};

/* Options of any size and age, read over defaults: *target, of `size` bytes, holds the defaults and
 * gets what the caller's struct has; see abi.md's rule in docs/design.md. A NULL source leaves the
 * defaults. `what` is the struct's name, as in "dm_unet_options". host may be NULL where there is
 * no context yet. */
int32_t dmi_options_read(dmi_host *host, void *target, size_t size, const void *source,
                         const char *what);
/* The other way round, for the init, preset and get functions: copies min(size, caller's size)
 * bytes of the full struct to the caller's, zeroes what the caller's has beyond, and sets its
 * struct_size. */
int32_t dmi_options_write(dmi_host *host, void *target, size_t target_size, const void *source,
                          size_t size, const char *what);

#endif
