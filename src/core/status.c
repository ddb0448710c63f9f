/* Version, build and the statuses' names. The engine has its own copy of the status values, and
 * knows nothing of the public header; here both are in sight, so here it is asserted that they
 * agree. */
#include <pthread.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/status.h"
#include "core/context.h"
#include "kernels/gemm.h"

#define DMI_TEXT2(x) #x
#define DMI_TEXT(x) DMI_TEXT2(x)
#define DMI_VERSION                                                                                \
    DMI_TEXT(DM_VERSION_MAJOR) "." DMI_TEXT(DM_VERSION_MINOR) "." DMI_TEXT(DM_VERSION_PATCH)

#define SAME(name)                                                                                 \
    _Static_assert((int)DMI_##name == (int)DM_##name, "DMI_" #name " differs from DM_" #name)
SAME(OK);
SAME(ERROR_INVALID_ARGUMENT);
SAME(ERROR_OUT_OF_MEMORY);
SAME(ERROR_LIMIT_EXCEEDED);
SAME(ERROR_IO);
SAME(ERROR_BAD_FORMAT);
SAME(ERROR_UNSUPPORTED_VERSION);
SAME(ERROR_CHECKSUM);
SAME(ERROR_SHAPE_MISMATCH);
SAME(ERROR_NOT_FOUND);
SAME(ERROR_WRONG_STATE);
SAME(ERROR_UNSUPPORTED);
SAME(ERROR_CANCELLED);
SAME(ERROR_NOT_FINITE);
SAME(ERROR_THREAD);
SAME(ERROR_CALLBACK_FAILED);
SAME(ERROR_INTERNAL);

typedef struct status_text {
    const char *name, *message;
} status_text;

/* Indexed by -status. */
static const status_text texts[] = {
    {"DM_OK", "success"},
    {"DM_ERROR_INVALID_ARGUMENT", "invalid argument"},
    {"DM_ERROR_OUT_OF_MEMORY", "out of memory"},
    {"DM_ERROR_LIMIT_EXCEEDED", "memory limit exceeded"},
    {"DM_ERROR_IO", "input or output failed"},
    {"DM_ERROR_BAD_FORMAT", "bad file format"},
    {"DM_ERROR_UNSUPPORTED_VERSION", "unsupported version"},
    {"DM_ERROR_CHECKSUM", "checksum does not match"},
    {"DM_ERROR_SHAPE_MISMATCH", "shapes do not match"},
    {"DM_ERROR_NOT_FOUND", "not found"},
    {"DM_ERROR_WRONG_STATE", "wrong state for this call"},
    {"DM_ERROR_UNSUPPORTED", "not supported by this build"},
    {"DM_ERROR_CANCELLED", "cancelled"},
    {"DM_ERROR_NOT_FINITE", "a value is not finite"},
    {"DM_ERROR_THREAD", "a thread could not be started"},
    {"DM_ERROR_CALLBACK_FAILED", "a callback failed"},
    {"DM_ERROR_INTERNAL", "internal error; please report it"},
};

static const status_text *text_of(int32_t status) {
    static const status_text unknown = {"unknown", "unknown status"};
    const int32_t count = (int32_t)(sizeof texts / sizeof texts[0]);
    return status <= 0 && status > -count ? &texts[-status] : &unknown;
}

const char *dm_status_name(int32_t status) { return text_of(status)->name; }

const char *dm_status_message(int32_t status) { return text_of(status)->message; }

uint32_t dm_version(void) {
    return DM_VERSION_MAJOR * 1000000 + DM_VERSION_MINOR * 1000 + DM_VERSION_PATCH;
}

const char *dm_version_string(void) { return DMI_VERSION; }

#if defined(__clang__)
#define DMI_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define DMI_COMPILER "gcc " __VERSION__
#else
#define DMI_COMPILER "an unknown compiler"
#endif

static char build_info[256]; /* written once, by compose_build_info */

static void compose_build_info(void) {
    snprintf(build_info, sizeof build_info, "libdiffusion %s, %s, %s%s%s, kernels %s", DMI_VERSION,
             DMI_COMPILER, dmi_gemm_name(), *dmi_gemm_version() ? " " : "", dmi_gemm_version(),
             dmi_kernels_for(dmi_cpu_isa())->isa);
}

const char *dm_build_info(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compose_build_info);
    return build_info;
}
