/* SPDX-License-Identifier: MIT */
/* See profile_table.h. */
#include "console/profile_table.h"

#include <stdlib.h>
#include <string.h>

/* The arguments of print_profile. */
typedef struct table {
    FILE *to;
    double runs, seconds;
    const machine_limits *limits;
} table;

static int by_seconds(const void *a, const void *b) {
    const dm_profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* Adds up rows that differ in their shape alone. Returns the number of sums. */
static int32_t sum_by_part(dm_profile_row *sums, const dm_profile_row *rows, int32_t count) {
    int32_t sum_count = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t k = 0;
        while (k < sum_count && (strcmp(sums[k].operation, rows[i].operation) != 0 ||
                                 strcmp(sums[k].part, rows[i].part) != 0))
            k++;
        if (k == sum_count) {
            sums[sum_count++] = rows[i];
            sums[k].shape[0] = 0;
            continue;
        }
        sums[k].calls += rows[i].calls;
        sums[k].seconds += rows[i].seconds;
        sums[k].flop += rows[i].flop;
        sums[k].bytes += rows[i].bytes;
    }
    return sum_count;
}

/* Operations that are executed, where these are not the direct algorithm's: Winograd's F(4x4, 3x3)
 * takes 36 products for 144, and attention's backward pass recomputes the scores, a fifth product
 * beside four. */
static double flop_executed(const dm_profile_row *r) {
    if (!strncmp(r->part, "winograd", strlen("winograd"))) return r->flop / 4;
    if (!strcmp(r->operation, "attention") && !strcmp(r->part, "backward")) return r->flop * 5 / 4;
    return r->flop;
}

static double lower_bound(const dm_profile_row *r, const machine_limits *limits) {
    double compute = 1e-9 * flop_executed(r) / limits->gflops,
           memory = 1e-9 * r->bytes / limits->gbs;
    return compute > memory ? compute : memory;
}

static void print_row(const table *t, const dm_profile_row *r) {
    fprintf(t->to, "%-14s %-31s %-26s %7.0f %9.3f %5.1f%%", r->operation, r->part, r->shape,
            (double)r->calls / t->runs, 1e3 * r->seconds / t->runs,
            100 * r->seconds / t->runs / t->seconds);
    if (r->flop > 0 && r->seconds > 0) fprintf(t->to, " %8.1f", 1e-9 * r->flop / r->seconds);
    else fprintf(t->to, " %8s", "");
    fprintf(t->to, " %7.1f", r->seconds > 0 ? 1e-9 * r->bytes / r->seconds : 0.0);
    if (t->limits) {
        double bound = lower_bound(r, t->limits);
        fprintf(t->to, " %9.3f %5.0f%%", 1e3 * bound / t->runs,
                r->seconds > 0 ? 100 * bound / r->seconds : 0.0);
    }
    fputc('\n', t->to);
}

static void print_head(const table *t) {
    fprintf(t->to, "\n%-14s %-31s %-26s %7s %9s %6s %8s %7s", "operation", "part", "shape", "calls",
            "ms", "share", "GFLOP/s", "GB/s");
    if (t->limits) fprintf(t->to, " %9s %6s", "bound ms", "of it");
    fputc('\n', t->to);
}

/* bound: the sum of lower bounds over the rows, s. */
static void print_sums(const table *t, const dm_profile_row *sums, int32_t count, double bound) {
    double seconds = 0;
    fprintf(t->to, "\nBy operation and part");
    if (t->runs > 1) fprintf(t->to, ", calls and ms of one step, the mean of %.0f", t->runs);
    fprintf(t->to, ". GFLOP/s count the operations of the direct algorithm.");
    print_head(t);
    for (int32_t i = 0; i < count; i++) {
        print_row(t, &sums[i]);
        seconds += sums[i].seconds / t->runs;
    }
    fprintf(t->to, "%-14s %-31s %-26s %7s %9.3f %5.1f%%", "all of these", "", "", "", 1e3 * seconds,
            100 * seconds / t->seconds);
    if (t->limits)
        fprintf(t->to, " %26.3f %5.0f%%", 1e3 * bound / t->runs,
                seconds > 0 ? 100 * bound / t->runs / seconds : 0.0);
    fputc('\n', t->to);
}

static dm_status read_rows(const dm_context *context, dm_profile_row *rows, int32_t count) {
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < count; i++) {
        dm_profile_row_init(&rows[i], sizeof rows[i]);
        status = dm_context_get_profile_row(context, i, &rows[i]);
    }
    return status;
}

dm_status print_profile(FILE *to, const dm_context *context, double runs, double seconds,
                        int32_t rows_max, const machine_limits *limits) {
    const table t = {to, runs, seconds, limits};
    int32_t count;
    dm_status status = dm_context_get_profile_rows(context, &count);
    if (status || !count) return status;
    dm_profile_row *rows = malloc((size_t)count * sizeof *rows),
                   *sums = malloc((size_t)count * sizeof *sums);
    status = rows && sums ? read_rows(context, rows, count) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) {
        qsort(rows, (size_t)count, sizeof *rows, by_seconds);
        int32_t sum_count = sum_by_part(sums, rows, count);
        qsort(sums, (size_t)sum_count, sizeof *sums, by_seconds);
        double bound = 0;
        for (int32_t i = 0; limits && i < count; i++) bound += lower_bound(&rows[i], limits);
        print_sums(&t, sums, sum_count, bound);
        fprintf(to, "\nThe same by shape, the most expensive first:");
        print_head(&t);
        for (int32_t i = 0; i < count && i < rows_max; i++) print_row(&t, &rows[i]);
        if (count > rows_max) fprintf(to, "... and %d more\n", (int)(count - rows_max));
    }
    free(rows);
    free(sums);
    if (!status && (fflush(to) || ferror(to))) status = DM_ERROR_IO;
    return status;
}
