/* What other programs of the machine have run meanwhile: a comparison on a busy machine is none,
 * since PyTorch's threads wait for each other actively and lose far more than ours when one of them
 * is held up. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

typedef struct load {
    double wall, busy,
        own; /* seconds: on the clock, of all processors, of this process and its reaped children */
} load;

load load_now(void);
/* Processors that others kept busy since `before`, as in 0.8; 0 where the system does not tell. */
double load_of_others(const load *before);

#endif
