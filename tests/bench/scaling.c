/* SPDX-License-Identifier: MIT */
/* What more threads would gain, where there are none to measure: every task of a step, or of a
 * forward pass, is timed on one thread, and the schedule of the pool is simulated with these times
 * for 1 to 64 threads. The partition is that for as many threads. Three limits are added to it: the
 * part outside of all jobs, which stays serial; a cost of each job that grows with the threads; and
 * the memory's bandwidth. The linker gives this file the calls of dmi_parallel and
 * dmi_profile_span (--wrap). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "base/pool.h"
#include "base/profile.h"
#include "base/system.h"
#include "bench.h"

void __real_dmi_parallel(dmi_pool *pool, int32_t count, dmi_task task, void *data);
void __wrap_dmi_parallel(dmi_pool *pool, int32_t count, dmi_task task, void *data);
void __real_dmi_profile_span(struct dmi_profile *profile, const dmi_work *work);
void __wrap_dmi_profile_span(struct dmi_profile *profile, const dmi_work *work);

enum { COUNTS = 7, LABELS_MAX = 64, LABEL = 64, REPEATS = 5 };
static const int32_t thread_counts[COUNTS] = {1, 2, 4, 8, 16, 32, 64};

/* Of a job: waking, and the threads' leaving it one after another, each some way of a cache line.
 * And a server's memory, per second. */
static const double JOB_SECONDS = 0.3e-6, LEAVE_SECONDS = 0.1e-6, BYTES = 200e9;

typedef struct label {
    char text[LABEL];
    int32_t jobs, tasks_min, tasks_max; /* with 64 threads */
    double seconds[COUNTS];             /* predicted */
} label;

/* A job, or with `work` the end of what the jobs before it were for. */
typedef struct event {
    int32_t count;
    size_t first; /* in record.seconds */
    const char *name, *algorithm, *part;
    double bytes;
} event;

/* The events of one run, with each task's shortest time of several: a shared machine interrupts
 * some of them. */
static struct {
    bool on;
    event *events;
    double *seconds;
    size_t event_count, task_count, event_capacity, task_capacity;
    size_t event, task; /* the next ones, in a run that repeats the first */
    double inside;      /* seconds in jobs */
    label labels[LABELS_MAX];
    int count;
} record;

static void *larger(void *block, size_t count, size_t *capacity, size_t element) {
    if (count <= *capacity) return block;
    *capacity = 2 * count;
    block = realloc(block, *capacity * element);
    if (!block) exit(EXIT_FAILURE);
    return block;
}

static void add_event(event e) {
    if (record.event++ < record.event_count) return;
    record.events =
        larger(record.events, record.event, &record.event_capacity, sizeof *record.events);
    record.events[record.event_count++] = e;
}

static void add_time(double seconds) {
    size_t i = record.task++;
    if (i < record.task_count) {
        if (seconds < record.seconds[i]) record.seconds[i] = seconds;
        return;
    }
    record.seconds =
        larger(record.seconds, record.task, &record.task_capacity, sizeof *record.seconds);
    record.seconds[record.task_count++] = seconds;
}

/* The end of the last of `count` tasks on `threads` threads: each takes its own share in order,
 * then what is left of the next shares. */
static double makespan(const double *seconds, int32_t count, int32_t threads) {
    double free_at[64] = {0}, end = 0;
    int32_t next[64], last[64];
    for (int32_t i = 0; i < threads; i++) {
        next[i] = (int32_t)(((int64_t)i * count + threads - 1) / threads);
        last[i] = (int32_t)(((int64_t)(i + 1) * count + threads - 1) / threads);
    }
    for (int32_t done = 0; done < count; done++) {
        int32_t worker = 0, share;
        for (int32_t i = 1; i < threads; i++)
            if (free_at[i] < free_at[worker]) worker = i;
        for (share = worker; next[share] >= last[share];) share = (share + 1) % threads;
        free_at[worker] += seconds[next[share]++];
        if (free_at[worker] > end) end = free_at[worker];
    }
    return end;
}

void __wrap_dmi_parallel(dmi_pool *pool, int32_t count, dmi_task task, void *data) {
    if (!record.on || count < 1) {
        __real_dmi_parallel(pool, count, task, data);
        return;
    }
    double start = dmi_seconds(), before = start;
    add_event((event){.count = count, .first = record.task});
    for (int32_t i = 0; i < count; i++) {
        task(data, i, 0);
        double now = dmi_seconds();
        add_time(now - before);
        before = now;
    }
    record.inside += before - start;
}

/* The jobs since the last span are those of this one. */
void __wrap_dmi_profile_span(struct dmi_profile *profile, const dmi_work *work) {
    __real_dmi_profile_span(profile, work);
    if (record.on)
        add_event((event){.name = work->name,
                          .algorithm = work->algorithm,
                          .part = work->part,
                          .bytes = work->bytes});
}

static label *label_of(const event *e) {
    char text[LABEL];
    snprintf(text, sizeof text, "%s%s%s%s%s", e->name, e->algorithm ? " " : "",
             e->algorithm ? e->algorithm : "", e->part ? " " : "", e->part ? e->part : "");
    for (int i = 0; i < record.count; i++)
        if (!strcmp(record.labels[i].text, text)) return &record.labels[i];
    if (record.count == LABELS_MAX) exit(EXIT_FAILURE);
    label *l = &record.labels[record.count++];
    memset(l, 0, sizeof *l);
    memcpy(l->text, text, sizeof text);
    return l;
}

/* Adds the prediction for thread_counts[index] to the labels. */
static void predict(int index) {
    const int32_t threads = thread_counts[index];
    double seconds = 0;
    int32_t jobs = 0, low = 0, high = 0;
    for (size_t i = 0; i < record.event_count; i++) {
        const event *e = &record.events[i];
        if (!e->name) {
            seconds += makespan(record.seconds + e->first, e->count, threads);
            if (e->count > 1 && threads > 1)
                seconds += JOB_SECONDS + LEAVE_SECONDS * dmi_min(e->count, threads);
            low = jobs++ ? dmi_min(low, e->count) : e->count;
            high = dmi_max(high, e->count);
            continue;
        }
        label *l = label_of(e);
        double least = e->bytes / BYTES;
        l->seconds[index] += seconds > least ? seconds : least;
        if (index == COUNTS - 1 && jobs) {
            l->tasks_min = l->jobs ? dmi_min(l->tasks_min, low) : low;
            l->tasks_max = dmi_max(l->tasks_max, high);
            l->jobs += jobs;
        }
        seconds = 0;
        jobs = low = high = 0;
    }
}

/* Seconds of a run outside of its jobs: the shortest of several. */
static double measure(const bench_options *o, int32_t threads) {
    setting set = o->settings[0];
    set.threads = threads;
    workload s;
    workload_create(&s, &set, true, true);
    void (*run)(workload *) = o->forward ? workload_forward : workload_step;
    if (o->forward) workload_end_training(&s);
    run(&s);
    double outside = -1;
    record.event_count = record.task_count = 0;
    record.on = true;
    for (int i = 0; i < REPEATS; i++) {
        record.event = record.task = 0;
        record.inside = 0;
        double start = dmi_seconds();
        run(&s);
        double rest = dmi_seconds() - start - record.inside;
        if (outside < 0 || rest < outside) outside = rest;
    }
    record.on = false;
    workload_destroy(&s);
    return outside;
}

static int by_time(const void *a, const void *b) {
    const label *x = a, *y = b;
    return (x->seconds[COUNTS - 1] < y->seconds[COUNTS - 1]) -
           (x->seconds[COUNTS - 1] > y->seconds[COUNTS - 1]);
}

int scaling_main(const bench_options *o) {
    double serial[COUNTS], all[COUNTS] = {0};
    for (int i = 0; i < COUNTS; i++) {
        serial[i] = measure(o, thread_counts[i]);
        predict(i);
    }
    free(record.events);
    free(record.seconds);
    for (int i = 0; i < COUNTS; i++) {
        for (int k = 0; k < record.count; k++) all[i] += record.labels[k].seconds[i];
        all[i] += serial[i];
    }
    qsort(record.labels, (size_t)record.count, sizeof *record.labels, by_time);
    const setting *set = &o->settings[0];
    printf("base %d, batch %d, %dx%d: a %s predicted from the times of its tasks on one thread; "
           "%.1f us and %.1f us a thread for each job, %.0f GB/s\n",
           set->base, set->batch, set->size, set->size, o->forward ? "forward pass" : "step",
           JOB_SECONDS * 1e6, LEAVE_SECONDS * 1e6, BYTES / 1e9);
    printf("%-46s %5s %13s", "", "jobs", "tasks");
    for (int i = 0; i < COUNTS; i++) printf(" %7d", thread_counts[i]);
    printf("\n");
    for (int k = 0; k < record.count; k++) {
        const label *l = &record.labels[k];
        printf("%-46s %5d %5d to %4d", l->text, l->jobs, l->tasks_min, l->tasks_max);
        for (int i = 0; i < COUNTS; i++) printf(" %7.2f", l->seconds[i] * 1e3);
        printf("\n");
    }
    printf("%-46s %5s %13s", "outside of jobs, ms", "", "");
    for (int i = 0; i < COUNTS; i++) printf(" %7.2f", serial[i] * 1e3);
    printf("\n%-46s %5s %13s", "all, ms", "", "");
    for (int i = 0; i < COUNTS; i++) printf(" %7.2f", all[i] * 1e3);
    printf("\n%-46s %5s %13s", "speed over one thread", "", "");
    for (int i = 0; i < COUNTS; i++) printf(" %7.2f", all[0] / all[i]);
    printf("\n");
    return EXIT_SUCCESS;
}
