/* SPDX-License-Identifier: MIT */
/* What the golden tests share: seeds by name, the networks' parameters, and reading golden files.
 * The Python side of it is formula.py. */
#ifndef DM_TESTS_GOLDEN_H
#define DM_TESTS_GOLDEN_H

#include <stdarg.h>

#include "io/safetensors.h"
#include "support/support.h"

enum { GOLDEN_SAMPLES = 8, GOLDEN_DIGEST = 2 + GOLDEN_SAMPLES, GOLDEN_NAME = 128 };

/* FNV-1a, 64 bits. */
static inline uint64_t golden_seed(const char *name) {
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001B3u;
    return h;
}

/* fill("<prefix>/<name>") */
static inline void golden_fill(float *values, size_t count, float scale, const char *prefix,
                               const char *name) {
    char full[GOLDEN_NAME];
    snprintf(full, sizeof full, "%s/%s", prefix, name);
    test_fill(values, count, golden_seed(full), scale);
}

/* A network's parameter of that name and outside shape: weight() of formula.py. */
static inline void golden_weight(float *values, const char *name, int32_t rank,
                                 const int64_t *shape) {
    size_t count = 1, length = strlen(name);
    for (int32_t i = 0; i < rank; i++) count *= (size_t)shape[i];
    double fan_in = (double)count / (double)shape[0];
    bool gain = rank == 1 && length > 7 && !strcmp(name + length - 7, ".weight");
    float scale = (float)sqrt(3.0 / fan_in);
    if (rank == 1) scale = gain ? 0.2f : 0.1f;
    if (!strcmp(name, "class_embedding.weight")) scale = 1.0f;
    test_fill(values, count, golden_seed(name), scale);
    for (size_t i = 0; gain && i < count; i++) values[i] = 1.0f + values[i];
}

static inline float *golden_floats(size_t count) {
    float *values = malloc((count ? count : 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

static inline dmi_safetensors *golden_open(dmi_host *host, const char *name) {
    dmi_safetensors *file;
    ck_assert_msg(dmi_safetensors_open(host, &file, test_golden(name)) == DMI_OK, "%s",
                  host->error);
    return file;
}

/* The tensor "<prefix>/<name>", which must have `count` floats; the caller frees it. */
static inline float *golden_read(const dmi_safetensors *file, const char *prefix, const char *name,
                                 size_t count) {
    char full[GOLDEN_NAME];
    snprintf(full, sizeof full, "%s/%s", prefix, name);
    const dmi_safetensors_entry *entry = dmi_safetensors_find(file, full);
    ck_assert_msg(entry, "the golden file has no '%s'", full);
    ck_assert_msg(entry->size == count * sizeof(float), "'%s' is %zu bytes, not %zu floats", full,
                  entry->size, count);
    float *values = golden_floats(count);
    dmi_host host = {0}; /* for the error text alone */
    ck_assert_msg(dmi_safetensors_read(&host, file, entry, values) == DMI_OK, "%s", host.error);
    return values;
}

/* How far `values` are from the tensor that `digest` (of formula.py) describes, relative to its
 * norm, or to `norm_min` where that is larger: the largest of the errors of the norm; of the
 * product, whose expected size for an error of norm e is e / sqrt(3); and of the samples, for which
 * it is e / sqrt(count). */
static inline double golden_digest_error(const char *name, const float *values, size_t count,
                                         const float *digest, double norm_min) {
    char full[GOLDEN_NAME];
    float *pattern = golden_floats(count);
    double squares = 0, product = 0, samples = 0, norm = fmax((double)digest[0], norm_min);
    snprintf(full, sizeof full, "digest/%s", name);
    test_fill(pattern, count, golden_seed(full), 1.0f);
    for (size_t i = 0; i < count; i++) {
        squares += (double)values[i] * values[i];
        product += (double)values[i] * pattern[i];
    }
    for (size_t k = 0; k < GOLDEN_SAMPLES; k++) {
        double got = values[(count - 1) * k / (GOLDEN_SAMPLES - 1)];
        samples += (got - digest[2 + k]) * (got - digest[2 + k]) / GOLDEN_SAMPLES;
    }
    free(pattern);
    if (!isfinite(squares)) return INFINITY;
    double of_norm = fabs(sqrt(squares) - digest[0]),
           of_product = sqrt(3.0) * fabs(product - digest[1]);
    return fmax(fmax(of_norm, of_product), sqrt(samples * (double)count)) / norm;
}

#endif
