/* The context: the host's memory, threads and log, checked once when it is made, and the kernels
 * for this processor. */
#include "core/context.h"

#include <string.h>

#include "base/cpu.h"
#include "base/profile.h"

static const dm_context_options defaults = {.struct_size = sizeof(dm_context_options)};

int32_t dm_context_options_init(dm_context_options *options, size_t size) {
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults, "dm_context_options");
}

static int32_t check(dmi_host *host, const dm_context_options *o) {
    if ((o->allocate == NULL) != (o->release == NULL))
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "context: '%s' is set and '%s' is not; set both or neither",
                        o->allocate != NULL ? "allocate" : "release",
                        o->allocate != NULL ? "release" : "allocate");
    if (o->profile != 0 && o->profile != 1)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "context: 'profile' is %d; it must be 0 or 1", (int)o->profile);
    if (o->large_pages != 0 && o->large_pages != 1)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "context: 'large_pages' is %d; it must be 0 or 1", (int)o->large_pages);
    return DMI_OK;
}

/* There is no context yet to ask for the text. */
static int32_t tell(dmi_host *host, int32_t status) {
    if (status != DMI_OK) dmi_log(host, DM_LOG_WARNING, "%s", host->error);
    return status;
}

int32_t dm_context_create(dm_context **out, const dm_context_options *options) {
    if (out == NULL) return DM_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    /* The context is a block of its own host, which therefore begins its life here. */
    dmi_host host = {0};
    dm_context_options o = defaults;
    int32_t status = dmi_options_read(&host, &o, sizeof o, options, "dm_context_options");
    if (status != DMI_OK) return status;
    host.log = o.log;
    host.log_user = o.log_user;
    status = check(&host, &o);
    if (status != DMI_OK) return tell(&host, status);
    host.allocate = o.allocate;
    host.release = o.release;
    host.allocator_user = o.allocator_user;
    host.limit = o.memory_limit;
    host.large_pages = o.large_pages != 0;

    void *block;
    status = dmi_alloc(&host, &block, sizeof(dm_context), "context");
    if (status != DMI_OK) return tell(&host, status);
    dm_context *context = block;
    context->host = host;
    context->kernels = dmi_kernels_for(dmi_cpu_isa());
    status = dmi_pool_create(&context->host, o.threads, o.parallel_for, o.parallel_user);
    if (!status && o.profile) status = dmi_profile_create(&context->host, &context->host.profile);
    if (status != DMI_OK) {
        tell(&context->host, status);
        dm_context_destroy(context);
        return status;
    }
    *out = context;
    return DM_OK;
}

const char *dm_context_error(const dm_context *context) {
    return context != NULL ? context->host.error : "";
}

int32_t dm_context_memory(const dm_context *context, uint64_t *used, uint64_t *peak,
                          uint64_t *allocations) {
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    if (used != NULL) *used = context->host.used;
    if (peak != NULL) *peak = context->host.peak;
    if (allocations != NULL) *allocations = context->host.allocations;
    return DM_OK;
}

int32_t dm_context_threads(const dm_context *context) {
    return context != NULL ? dmi_pool_threads(context->host.pool) : 0;
}

void dm_context_destroy(dm_context *context) {
    if (context == NULL) return;
    if (context->host.pool != NULL) dmi_pool_destroy(&context->host);
    dmi_profile_destroy(&context->host, context->host.profile);
    dmi_host host = context->host;
    dmi_free(&host, context);
    if (host.used != 0)
        dmi_log(&host, DM_LOG_WARNING, "context: destroyed while its objects still hold %llu bytes",
                (unsigned long long)host.used);
}
