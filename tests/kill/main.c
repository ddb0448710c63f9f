/* SPDX-License-Identifier: MIT */
/* check_kill [-v] [-n COUNT] [-s SEED] [-c PART] BUILD FOLDER: kills and disturbs saves of the
 * shared library, and kills BUILD/diffusion. Files go to FOLDER. -n is the number of random
 * kills of saves, ten times that of the program; -s the seed of their delays; -c runs only the
 * cases whose names contain PART. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "run.h"

run_options options = {.kills = 200, .seed = 1};
run_totals *totals;

static char case_name[200];
static int64_t failures_before; /* of the part that runs */

bool run_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(case_name, sizeof case_name, format, arguments);
    va_end(arguments);
    if (totals->failures - failures_before >= FAILURES_MAX) return false;
    return !options.part || strstr(case_name, options.part);
}

bool run_is_whole(void) {
    return !options.part && totals->failures - failures_before < FAILURES_MAX;
}

void run_fail(const char *format, ...) {
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr,
            "check-kill: FAILED: %s: %s\n"
            "  again: make check-kill KILL_COUNT=%d KILL_OPTIONS=\"-s %llu -c '%s'\"\n",
            case_name, text, (int)options.kills, (unsigned long long)options.seed, case_name);
    totals->failures++;
}

void run_leave_out(const char *what, const char *why) {
    printf("check-kill: left out: %s: %s\n", what, why);
    fflush(stdout);
}

void run_require(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "check-kill: cannot test: ");
    perror(what);
    _exit(3);
}

void run_folder(char path[PATH_SIZE], const char *name) {
    snprintf(path, PATH_SIZE, "%.300s/%.100s", options.folder, name);
    folder_empty(path);
}

/* splitmix64 (Steele et al. 2014). */
static uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t run_random(uint64_t stream, uint64_t index, uint64_t below) {
    return mix(mix(mix(options.seed) + stream) + index) % below;
}

double run_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void run_sleep(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0) {
    }
}

static void run_part(const char *name, void (*part)(void)) {
    const double start = run_seconds();
    failures_before = totals->failures;
    part();
    if (options.verbose) printf("check-kill: %s: %.1f s\n", name, run_seconds() - start);
    fflush(stdout);
}

int main(int argc, char **argv) {
    char *end = "";
    for (int option; (option = getopt(argc, argv, "vn:s:c:")) != -1;) {
        if (option == 'v') options.verbose = true;
        else if (option == 'n') options.kills = (int32_t)strtol(optarg, &end, 10);
        else if (option == 's') options.seed = strtoull(optarg, &end, 10);
        else if (option == 'c') options.part = optarg;
        else return 2;
        if (*end || options.kills < 0 || options.kills > 1000000) optind = argc + 1;
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: check_kill [-v] [-n COUNT] [-s SEED] [-c PART] BUILD FOLDER\n");
        return 2;
    }
    options.build = argv[optind];
    options.folder = argv[optind + 1];
    totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run_require(totals != MAP_FAILED, "mmap");

    run_part("kill points", kill_points);
    run_part("failing calls", failing_calls);
    run_part("full disks", full_disks);
    run_part("random kills", random_kills);
    run_part("kills of diffusion train", program_kills);
    printf("check-kill: %lld random kills, %lld kill points, %lld failing calls, %lld full disks, "
           "%lld kills of diffusion train, %lld failures\n",
           (long long)totals->random_kills, (long long)totals->kill_points,
           (long long)totals->failing_calls, (long long)totals->full_disks,
           (long long)totals->program_kills, (long long)totals->failures);
    return totals->failures ? 1 : 0;
}
