/* SPDX-License-Identifier: MIT */
/* Every task runs once, no worker number is in use twice at a time, and threads that cannot start
 * leave nothing allocated. */
#include "base/pool.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/support.h"

enum { TASKS_MAX = 1000, THREADS_MAX = 8 };

typedef struct record {
    int32_t runs[TASKS_MAX]; /* plain, so that a race would show under a thread checker */
    atomic_int busy[THREADS_MAX];
    atomic_int clashes;
    int32_t threads;
    int32_t last; /* where it is not 0, the first task takes long, so that others wake, and the last
                     still longer */
} record;

static void note_task(void *data, int32_t task, int32_t worker) {
    record *r = data;
    if (worker < 0 || worker >= r->threads || atomic_exchange(&r->busy[worker], 1) != 0)
        atomic_fetch_add(&r->clashes, 1);
    if (r->last > 0 && task == 0) usleep(200);
    if (r->last > 0 && task == r->last) usleep(1000);
    r->runs[task]++;
    atomic_store(&r->busy[worker], 0);
}

static void check_jobs(dmi_host *host, int32_t threads, int rounds) {
    static const int32_t counts[] = {0, 1, 2, 3, 7, 64, TASKS_MAX};
    static record r;
    ck_assert_int_eq(dmi_pool_threads(host->pool), threads);
    for (int round = 0; round < rounds; round++) {
        const int32_t count = counts[round % 7];
        memset(&r, 0, sizeof r);
        r.threads = threads;
        r.last = round % 50 < 7 && count > 1 ? count - 1 : 0;
        if (round % 97 == 0) usleep(300); /* long enough for all to fall asleep */
        dmi_parallel(host->pool, count, note_task, &r);
        ck_assert_int_eq(r.clashes, 0);
        int32_t wrong = 0;
        for (int32_t i = 0; i < TASKS_MAX; i++) wrong += r.runs[i] != (i < count);
        ck_assert_int_eq(wrong, 0);
    }
}

START_TEST(every_task_runs_once) {
    static const int32_t threads[] = {1, 2, 3, 8};
    dmi_host *host = test_host_new(threads[_i]);
    check_jobs(host, threads[_i], 700);
    test_host_end(host);
}
END_TEST

/* Waits until all threads have begun a task, so that each has taken its first. */
typedef struct meeting {
    atomic_int begun;
    int32_t threads, first[THREADS_MAX];
} meeting;

static void meet(void *data, int32_t task, int32_t worker) {
    meeting *m = data;
    if (atomic_fetch_add(&m->begun, 1) >= m->threads) return;
    m->first[worker] = task;
    for (int i = 0; i < 10000 && atomic_load(&m->begun) < m->threads; i++) usleep(1000);
}

/* Consecutive tasks belong to a thread, the same in each job with as many tasks. */
START_TEST(each_thread_begins_with_its_share) {
    const int32_t threads = 4;
    static const int32_t counts[] = {4, 5, 7, 64},
                         first[][4] = {{0, 1, 2, 3}, {0, 2, 3, 4}, {0, 2, 4, 6}, {0, 16, 32, 48}};
    dmi_host *host = test_host_new(threads);
    for (int k = 0; k < 20; k++) {
        meeting m = {.threads = threads};
        dmi_parallel(host->pool, counts[k % 4], meet, &m);
        ck_assert_mem_eq(m.first, first[k % 4], sizeof first[0]);
    }
    test_host_end(host);
}
END_TEST

/* The host's loops: in order, backwards, and cut short to one runner that does all. */
static void forwards(void *user, int32_t count, void (*body)(void *data, int32_t index),
                     void *data) {
    ck_assert_int_le(count, *(const int32_t *)user);
    for (int32_t i = 0; i < count; i++) body(data, i);
}

static void backwards(void *user, int32_t count, void (*body)(void *data, int32_t index),
                      void *data) {
    ck_assert_int_le(count, *(const int32_t *)user);
    for (int32_t i = count - 1; i >= 0; i--) body(data, i);
}

START_TEST(the_hosts_own_threads) {
    static const dmi_parallel_for loops[] = {forwards, backwards};
    int32_t threads = 4;
    dmi_host host = {0};
    ck_assert_int_eq(dmi_pool_create(&host, threads, loops[_i], &threads), DMI_OK);
    check_jobs(&host, threads, 70);
    dmi_pool_destroy(&host);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

static void sum_squares(void *data, int32_t task, int32_t worker) {
    (void)worker;
    double *parts = data, sum = 0;
    for (int i = 1; i <= 2000; i++) sum += 1.0 / ((double)i + task);
    parts[task] = sum;
}

START_TEST(the_result_is_that_of_one_thread) {
    double want[100], got[100];
    for (int32_t i = 0; i < 100; i++) sum_squares(want, i, 0);
    dmi_host *host = test_host_new(3);
    for (int round = 0; round < 100; round++) {
        memset(got, 0, sizeof got);
        dmi_parallel(host->pool, 100, sum_squares, got);
        ck_assert_int_eq(memcmp(got, want, sizeof got), 0);
    }
    test_host_end(host);
}
END_TEST

START_TEST(idle_threads_sleep) {
    dmi_host *host = test_host_new(2);
    record r = {.threads = 2};
    dmi_parallel(host->pool, 64, note_task, &r);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    usleep(200000);
    getrusage(RUSAGE_SELF, &after);
    const double used = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                        1e-6 * (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    ck_assert_msg(used < 0.05, "%.3f s of processor time while idle for 0.2 s",
                  used); /* a spinning thread: 0.2 s */
    test_host_end(host);
}
END_TEST

START_TEST(bad_numbers_of_threads) {
    dmi_host host = {0};
    ck_assert_int_eq(dmi_pool_create(&host, -1, NULL, NULL), DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(host.error, "context: 'threads' is -1; it must be 0 to 256");
    ck_assert_int_eq(dmi_pool_create(&host, 257, NULL, NULL), DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(host.pool);
    dmi_pool_destroy(&host);
    ck_assert_int_eq(dmi_pool_create(&host, 0, NULL, NULL), DMI_OK);
    ck_assert_int_ge(dmi_pool_threads(host.pool), 1);
    dmi_pool_destroy(&host);
    ck_assert_ptr_null(host.pool);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

static uint64_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu", &pages) != 1) pages = 0;
    if (file != NULL) fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The stacks of 200 threads do not fit into 20 MB of addresses, so some thread fails after others
 * have started. */
START_TEST(threads_that_do_not_start) {
    const uint64_t now = address_space();
    if (now == 0) return; /* not Linux */
    struct rlimit before, tight;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = now + (20u << 20);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
    const size_t size = 40u << 20;
    void *more = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool has_limit = more == MAP_FAILED;
    dmi_host host = {0};
    const int32_t status = has_limit ? dmi_pool_create(&host, 200, NULL, NULL) : DMI_OK;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
    if (!has_limit) { /* under qemu-user */
        munmap(more, size);
        return;
    }
    ck_assert_int_eq(status, DMI_ERROR_THREAD);
    ck_assert_ptr_nonnull(strstr(host.error, " of 200 could not be started: "));
    ck_assert_ptr_null(host.pool);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(failed_allocations_are_reported) {
    dmi_host host = {.limit = 700}; /* enough for the pool, not for its 256 workers */
    ck_assert_int_eq(dmi_pool_create(&host, 256, NULL, NULL), DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_null(host.pool);
    ck_assert_uint_eq(host.used, 0);
    ck_assert_uint_gt(host.peak, 0);
}
END_TEST

Suite *test_pool_suite(void);
Suite *test_pool_suite(void) {
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60); /* under a memory checker */
    tcase_add_test(tests, each_thread_begins_with_its_share);
    tcase_add_loop_test(tests, every_task_runs_once, 0, 4);
    tcase_add_loop_test(tests, the_hosts_own_threads, 0, 2);
    tcase_add_test(tests, the_result_is_that_of_one_thread);
    tcase_add_test(tests, idle_threads_sleep);
    tcase_add_test(tests, bad_numbers_of_threads);
    tcase_add_test(tests, threads_that_do_not_start);
    tcase_add_test(tests, failed_allocations_are_reported);
    suite_add_tcase(suite, tests);
    return suite;
}
