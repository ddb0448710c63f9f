/* SPDX-License-Identifier: MIT */
/* The products of bfloat16 for the instructions of this architecture, and the choice among them. */
#include "kernels/bf16_product.h"

#include "base/cpu.h"

/* The first compilers that know the instructions of this architecture as targets of functions.
 * Apple's numbers are its own. */
#if defined(__apple_build_version__) && defined(__aarch64__)
#define DMI_KNOWS_BF16 (__clang_major__ >= 16)
#elif defined(__apple_build_version__)
#define DMI_KNOWS_BF16 (__clang_major__ >= 13)
#elif defined(__clang__) && defined(__aarch64__)
#define DMI_KNOWS_BF16 (__clang_major__ >= 16)
#elif defined(__clang__)
#define DMI_KNOWS_BF16 (__clang_major__ >= 12)
#elif defined(__GNUC__)
#define DMI_KNOWS_BF16 (__GNUC__ >= 11)
#else
#define DMI_KNOWS_BF16 0
#endif

#if defined(__x86_64__) && DMI_KNOWS_BF16

#include "kernels/bf16_pairs.h"
#include "kernels/bf16_tiles.h"

static const dmi_bf16_product pairs = DMI_PAIRS_PRODUCT("avx512_bf16");
static const dmi_bf16_product tiles = DMI_TILES_PRODUCT("amx");

const dmi_bf16_product *dmi_bf16_product_best(void) {
    const uint32_t has = dmi_cpu_bf16();
    if (has & DMI_BF16_TILES) return &tiles;
    return has & DMI_BF16_PAIRS ? &pairs : NULL;
}

#elif defined(__aarch64__) && DMI_KNOWS_BF16

#include "kernels/bf16_pairs.h"
#include "kernels/bf16_quads.h"

static const dmi_bf16_product pairs = DMI_PAIRS_PRODUCT("bfdot");
static const dmi_bf16_product quads = DMI_QUADS_PRODUCT("bfmmla");

const dmi_bf16_product *dmi_bf16_product_best(void) {
    const uint32_t has = dmi_cpu_bf16();
    if (has & DMI_BF16_QUADS) return &quads;
    return has & DMI_BF16_PAIRS ? &pairs : NULL;
}

#else

const dmi_bf16_product *dmi_bf16_product_best(void) { return NULL; }

#endif
