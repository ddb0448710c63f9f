/* SPDX-License-Identifier: MIT */
/* The parts of check_kill, the case that runs, and the totals. A case has a name, which selects it
 * with -c and is printed with its failures. */
#ifndef KILL_RUN_H
#define KILL_RUN_H

#include <stdbool.h>
#include <stdint.h>

enum { PATH_SIZE = 512, FAILURES_MAX = 20 };

typedef struct run_options {
    int32_t kills;    /* at random */
    uint64_t seed;    /* of the delays before them */
    const char *part; /* of the names of the cases that run, or NULL */
    bool verbose;
    const char *build, *folder;
} run_options;

/* In memory that is shared with child processes. */
typedef struct run_totals {
    int64_t random_kills, program_kills, kill_points, failing_calls, full_disks, failures;
} run_totals;

extern run_options options;
extern run_totals *totals;

/* Gives the case its name. Whether it runs: it is selected and its part has not too many failures.
 */
__attribute__((format(printf, 1, 2))) bool run_case(const char *format, ...);
/* Whether every case runs. */
bool run_is_whole(void);
/* Reports a failure of the case. */
__attribute__((format(printf, 1, 2))) void run_fail(const char *format, ...);
/* Says on standard output that something is left out, and why. */
void run_leave_out(const char *what, const char *why);
/* An unusable environment ends the program. */
void run_require(bool condition, const char *what);
/* The path of an empty folder with this name in options.folder. */
void run_folder(char path[PATH_SIZE], const char *name);

/* Number `index` of the stream `stream` of the seed, from 0 to below - 1. */
uint64_t run_random(uint64_t stream, uint64_t index, uint64_t below);
double run_seconds(void);
void run_sleep(double seconds);

/* Kills processes that train and save, after random delays. */
void random_kills(void);
/* Kills a process at every system call of a save, and within every write. */
void kill_points(void);
/* Lets every call of a save fail. */
void failing_calls(void);
/* Saves to disks and below limits of the size of a file that end at every tensor. */
void full_disks(void);
/* Kills diffusion train and resumes it. */
void program_kills(void);

#endif
