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

int train_log_open(output *csv, const char *program, const char *path, const char *before,
                   uint64_t done) {
    char part[OUTPUT_PATH_SIZE];
    int unreadable = 0;
    FILE *old = done ? fopen(before, "r") : NULL;
    if (done && !old && errno != ENOENT) unreadable = errno;
    if (!unreadable) {
        snprintf(part, sizeof part, "%s.part", path);
        output_open(csv, part, "w");
        output_print(csv, "step,loss,gradient_norm,learning_rate,seconds,"
                          "loss_q1,loss_q2,loss_q3,loss_q4\n");
        if (old) {
            unreadable = copy_rows(csv, old, done);
            (void)fclose(old); /* which was only read */
        }
        if (unreadable) (void)remove(part); /* if it fails, an unfinished file is left */
        else output_replace(csv, path);
    }
    if (unreadable) {
        fprintf(stderr, "%s: %s cannot be read: %s; move it away to continue without its rows\n",
                program, before, strerror(unreadable));
        output_close(csv, program);
        return 1;
    }
    return output_failed(csv) && output_close(csv, program);
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
