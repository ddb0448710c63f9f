/* SPDX-License-Identifier: MIT */
/* A process that responds to each line with a line of JSON: libdiffusion's worker or PyTorch's. It
 * runs until it is stopped, so that requests can go to several processes in turn. One that ends,
 * hangs or returns an error is reported once on stderr and gets no more requests. */
#ifndef BENCH_COPROCESS_H
#define BENCH_COPROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct coprocess {
    const char *name; /* for messages */
    const char *log;  /* the file that gets its stderr; NULL: this process's */
    pid_t pid;        /* 0: not running */
    int to, from;
    size_t used; /* bytes in `text` */
    char text[8192];
} coprocess;

/* Makes Ctrl-C, SIGTERM and SIGHUP end all processes, then this one. To be called once, before the
 * first start. */
void coprocess_guard(void);

/* Starts argv[0] and waits for its first line, which is returned; NULL: it did not start. *seconds
 * is the time from before the fork to that line. `name` and `log` must outlive the process. */
json_t *coprocess_start(coprocess *p, const char *name, char *const argv[], const char *log,
                        double *seconds);
bool coprocess_running(const coprocess *p);
/* The number under `key` in the response; if there is none, -1, and the process is stopped. */
double coprocess_request(coprocess *p, const char *request, const char *key);
/* Closes its input and waits until it ends; kills it after two seconds. */
void coprocess_stop(coprocess *p);

#endif
