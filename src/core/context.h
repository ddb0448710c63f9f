/* SPDX-License-Identifier: MIT */
/* The context: the engine's host, the kernels for this processor, and the state that makes
 * overlapping calls an error. */
#ifndef DM_SRC_CORE_CONTEXT_H
#define DM_SRC_CORE_CONTEXT_H

#include <stdatomic.h>

#include "base/host.h"
#include "base/pool.h"
#include "core/structs.h"
#include "diffusion.h"
#include "kernels/bf16_product.h"
#include "kernels/kernels.h"

enum { DMI_REASON_SIZE = 256 };

struct dm_context {
    dmi_host host;
    const dmi_kernels *kernels;
    const dmi_bf16_product *bf16_product; /* of this processor, or NULL; found when the first
                                             network is to compute with bfloat16 */
    bool latency;                         /* dm_context_options.latency */
    atomic_uintptr_t caller;              /* the thread whose call is in progress; 0: none */
    atomic_int holders;           /* the caller's handle, networks, and shares of their weights */
    char reason[DMI_REASON_SIZE]; /* of a callback that is about to fail; "" if there is none */
};

/* ---- calls ----
 * Every public function that takes an object brackets its work:
 *
 *     if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
 *     if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
 *     return dmi_leave(trainer->context, step(trainer, stats));
 *
 * dmi_enter is false, and nothing has changed, if another call is in progress. */
bool dmi_enter(dm_context *context);
/* Ends the call and returns `status`. */
dm_status dmi_leave(dm_context *context, dm_status status);
/* For functions that a callback may call in its own context: they use its memory and error text
 * alone. The result, 0 where the call is refused, goes to dmi_leave_nested. */
int32_t dmi_enter_nested(dm_context *context);
dm_status dmi_leave_nested(dm_context *context, int32_t entered, dm_status status);

/* ---- callbacks ----
 * Before a custom callback is called. */
void dmi_callback_begin(dm_context *context);
/* After it returned: DM_OK for 0; else an error whose text begins with `what`, as in "sampler: the
 * progress callback". The status is DM_ERROR_CALLBACK_FAILED if the callback gave a reason by
 * dm_callback_fail, else `otherwise`. */
dm_status dmi_callback_result(dm_context *context, int32_t returned, dm_status otherwise,
                              const char *what);

/* ---- references beyond the caller's handle, for networks and their weights ---- */
void dmi_context_hold(dm_context *context);
/* Destroys the context if its handle is gone and this was the last reference. */
void dmi_context_release(dm_context *context);

#endif
