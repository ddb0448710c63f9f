/* SPDX-License-Identifier: MIT */
/* The load of other programs during a comparison. A comparison on a busy machine is invalid:
 * PyTorch's threads wait for each other actively, and lose far more time than libdiffusion's when
 * one of them is delayed. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

typedef struct load {
    double wall, busy,
        own; /* seconds: on the clock, of all processors, of this process and its reaped children */
} load;

load load_now(void);
/* Processors that others used since `before`, as in 0.8; 0 if the system does not report it. */
double load_of_others(const load *before);

#endif
