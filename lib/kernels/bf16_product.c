/* SPDX-License-Identifier: MIT */
/* The products of bfloat16 for the instructions of this architecture, and the choice among them. */
#include "kernels/bf16_product.h"

#include "base/cpu.h"

#if defined(__x86_64__)

#include "kernels/bf16_pairs.h"
#include "kernels/bf16_tiles.h"

static const dmi_bf16_product pairs = DMI_PAIRS_PRODUCT("avx512_bf16");
static const dmi_bf16_product tiles = DMI_TILES_PRODUCT("amx");

const dmi_bf16_product *dmi_bf16_product_best(void) {
    const uint32_t has = dmi_cpu_bf16();
    if (has & DMI_BF16_TILES) return &tiles;
    return has & DMI_BF16_PAIRS ? &pairs : NULL;
}

#elif defined(__aarch64__)

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
