#include "profile_table.h"

#include <stdlib.h>
#include <string.h>

static int dearest(const void *a, const void *b) {
    const dm_profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* Takes the rows out of the context; NULL where there are none. */
static dm_profile_row *read_rows(const dm_context *context, int32_t *count) {
    if (dm_context_profile_rows(context, count) || *count == 0) return NULL;
    dm_profile_row *rows = calloc((size_t)*count, sizeof *rows);
    for (int32_t i = 0; rows && i < *count; i++) {
        rows[i].struct_size = sizeof rows[i];
        dm_context_profile_row(context, i, &rows[i]);
    }
    return rows;
}

/* Rows that differ in their shape only become one; returns how many there are then. */
static int32_t add_up(dm_profile_row *sums, const dm_profile_row *rows, int32_t count) {
    int32_t kinds = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t k = 0;
        while (k < kinds &&
               (strcmp(sums[k].operation, rows[i].operation) || strcmp(sums[k].part, rows[i].part)))
            k++;
        if (k == kinds) {
            sums[kinds++] = rows[i];
            sums[k].shape[0] = 0;
            continue;
        }
        sums[k].calls += rows[i].calls;
        sums[k].seconds += rows[i].seconds;
        sums[k].flop += rows[i].flop;
        sums[k].bytes += rows[i].bytes;
    }
    return kinds;
}

/* Operations that are done where the library's way does not do as many as the plain algorithm:
 * Winograd's products of 36 positions stand for 144, and attention's backward makes the scores
 * again, the fifth product beside four. */
static double flop_done(const dm_profile_row *r) {
    if (!strncmp(r->part, "winograd", strlen("winograd"))) return r->flop / 4;
    if (!strcmp(r->operation, "attention") && !strcmp(r->part, "backward")) return r->flop * 5 / 4;
    return r->flop;
}

static double least_seconds(const dm_profile_row *r, const machine_limits *limits) {
    double products = 1e-9 * flop_done(r) / limits->gflops, memory = 1e-9 * r->bytes / limits->gbs;
    return products > memory ? products : memory;
}

static void print_row(FILE *to, const dm_profile_row *r, double times, double seconds,
                      const machine_limits *limits) {
    fprintf(to, "%-14s %-26s %-26s %7.0f %9.3f %5.1f%%", r->operation, r->part, r->shape,
            (double)r->calls / times, 1e3 * r->seconds / times, 100 * r->seconds / times / seconds);
    if (r->flop > 0 && r->seconds > 0) fprintf(to, " %8.1f", 1e-9 * r->flop / r->seconds);
    else fprintf(to, " %8s", "");
    fprintf(to, " %7.1f", r->seconds > 0 ? 1e-9 * r->bytes / r->seconds : 0.0);
    if (limits) {
        double least = least_seconds(r, limits);
        fprintf(to, " %9.3f %5.0f%%", 1e3 * least / times,
                r->seconds > 0 ? 100 * least / r->seconds : 0.0);
    }
    fputc('\n', to);
}

static void print_head(FILE *to, const machine_limits *limits) {
    fprintf(to, "\n%-14s %-26s %-26s %7s %9s %6s %8s %7s", "operation", "part", "shape", "calls",
            "ms", "share", "GFLOP/s", "GB/s");
    if (limits) fprintf(to, " %9s %6s", "least ms", "of it");
    fputc('\n', to);
}

int32_t print_profile(FILE *to, const dm_context *context, double times, double seconds,
                      int32_t most, const machine_limits *limits) {
    int32_t count, status = dm_context_profile_rows(context, &count);
    if (status) return status;
    dm_profile_row *rows = read_rows(context, &count),
                   *sums = count ? calloc((size_t)count, sizeof *sums) : NULL;
    if (rows && sums) {
        int32_t kinds = add_up(sums, rows, count);
        double told = 0, least = 0;
        qsort(rows, (size_t)count, sizeof *rows, dearest);
        qsort(sums, (size_t)kinds, sizeof *sums, dearest);
        if (times > 1)
            fprintf(to, "\nBy operation and part, calls and ms of one step, the mean of %.0f.",
                    times);
        else fprintf(to, "\nBy operation and part.");
        fprintf(to, " To x, to weights: the gradient's way there; winograd: in 4x4 tiles, its "
                    "GFLOP/s counted as if without.");
        print_head(to, limits);
        for (int32_t i = 0; i < kinds; i++) {
            print_row(to, &sums[i], times, seconds, limits);
            told += sums[i].seconds / times;
        }
        for (int32_t i = 0; limits && i < count; i++)
            least += least_seconds(&rows[i], limits) / times;
        fprintf(to, "%-14s %-26s %-26s %7s %9.3f %5.1f%%", "all of these", "", "", "", 1e3 * told,
                100 * told / seconds);
        if (limits)
            fprintf(to, " %26.3f %5.0f%%", 1e3 * least, told > 0 ? 100 * least / told : 0.0);
        fprintf(to, "\n\nThe same by shape, the dearest first:");
        print_head(to, limits);
        for (int32_t i = 0; i < count && i < most; i++)
            print_row(to, &rows[i], times, seconds, limits);
        if (count > most) fprintf(to, "... and %d more\n", (int)(count - most));
    }
    free(rows);
    free(sums);
    return DM_OK;
}
