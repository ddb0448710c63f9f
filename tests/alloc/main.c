/* SPDX-License-Identifier: MIT */
/* check_alloc [-v] [-c PART] MAP FOLDER: refuses allocations in every public function that MAP, the
 * linker's version script, lists. Files go to FOLDER. -v prints each series, -c runs only the cases
 * whose names contain PART. */
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"

static const alloc_case *const tables[] = {cases_values,  cases_objects, cases_schedule,
                                           cases_unet,    cases_dataset, cases_trainer,
                                           cases_sampler, cases_image,   cases_damaged,
                                           cases_names};

int main(int argc, char **argv) {
    bool verbose = false;
    const char *part = NULL;
    for (int option; (option = getopt(argc, argv, "vc:")) != -1;) {
        if (option == 'v') verbose = true;
        else if (option == 'c') part = optarg;
        else return 2;
    }
    if (argc - optind != 2 || strlen(argv[optind + 1]) > 100) {
        fprintf(stderr, "usage: check_alloc [-v] [-c PART] MAP FOLDER\n");
        return 2;
    }
    const int32_t functions = run_read_functions(argv[optind]);
    if (!functions) {
        fprintf(stderr, "check-alloc: %s lists no functions\n", argv[optind]);
        return 2;
    }
    void *frame;
    backtrace(&frame, 1); /* loads the unwinder, which allocates */

    char folder[PATH_SIZE];
    run_totals totals = {0};
    snprintf(folder, sizeof folder, "%s/files", argv[optind + 1]);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const alloc_case *c = tables[t]; c->name; c++)
            if (!part || strstr(c->name, part)) run_case(c, folder, verbose, &totals);
    if (!part || strstr("limits", part)) totals.failures += limits_run(folder, verbose);
    if (!part) totals.failures += run_report_uncovered();
    printf("check-alloc: %d functions, %lld refusals through the hooks, %lld of the process's "
           "allocations, %lld failures\n",
           (int)functions, (long long)totals.refusals[REFUSE_HOOKS],
           (long long)totals.refusals[REFUSE_PROCESS], (long long)totals.failures);
    return totals.failures ? 1 : 0;
}
