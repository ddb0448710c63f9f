/* SPDX-License-Identifier: MIT */
/* See train_log.h. */
#include "train/train_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies the rows up to step `done` from the file of the run before. A row without an end was cut
 * off. Returns 0 or the reason why the file cannot be read. */
static int copy_rows(output *csv, FILE *old, uint64_t done) {
    char *line = NULL;
    size_t capacity = 0;
    errno = 0;
    while (getline(&line, &capacity, old) > 0) {
        unsigned long long step = strtoull(line, NULL, 10);
        if (step && step <= done && strchr(line, '\n')) output_print(csv, "%s", line);
        errno = 0;
    }
    int reason = errno; /* 0 at the end of the file */
    free(line);
    return reason;
}

int continue_rows(output *csv, const char *program, const char *path, const char *before,
                  const char *title, uint64_t done) {
    int unreadable = 0;
    FILE *old = done ? fopen(before, "r") : NULL;
    if (done && !old && errno != ENOENT) unreadable = errno;
    *csv = (output){0};
    int begun = !unreadable && !output_begin(csv, path, "w");
    if (begun) output_print(csv, "%s\n", title);
    if (begun && old) unreadable = copy_rows(csv, old, done);
    if (old) (void)fclose(old); /* which was only read; Windows replaces no file that is open */
    if (begun && unreadable) output_give_up(csv);
    else if (begun) output_replace(csv);
    if (unreadable) {
        fprintf(stderr, "%s: %s cannot be read: %s; move it away to continue without its rows\n",
                program, before, strerror(unreadable));
        return 1;
    }
    return output_failed(csv) && output_close(csv, program);
}

int train_log_open(output *csv, const char *program, const char *path, const char *before,
                   uint64_t done) {
    return continue_rows(csv, program, path, before,
                         "step,loss,gradient_norm,learning_rate,seconds,loss_q1,loss_q2,loss_q3,"
                         "loss_q4",
                         done);
}

void train_log_mean(const char *path, double decay, double *sum, double *weight) {
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    *sum = *weight = 0;
    if (!file) return;
    while (getline(&line, &capacity, file) > 0) {
        const char *comma = strchr(line, ',');
        if (!strtoull(line, NULL, 10) || !comma) continue;
        *sum = decay * *sum + (1 - decay) * strtod(comma + 1, NULL);
        *weight = decay * *weight + (1 - decay);
    }
    free(line);
    (void)fclose(file); /* which was only read */
}

/* Rows of steps without an image in a quarter leave it empty. */
int train_log_add(output *csv, const dm_train_stats *t) {
    output_print(csv, "%llu,%.7g,%.7g,%.7g,%.4f", (unsigned long long)t->step, t->loss,
                 t->gradient_norm, t->learning_rate, t->seconds);
    for (int q = 0; q < 4; q++) {
        output_print(csv, ",");
        if (t->quarter_images[q]) output_print(csv, "%.6g", t->quarter_loss[q]);
    }
    output_print(csv, "\n");
    return output_flush(csv); /* never behind a checkpoint */
}
