/* SPDX-License-Identifier: MIT */
/* Where the time of a training step goes: the library's profile beside the machine's limits. */
#include <stdio.h>
#include <stdlib.h>

#include "base/host.h"
#include "base/system.h"
#include "bench.h"
#include "console/profile_table.h"

enum { ROWS_SHOWN = 60 };

int profile_main(const bench_options *o) {
    workload s;
    series step = {.count = o->runs}, gflops = step, gbs = step;
    workload_create(&s, &o->settings[0], true, true);
    limit_probe *probe = limit_probe_create(s.context);
    void (*run)(workload *) = o->forward ? workload_forward : workload_step;
    if (o->forward) workload_end_training(&s);
    run(&s);
    workload_check(dm_context_profile_reset(s.context), s.context);
    double sum = 0;
    /* The limits before each step, since the speed of shared machines changes. */
    for (int i = 0; i < o->runs; i++) {
        limit_probe_run(probe, &gflops.value[i], &gbs.value[i]);
        double start = dmi_seconds();
        run(&s);
        sum += step.value[i] = dmi_seconds() - start;
    }
    summary steps = summarise(&step), products = summarise(&gflops), copies = summarise(&gbs);
    printf("%s\nbase %d, batch %d, %dx%d, %d threads: a %s of %.4f s, the mean of %d (%.4f to "
           "%.4f)\n",
           dm_build_info(), s.set.base, s.set.batch, s.set.size, s.set.size, s.set.threads,
           o->forward ? "forward pass" : "step", sum / o->runs, o->runs, steps.low, steps.high);
    printf("limits, measured before each step: products from the caches %.0f GFLOP/s (%.0f to "
           "%.0f), copies through main memory "
           "%.1f GB/s (%.1f to %.1f)\n",
           products.median, products.low, products.high, copies.median, copies.low, copies.high);
    machine_limits limits = {.gflops = products.median, .gbs = copies.median};
    workload_check(print_profile(stdout, s.context, o->runs, sum / o->runs, ROWS_SHOWN, &limits),
                   s.context);
    limit_probe_destroy(probe);
    workload_destroy(&s);
    return EXIT_SUCCESS;
}
