/* SPDX-License-Identifier: MIT */
/* Version, features and status names. The engine, which does not include the public header, has its
 * own copy of the status values; their equality is asserted here. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

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

/* The header's names, indexed by -status; the messages are in core/enums.c. */
static const char *const names[] = {
    "DM_OK",
    "DM_ERROR_INVALID_ARGUMENT",
    "DM_ERROR_OUT_OF_MEMORY",
    "DM_ERROR_LIMIT_EXCEEDED",
    "DM_ERROR_IO",
    "DM_ERROR_BAD_FORMAT",
    "DM_ERROR_UNSUPPORTED_VERSION",
    "DM_ERROR_CHECKSUM",
    "DM_ERROR_SHAPE_MISMATCH",
    "DM_ERROR_NOT_FOUND",
    "DM_ERROR_WRONG_STATE",
    "DM_ERROR_UNSUPPORTED",
    "DM_ERROR_CANCELLED",
    "DM_ERROR_NOT_FINITE",
    "DM_ERROR_THREAD",
    "DM_ERROR_CALLBACK_FAILED",
    "DM_ERROR_INTERNAL",
};

const char *dm_status_name(dm_status status) {
    const int32_t count = (int32_t)(sizeof names / sizeof *names);
    return status <= 0 && status > -count ? names[-status] : "unknown";
}

const char *dm_status_message(dm_status status) {
    const char *message = dm_enum_help("dm_status", status);
    return message ? message : "unknown status";
}

uint32_t dm_version(void) { return DM_VERSION; }

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

/* ---- features ---- */

static bool is_blas(const char *name) { return strcmp(dmi_gemm_name(), name) == 0; }

int32_t dm_feature(const char *name) {
    const int32_t isa = dmi_cpu_isa();
    const struct {
        const char *name;
        bool present;
    } features[] = {
        {"blas", is_blas("OpenBLAS") || is_blas("BLIS")},
        {"openblas", is_blas("OpenBLAS")},
        {"blis", is_blas("BLIS")},
        {"avx2", isa >= DMI_ISA_V3},
        {"avx512", isa >= DMI_ISA_V4},
#if defined(__aarch64__)
        {"neon", true},
#else
        {"neon", false},
#endif
        {"bf16", dmi_cpu_has_bf16()},
    };
    for (size_t i = 0; name && i < sizeof features / sizeof *features; i++)
        if (strcmp(features[i].name, name) == 0) return features[i].present;
    return 0;
}
