/* Where the time of a training step goes: the library's own profile. */
#include <stdio.h>
#include <stdlib.h>

#include "base/host.h"
#include "bench.h"
#include "profile_table.h"

enum { ROWS_SHOWN = 60 };

int profile_main(const bench_options *o) {
    subject s;
    subject_create(&s, &o->settings[0], true, true);
    subject_step(&s);
    subject_check(dm_context_profile_reset(s.context), s.context);
    double start = dmi_seconds();
    for (int i = 0; i < o->runs; i++) subject_step(&s);
    double step = (dmi_seconds() - start) / o->runs;
    printf("%s\nbase %d, batch %d, %dx%d, %d threads: a step of %.4f s, the mean of %d\n", dm_build_info(), s.set.base,
           s.set.batch, s.set.size, s.set.size, s.set.threads, step, o->runs);
    subject_check(print_profile(stdout, s.context, o->runs, step, ROWS_SHOWN), s.context);
    subject_destroy(&s);
    return EXIT_SUCCESS;
}
