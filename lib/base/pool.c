/* SPDX-License-Identifier: MIT */
/* The thread pool. One atomic word says whether a job is open and counts the threads inside it: a
 * thread that wakes too late finds the job closed and is not waited for. Threads spin briefly
 * before they sleep, since the next job mostly follows at once.
 *
 * Each thread has a share of a job's tasks, consecutive ones, and takes them before it takes tasks
 * of other shares. Since tasks are numbered by image and row, a thread finds in its caches what it
 * wrote in the job before. */
#include "base/pool.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/float_mode.h"
#include "base/math.h"
#include "base/system.h"

#define SPIN_SECONDS 100e-6

/* Of the jobs: so high that every longer run comes to where the numbers begin again. */
#define FIRST_NUMBER (UINT32_MAX - 1000)

/* The state's bits: threads inside (the caller not counted), whether the job is open, and the
 * number of the job. */
#define STATE_INSIDE UINT64_C(0xffff)
#define STATE_OPEN UINT64_C(0x10000)
#define STATE_JOB_SHIFT 32

typedef struct job {
    dmi_task task;
    void *data;
    dmi_float_mode mode; /* the caller's */
    int32_t count;
    int32_t shares;
    uint32_t number;
} job;

/* The upper half is the number of a job, the lower half how many tasks of the share have been taken
 * in it. In a job with another number none has, so that nothing is reset between jobs. */
typedef struct share {
    alignas(DMI_ALIGNMENT) _Atomic uint64_t taken;
} share;

typedef struct worker {
    dmi_pool *pool;
    int32_t index;
    pthread_t thread;
} worker;

struct dmi_pool {
    int32_t threads;
    uint64_t process; /* that has the workers */
    bool forked;      /* this process is a child of it, where no worker runs */
    int32_t started;  /* of workers[] */
    bool spins;
    dmi_parallel_for parallel_for;
    void *user;
    worker *workers; /* those of index 1 to threads - 1 */
    share *shares;   /* one for each thread */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* to workers: a job is open, or stop */
    pthread_cond_t done; /* to the caller: the last worker has left */
    atomic_bool stop;
    atomic_int sleepers;
    atomic_bool caller_sleeps;
    alignas(DMI_ALIGNMENT) _Atomic uint64_t state;
    alignas(DMI_ALIGNMENT) job current; /* written by the caller while no worker is inside */
};

static void pause_processor(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The first task of a share. Rounded up, so that share 0, the calling thread's, has a task. */
static int32_t share_begin(const job *j, int32_t index) {
    return (int32_t)(((int64_t)index * j->count + j->shares - 1) / j->shares);
}

/* Takes a task of a share of `count`: returns its position there, or `count` if all are taken. */
static int32_t take_position(share *from, uint32_t number, int32_t count) {
    uint64_t taken = atomic_load_explicit(&from->taken, memory_order_relaxed);
    for (;;) {
        int32_t position = (uint32_t)(taken >> 32) == number ? (int32_t)(uint32_t)taken : 0;
        if (position >= count) return count;
        uint64_t after = (uint64_t)number << 32 | (uint64_t)(position + 1);
        if (atomic_compare_exchange_weak_explicit(&from->taken, &taken, after, memory_order_relaxed,
                                                  memory_order_relaxed))
            return position;
    }
}

static void take_tasks(const dmi_pool *pool, int32_t index) {
    const job *j = &pool->current;
    for (int32_t i = 0; i < j->shares; i++) {
        int32_t owner = (index + i) % j->shares;
        int32_t begin = share_begin(j, owner), count = share_begin(j, owner + 1) - begin;
        for (;;) {
            int32_t position = take_position(&pool->shares[owner], j->number, count);
            if (position == count) break;
            j->task(j->data, begin + position, index);
        }
    }
}

/* The number of the next job. When all have been used, shares that were not looked at for so long
 * could still have the number that comes again. */
static uint32_t next_number(dmi_pool *pool) {
    uint32_t number = pool->current.number + 1;
    if (number == 0)
        for (int32_t i = 0; i < pool->threads; i++) atomic_store(&pool->shares[i].taken, 0);
    return number;
}

/* Whether a job is open that this worker has not entered yet. */
static bool is_new_job(uint64_t state, uint32_t seen) {
    return (state & STATE_OPEN) != 0 && (uint32_t)(state >> STATE_JOB_SHIFT) != seen;
}

/* Adds this worker to the threads inside, if a job is still open. */
static bool enter(dmi_pool *pool, uint32_t *seen) {
    uint64_t state = atomic_load(&pool->state);
    while (is_new_job(state, *seen)) {
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1)) {
            *seen = (uint32_t)(state >> STATE_JOB_SHIFT);
            return true;
        }
    }
    return false;
}

static void leave(dmi_pool *pool) {
    uint64_t after = atomic_fetch_sub(&pool->state, 1) - 1;
    if (after & (STATE_OPEN | STATE_INSIDE) || !atomic_load(&pool->caller_sleeps)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->mutex);
}

/* Spins, then sleeps. Both sides order their stores and loads of `state` and `sleepers`
 * sequentially, so that either the caller sees the sleeper or the sleeper sees the job. */
static void wait_for_job(dmi_pool *pool, uint32_t seen) {
    if (pool->spins) {
        double end = dmi_seconds() + SPIN_SECONDS;
        do {
            for (int i = 0; i < 16; i++) {
                if (is_new_job(atomic_load(&pool->state), seen) || atomic_load(&pool->stop)) return;
                pause_processor();
            }
        } while (dmi_seconds() < end);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!is_new_job(atomic_load(&pool->state), seen) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
    const worker *self = argument;
    dmi_pool *pool = self->pool;
    dmi_float_mode mode = dmi_float_mode_get();
    uint32_t seen = 0;
    while (!atomic_load(&pool->stop)) {
        wait_for_job(pool, seen);
        if (enter(pool, &seen)) {
            if (pool->current.mode != mode) {
                mode = pool->current.mode;
                dmi_float_mode_set(mode);
            }
            take_tasks(pool, self->index);
            leave(pool);
        }
    }
    return NULL;
}

static bool is_empty(const dmi_pool *pool) {
    return (atomic_load(&pool->state) & STATE_INSIDE) == 0;
}

static void wait_until_empty(dmi_pool *pool) {
    if (pool->spins) {
        double end = dmi_seconds() + SPIN_SECONDS;
        do {
            for (int i = 0; i < 16; i++) {
                if (is_empty(pool)) return;
                pause_processor();
            }
        } while (dmi_seconds() < end);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (!is_empty(pool)) pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

static void run_on_workers(dmi_pool *pool, int32_t count, dmi_task task, void *data) {
    pool->current.task = task;
    pool->current.data = data;
    pool->current.mode = dmi_float_mode_get();
    pool->current.count = count;
    pool->current.shares = pool->threads;
    const uint64_t number = next_number(pool);
    pool->current.number = (uint32_t)number;

    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): set by dmi_pool_create */
    atomic_store(&pool->state, number << STATE_JOB_SHIFT | STATE_OPEN);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        if (count > 2) pthread_cond_broadcast(&pool->wake);
        else pthread_cond_signal(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    take_tasks(pool, 0);
    if (atomic_fetch_and(&pool->state, ~STATE_OPEN) & STATE_INSIDE) wait_until_empty(pool);
}

/* On a thread of the program, whose mode is restored. */
static void run_host_runner(void *data, int32_t index) {
    const dmi_pool *pool = data;
    const dmi_float_mode mode = pool->current.mode, before = dmi_float_mode_get();
    if (before != mode) dmi_float_mode_set(mode);
    take_tasks(pool, index);
    if (before != mode) dmi_float_mode_set(before);
}

static void run_on_host(dmi_pool *pool, int32_t count, dmi_task task, void *data) {
    int32_t shares = dmi_min(count, pool->threads);
    pool->current = (job){.task = task,
                          .data = data,
                          .mode = dmi_float_mode_get(),
                          .count = count,
                          .shares = shares,
                          .number = next_number(pool)};
    pool->parallel_for(pool->user, shares, run_host_runner, pool);
}

void dmi_parallel(dmi_pool *pool, int32_t count, dmi_task task, void *data) {
    if (count > 1 && pool->threads > 1 && pool->parallel_for) run_on_host(pool, count, task, data);
    else dmi_parallel_locked(pool, count, task, data);
}

void dmi_parallel_locked(dmi_pool *pool, int32_t count, dmi_task task, void *data) {
    if (count <= 1 || pool->threads == 1 || pool->parallel_for || pool->forked)
        for (int32_t i = 0; i < count; i++) task(data, i, 0);
    else run_on_workers(pool, count, task, data);
}

/* Returns 0, or the errno of the thread that could not be started, which is number pool->started.
 */
static int start_workers(dmi_pool *pool) {
    dmi_signals before;
    dmi_system_block_signals(&before);
    int error = 0;
    while (pool->started < pool->threads - 1 && !error) {
        worker *w = &pool->workers[pool->started];
        w->pool = pool;
        w->index = pool->started + 1;
        error = pthread_create(&w->thread, NULL, worker_main, w);
        if (!error) pool->started++;
    }
    dmi_system_restore_signals(&before);
    return error;
}

/* Destroys the first `count` locks. */
static void destroy_locks(dmi_pool *pool, int count) {
    if (count > 2) pthread_cond_destroy(&pool->done);
    if (count > 1) pthread_cond_destroy(&pool->wake);
    if (count > 0) pthread_mutex_destroy(&pool->mutex);
}

static int32_t create_locks(dmi_host *host, dmi_pool *pool) {
    char reason[128];
    int created = 0;
    int error = pthread_mutex_init(&pool->mutex, NULL);
    if (!error) created++, error = pthread_cond_init(&pool->wake, NULL);
    if (!error) created++, error = pthread_cond_init(&pool->done, NULL);
    if (!error) return DMI_OK;
    destroy_locks(pool, created);
    return dmi_fail(host, DMI_ERROR_THREAD, "the locks of the threads could not be created: %s",
                    dmi_errno_text(error, reason, sizeof reason));
}

static void free_pool(dmi_host *host, dmi_pool *pool) {
    dmi_free(host, pool->shares);
    dmi_free(host, pool->workers);
    dmi_free(host, pool);
}

int32_t dmi_pool_create(dmi_host *host, int32_t threads, dmi_parallel_for parallel_for,
                        void *user) {
    if (threads < 0 || threads > DMI_THREADS_MAX)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "context: 'threads' is %d; it must be 0 to %d", threads, DMI_THREADS_MAX);
    int32_t processors = dmi_system_processors();
    if (threads == 0) threads = dmi_min(processors, DMI_THREADS_MAX);

    dmi_pool *pool;
    int32_t status = dmi_alloc_zero(host, &pool, 1, sizeof *pool, "thread pool");
    if (status) return status;
    status = dmi_alloc_zero(host, &pool->workers, (size_t)threads, sizeof(worker), "thread pool");
    if (!status)
        status = dmi_alloc_zero(host, &pool->shares, (size_t)threads, sizeof(share), "thread pool");
    if (status) {
        free_pool(host, pool);
        return status;
    }
    pool->threads = threads;
    pool->process = dmi_system_process();
    /* With more threads than processors a spinning thread would occupy the processor that another
     * needs. */
    pool->spins = threads <= processors;
    pool->parallel_for = parallel_for;
    pool->user = user;
    pool->current.number = FIRST_NUMBER;
    status = create_locks(host, pool);
    if (status) {
        free_pool(host, pool);
        return status;
    }
    host->pool = pool;
    if (parallel_for) return DMI_OK;

    int error = start_workers(pool);
    if (error) {
        int32_t reached = pool->started + 1;
        dmi_pool_destroy(host);
        char reason[128];
        return dmi_fail(host, DMI_ERROR_THREAD, "thread %d of %d could not be started: %s",
                        reached + 1, threads, dmi_errno_text(error, reason, sizeof reason));
    }
    return DMI_OK;
}

void dmi_pool_notice_fork(dmi_pool *pool) {
    if (dmi_system_process() != pool->process) pool->forked = true;
}

static void stop_workers(dmi_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int32_t i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    destroy_locks(pool, 3);
}

void dmi_pool_destroy(dmi_host *host) {
    dmi_pool *pool = host->pool;
    if (!pool) return;
    dmi_pool_notice_fork(pool);
    if (!pool->forked) stop_workers(pool); /* in a child their locks may be held for ever */
    free_pool(host, pool);
    host->pool = NULL;
}

int32_t dmi_pool_threads(const dmi_pool *pool) { return pool->threads; }
