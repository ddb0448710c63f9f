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
        while (k < kinds && (strcmp(sums[k].operation, rows[i].operation) || strcmp(sums[k].part, rows[i].part))) k++;
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

static void print_row(FILE *to, const dm_profile_row *r, double times, double seconds) {
    fprintf(to, "%-14s %-26s %-26s %7.0f %9.3f %5.1f%%", r->operation, r->part, r->shape, (double)r->calls / times,
            1e3 * r->seconds / times, 100 * r->seconds / times / seconds);
    if (r->flop > 0 && r->seconds > 0) fprintf(to, " %8.1f", 1e-9 * r->flop / r->seconds);
    else fprintf(to, " %8s", "");
    fprintf(to, " %7.1f\n", r->seconds > 0 ? 1e-9 * r->bytes / r->seconds : 0.0);
}

static void print_head(FILE *to) {
    fprintf(to, "\n%-14s %-26s %-26s %7s %9s %6s %8s %7s\n", "operation", "part", "shape", "calls", "ms", "share", "GFLOP/s", "GB/s");
}

int32_t print_profile(FILE *to, const dm_context *context, double times, double seconds, int32_t most) {
    int32_t count, status = dm_context_profile_rows(context, &count);
    if (status) return status;
    dm_profile_row *rows = read_rows(context, &count), *sums = count ? calloc((size_t)count, sizeof *sums) : NULL;
    if (rows && sums) {
        int32_t kinds = add_up(sums, rows, count);
        double told = 0;
        qsort(rows, (size_t)count, sizeof *rows, dearest);
        qsort(sums, (size_t)kinds, sizeof *sums, dearest);
        print_head(to);
        for (int32_t i = 0; i < kinds; told += sums[i++].seconds / times) print_row(to, &sums[i], times, seconds);
        fprintf(to, "%-14s %-26s %-26s %7s %9.3f %5.1f%%\n", "all of these", "", "", "", 1e3 * told, 100 * told / seconds);
        print_head(to);
        for (int32_t i = 0; i < count && i < most; i++) print_row(to, &rows[i], times, seconds);
        if (count > most) fprintf(to, "... and %d more\n", (int)(count - most));
    }
    free(rows);
    free(sums);
    return DM_OK;
}
