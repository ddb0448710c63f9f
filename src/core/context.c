/* SPDX-License-Identifier: MIT */
/* The context: memory, threads and log of the host, checked once when it is created, and the
 * kernels for this processor. */
#include "core/context.h"

#include <string.h>

#include "base/cpu.h"
#include "base/profile.h"
#include "core/text.h"

dm_status dm_context_options_init(dm_context_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_context_options, options, size);
}

static dm_status check(dmi_host *host, const dm_context_options *o) {
    if (!o->allocate == !o->release) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "context: '%s' is set and '%s' is not; set both or neither",
                    o->allocate ? "allocate" : "release", o->allocate ? "release" : "allocate");
}

static dm_status create(dm_context **out, dmi_host *host, const dm_context_options *options) {
    dm_context_options o;
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_context_options, &o, options);
    if (!status) status = check(host, &o);
    if (status) return status;
    host->log = o.log;
    host->log_user = o.log_user;
    host->allocate = o.allocate;
    host->release = o.release;
    host->allocator_user = o.allocator_user;
    host->limit = o.memory_limit;
    host->large_pages = o.large_pages != 0;

    /* The context is a block of its own host, which therefore exists before it. */
    dm_context *context;
    status = dmi_alloc_zero(host, &context, 1, sizeof *context, "context");
    if (status) return status;
    context->host = *host;
    context->kernels = dmi_kernels_for(dmi_cpu_isa());
    context->latency = o.latency != 0;
    atomic_init(&context->caller, 0);
    atomic_init(&context->holders, 1);
    status = dmi_pool_create(&context->host, o.threads, o.parallel_for, o.parallel_user);
    if (!status && o.profile) status = dmi_profile_create(&context->host, &context->host.profile);
    if (status) {
        memcpy(host->error, context->host.error, sizeof host->error);
        dm_context_destroy(context);
        return status;
    }
    *out = context;
    return DM_OK;
}

dm_status dm_context_create(dm_context **out, const dm_context_options *options, char *error,
                            size_t capacity) {
    dmi_host host = {0};
    if (out) *out = NULL;
    dmi_copy_text(error, capacity, NULL, "");
    dm_status status = out ? create(out, &host, options)
                           : dmi_fail(&host, DM_ERROR_INVALID_ARGUMENT, "context: 'out' is NULL");
    if (status) dmi_copy_text(error, capacity, NULL, host.error);
    return status;
}

static void destroy(dm_context *context) {
    if (context->host.pool) dmi_pool_destroy(&context->host);
    dmi_profile_destroy(&context->host, context->host.profile);
    dmi_host host = context->host;
    dmi_free(&host, context);
    if (host.used)
        dmi_log(&host, DM_LOG_WARNING, "context: destroyed while its objects still hold %llu bytes",
                (unsigned long long)host.used);
}

void dmi_context_hold(dm_context *context) { atomic_fetch_add(&context->holders, 1); }

void dmi_context_release(dm_context *context) {
    if (atomic_fetch_sub(&context->holders, 1) == 1) destroy(context);
}

void dm_context_destroy(dm_context *context) {
    if (!context || !dmi_enter(context)) return;
    bool held = atomic_load(&context->holders) > 1;
    if (held)
        dmi_log(&context->host, DM_LOG_WARNING,
                "context: destroyed before its networks or shares of them; it stays until the last "
                "of these is destroyed");
    if (held) context->host.log = NULL; /* its user may be gone before the last network */
    dmi_leave(context, DM_OK);
    dmi_context_release(context);
}

/* ---- calls ---- */

/* A number of the calling thread that no other thread has at the same time. */
static uintptr_t this_thread(void) {
    static _Thread_local char self;
    return (uintptr_t)&self;
}

bool dmi_enter(dm_context *context) {
    uintptr_t idle = 0;
    if (!atomic_compare_exchange_strong_explicit(&context->caller, &idle, this_thread(),
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    if (context->host.pool) dmi_pool_notice_fork(context->host.pool);
    return true;
}

dm_status dmi_leave(dm_context *context, dm_status status) {
    atomic_store_explicit(&context->caller, 0, memory_order_release);
    return status;
}

enum { REFUSED = 0, OUTERMOST = 1, NESTED = 2 };

int32_t dmi_enter_nested(dm_context *context) {
    if (dmi_enter(context)) return OUTERMOST;
    uintptr_t caller = atomic_load_explicit(&context->caller, memory_order_relaxed);
    return caller == this_thread() ? NESTED : REFUSED;
}

dm_status dmi_leave_nested(dm_context *context, int32_t entered, dm_status status) {
    return entered == OUTERMOST ? dmi_leave(context, status) : status;
}

/* ---- callbacks ---- */

void dmi_callback_begin(dm_context *context) { context->reason[0] = 0; }

dm_status dmi_callback_result(dm_context *context, int32_t returned, dm_status otherwise,
                              const char *what) {
    if (!returned) return DM_OK;
    if (context->reason[0])
        return dmi_fail(&context->host, DM_ERROR_CALLBACK_FAILED, "%s failed: %s", what,
                        context->reason);
    return dmi_fail(&context->host, otherwise, "%s returned %d", what, (int)returned);
}

dm_status dm_callback_fail(dm_context *context, const char *text) {
    if (!context || !text) return DM_ERROR_INVALID_ARGUMENT;
    uintptr_t caller = atomic_load_explicit(&context->caller, memory_order_relaxed);
    if (caller != this_thread()) return DM_ERROR_WRONG_STATE;
    dmi_copy_text(context->reason, sizeof context->reason, NULL, *text ? text : "no reason given");
    return DM_OK;
}

/* ---- properties ---- */

const char *dm_context_error(const dm_context *context) {
    return context ? context->host.error : "";
}

dm_status dm_context_error_copy(const dm_context *context, char *text, size_t capacity,
                                size_t *size) {
    dmi_copy_text(text, capacity, size, "");
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    int32_t entered = dmi_enter_nested((dm_context *)context);
    if (!entered) return DM_ERROR_WRONG_STATE;
    dmi_copy_text(text, capacity, size, context->host.error);
    return dmi_leave_nested((dm_context *)context, entered, DM_OK);
}

dm_status dm_context_get_memory(const dm_context *context, uint64_t *used, uint64_t *peak,
                                uint64_t *allocations) {
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (used) *used = context->host.used;
    if (peak) *peak = context->host.peak;
    if (allocations) *allocations = context->host.allocations;
    return DM_OK;
}

int32_t dm_context_threads(const dm_context *context) {
    return context ? dmi_pool_threads(context->host.pool) : 0;
}
