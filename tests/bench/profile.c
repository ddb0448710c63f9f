/* Where the time of a training step goes: the library's own profile, a row for each operation, the dearest first. */
#include <stdio.h>
#include <stdlib.h>

#include "base/host.h"
#include "bench.h"

static int dearest(const void *a, const void *b) {
    const dm_profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* Takes the rows out of the context; NULL where there are none. */
static dm_profile_row *read_rows(const dm_context *context, int32_t *count) {
    subject_check(dm_context_profile_rows(context, count), context);
    dm_profile_row *rows = calloc((size_t)*count + 1, sizeof *rows);
    for (int32_t i = 0; rows && i < *count; i++) {
        rows[i].struct_size = sizeof rows[i];
        subject_check(dm_context_profile_row(context, i, &rows[i]), context);
    }
    return rows;
}

int profile_main(const bench_options *o) {
    subject s;
    int32_t count = 0;
    subject_create(&s, &o->settings[0], true, true);
    subject_step(&s);
    subject_check(dm_context_profile_reset(s.context), s.context);
    double start = dmi_seconds();
    for (int i = 0; i < o->runs; i++) subject_step(&s);
    double step = (dmi_seconds() - start) / o->runs, told = 0;
    dm_profile_row *rows = read_rows(s.context, &count);
    if (!rows) return EXIT_FAILURE;
    qsort(rows, (size_t)count, sizeof *rows, dearest);
    printf("%s\nbase %d, batch %d, %dx%d, %d threads: a step of %.4f s, the mean of %d\n\n", dm_build_info(), s.set.base,
           s.set.batch, s.set.size, s.set.size, s.set.threads, step, o->runs);
    printf("%-14s %-26s %-30s %6s %9s %6s %9s %9s\n", "operation", "part", "shape", "calls", "ms a step", "share", "GFLOP/s",
           "GB/s");
    for (int32_t i = 0; i < count; i++) {
        const dm_profile_row *r = &rows[i];
        double seconds = r->seconds / o->runs;
        told += seconds;
        printf("%-14s %-26s %-30s %6.0f %9.3f %5.1f%% ", r->operation, r->part, r->shape, (double)r->calls / o->runs,
               1e3 * seconds, 100 * seconds / step);
        if (r->flop > 0) printf("%9.1f ", 1e-9 * r->flop / r->seconds);
        else printf("%9s ", "-");
        if (r->bytes > 0) printf("%9.1f\n", 1e-9 * r->bytes / r->seconds);
        else printf("%9s\n", "-");
    }
    printf("%-14s %-26s %-30s %6s %9.3f %5.1f%%\n", "all of these", "", "", "", 1e3 * told, 100 * told / step);
    free(rows);
    subject_destroy(&s);
    return EXIT_SUCCESS;
}
