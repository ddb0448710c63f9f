/* See support.h. */
#include "support/support.h"

#include <sys/stat.h>
#include <unistd.h>

dmi_host *test_host_new(int32_t threads) {
    dmi_host *host = calloc(1, sizeof *host);
    ck_assert_ptr_nonnull(host);
    ck_assert_int_eq(dmi_pool_create(host, threads, NULL, NULL), DMI_OK);
    return host;
}

void test_host_end(dmi_host *host) {
    dmi_pool_destroy(host);
    ck_assert_msg(host->used == 0, "%llu bytes were not freed", (unsigned long long)host->used);
    free(host);
}

static uint32_t mix(uint64_t seed, uint64_t i) {
    uint64_t z = i * 0x9E3779B97F4A7C15u + seed * 0xD1B54A32D192ED03u + 0x2545F4914F6CDD1Du;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

void test_fill(float *values, size_t count, uint64_t seed, float scale) {
    for (size_t i = 0; i < count; i++) values[i] = (float)(scale * (mix(seed, i) / 2147483648.0 - 1.0));
}

double test_error(const float *got, const float *want, size_t count) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(got[i])) return INFINITY;
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

double test_error_d(const float *got, const double *want, size_t count) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(got[i])) return INFINITY;
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

const char *test_golden(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "tests/golden/data/%s", name);
    return path;
}

const char *test_folder(void) {
    static char path[64];
    mkdir("build/tmp", 0777);
    strcpy(path, "build/tmp/test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}
