/* A process that answers lines with lines of JSON: libdiffusion's side or PyTorch's. It stays until
 * it is stopped, so that both sides can be asked in turn. One that dies, hangs or refuses is told
 * once on stderr and is not asked again. */
#ifndef BENCH_COPROCESS_H
#define BENCH_COPROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct coprocess {
    const char *name; /* for messages */
    const char *log;  /* the file that gets its stderr; NULL: ours */
    pid_t pid;        /* 0: not running */
    int to, from;
    size_t used; /* bytes in `text` */
    char text[8192];
} coprocess;

/* Ctrl-C and SIGTERM end all that is running, then this process. To be called once, before any
 * start. */
void coprocess_guard(void);

/* Starts argv[0], waits for its first line, and sets *seconds to the time from before the fork
 * until that line, which is returned; NULL: it did not start. `name` and `log` must outlive the
 * process. */
json_t *coprocess_start(coprocess *p, const char *name, char *const argv[], const char *log,
                        double *seconds);
bool coprocess_running(const coprocess *p);
/* The number that stands under `key` in the answer; -1, and the process is stopped, where there is
 * none. */
double coprocess_ask(coprocess *p, const char *request, const char *key);
/* Closes its input and waits until it ends, or ends it. */
void coprocess_stop(coprocess *p);

#endif
