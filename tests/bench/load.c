/* SPDX-License-Identifier: MIT */
/* The times of /proc/stat less our own. */
#include "load.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/host.h"
#include "base/system.h"

static double seconds_of(int who) {
    struct rusage usage;
    if (getrusage(who, &usage)) return 0;
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    return seconds + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

load load_now(void) {
    double v[8], ticks = (double)sysconf(
                     _SC_CLK_TCK); /* user, nice, system, idle, waiting, irq, softirq, steal */
    load now = {.wall = dmi_seconds(),
                .own = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN)};
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return now;
    int read = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1, v + 2, v + 3, v + 4,
                      v + 5, v + 6, v + 7);
    if (read == 8) now.busy = (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / ticks;
    fclose(file);
    return now;
}

double load_of_others(const load *before) {
    load now = load_now();
    double others = (now.busy - before->busy) - (now.own - before->own),
           wall = now.wall - before->wall;
    return now.busy > 0 && others > 0 && wall > 0 ? others / wall : 0;
}
