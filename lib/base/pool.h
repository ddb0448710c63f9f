/* SPDX-License-Identifier: MIT */
/* The thread pool. A job is a number of tasks, which the problem's shape alone determines. Each
 * thread has a share of them, consecutive ones and the same in each job of as many tasks, and takes
 * those of others when its own are done: which thread runs which task varies, the result does not.
 */
#ifndef DMI_BASE_POOL_H
#define DMI_BASE_POOL_H

#include <stdint.h>

#include "base/host.h"

typedef struct dmi_pool dmi_pool;

enum { DMI_THREADS_MAX = 256 };

/* One task. `worker`, from 0 to dmi_pool_threads - 1, is never used by two tasks at once: it
 * selects the scratch memory. */
typedef void (*dmi_task)(void *data, int32_t task, int32_t worker);

/* The program's own parallel loop: calls body(data, index) for each index below `count`, in any
 * order and on any threads, and returns when all calls have ended. */
typedef void (*dmi_parallel_for)(void *user, int32_t count, void (*body)(void *data, int32_t index),
                                 void *data);

/* Creates host->pool of `threads` threads, the calling one included (0: one for each processor).
 * With `parallel_for` none is started, and jobs run through it. */
int32_t dmi_pool_create(dmi_host *host, int32_t threads, dmi_parallel_for parallel_for, void *user);
void dmi_pool_destroy(dmi_host *host);
/* Where the process is a child of the one that created the pool, which fork left without its
 * threads, jobs run on the calling thread from now on. */
void dmi_pool_notice_fork(dmi_pool *pool);
int32_t dmi_pool_threads(const dmi_pool *pool);

/* Runs tasks 0 to count - 1, in the calling thread's floating-point mode, and returns when all have
 * ended. The calling thread takes part. Idle
 * threads spin for some hundred microseconds, then sleep. Must not be called from within a task. */
void dmi_parallel(dmi_pool *pool, int32_t count, dmi_task task, void *data);
/* The same without code of the program's, which allows it under a lock: where there is a
 * parallel_for, the calling thread runs all tasks. */
void dmi_parallel_locked(dmi_pool *pool, int32_t count, dmi_task task, void *data);

#endif
