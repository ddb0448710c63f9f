/* SPDX-License-Identifier: MIT */
/* See support.h. */
#include "support/support.h"

#include <ftw.h>
#include <limits.h>
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
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(scale * (mix(seed, i) / 2147483648.0 - 1.0));
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

/* One root for each process that tests run in, known by its whole name, because a test may change
 * the current folder. */
static char root[PATH_MAX];
static pid_t root_owner;

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *position) {
    (void)about, (void)kind, (void)position;
    return remove(path);
}

static void remove_root(void) {
    if (getpid() == root_owner) nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_folder(void) {
    static char parent[80], path[PATH_MAX + 16];
    static int folders;
    if (getpid() != root_owner) {
        const char *build = getenv("DM_TEST_BUILD");
        snprintf(parent, sizeof parent, "%.64s/tmp", build ? build : "build");
        mkdir(parent, 0777);
        strcat(parent, "/XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(parent));
        ck_assert_ptr_nonnull(realpath(parent, root));
        root_owner = getpid();
        folders = 0;
        ck_assert_int_eq(atexit(remove_root), 0);
    }
    /* Not relative: where tests run in one process, an earlier one may have changed the folder. */
    snprintf(path, sizeof path, "%s/%d", root, folders++);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    return path;
}

void test_has_reason(const char *error_text, const char *part, int error) {
    char want[200];
    const size_t length = strlen(part);
    const bool has_reason = length >= 2 && strcmp(part + length - 2, ": ") == 0;
    snprintf(want, sizeof want, "%s%s", part, has_reason ? strerror(error) : "");
    ck_assert_msg(strstr(error_text, want) != NULL, "'%s' lacks '%s'", error_text, want);
}

char *test_folder_new(void) {
    char *folder = strdup(test_folder());
    ck_assert_ptr_nonnull(folder);
    return folder;
}

const char *test_path(const char *folder, const char *name) {
    static char paths[4][256];
    static int32_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}
