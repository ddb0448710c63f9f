/* SPDX-License-Identifier: MIT */
/* The time in which a cache line goes from one thread to another and back. On processors whose
 * cores have several last-level caches it tells where the system has put the threads: 50 to 120 ns
 * within one cache, 300 and more between two. */
#include <stdalign.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "base/system.h"
#include "bench.h"
#include "core/context.h"

enum { TURNS = 2000, TRIES = 5, LINE = 64, STOP = -1 };

typedef struct table {
    /* 2 * thread: that thread is to answer; 2 * thread + 1: it has; STOP: the end. */
    alignas(LINE) atomic_int turn;
    int32_t threads;
    double slowest; /* seconds of a round trip */
} table;

static double round_trip(table *t, int32_t thread) {
    double best = 0;
    for (int try = 0; try < TRIES; try++) {
        double start = dmi_seconds();
        for (int i = 0; i < TURNS; i++) {
            atomic_store_explicit(&t->turn, 2 * thread, memory_order_release);
            while (atomic_load_explicit(&t->turn, memory_order_acquire) != 2 * thread + 1) {
            }
        }
        double seconds = (dmi_seconds() - start) / TURNS;
        if (!try || seconds < best) best = seconds;
    }
    return best;
}

static void answer(table *t, int32_t thread) {
    for (;;) {
        int turn = atomic_load_explicit(&t->turn, memory_order_acquire);
        if (turn == STOP) return;
        if (turn == 2 * thread)
            atomic_store_explicit(&t->turn, 2 * thread + 1, memory_order_release);
    }
}

/* Task 0 plays with each other one in turn. Every thread takes one, since no task ends before all
 * have begun. */
static void play(void *data, int32_t task, int32_t worker) {
    table *t = data;
    (void)worker;
    if (task) {
        answer(t, task);
        return;
    }
    for (int32_t i = 1; i < t->threads; i++) {
        double seconds = round_trip(t, i);
        if (seconds > t->slowest) t->slowest = seconds;
    }
    atomic_store_explicit(&t->turn, STOP, memory_order_release);
}

double pingpong_ns(dm_context *context) {
    table t = {.threads = dm_context_threads(context)};
    if (t.threads < 2) return 0;
    dmi_parallel(context->host.pool, t.threads, play, &t);
    return 1e9 * t.slowest;
}
