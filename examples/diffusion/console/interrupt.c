/* SPDX-License-Identifier: MIT */
/* See interrupt.h. */
#include "console/interrupt.h"

#include <diffusion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "console/output.h"

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may use only lock-free atomics");

enum { SAME_MS = 1000 };

static const int stopping[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOPPING = sizeof stopping / sizeof *stopping };

/* The system may run the handler on any thread that does not block signals, such as one of BLAS. */
static atomic_int noted;
static atomic_uint first_time; /* of the first signal, ms; 0: none yet */

static unsigned milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned)t.tv_sec * 1000u + (unsigned)(t.tv_nsec / 1000000);
}

static void on_signal(int number) {
    int before = errno;
    unsigned now = milliseconds() | 1, first = 0;
    if (atomic_compare_exchange_strong(&first_time, &first, now)) {
        atomic_store(&noted, number);
        write_from_handler("\nstopping; a second signal ends the program at once\n");
    } else if (now - first >= SAME_MS) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(number, &action, NULL);
        raise(number); /* pending until the handler returns */
    }
    errno = before;
}

void interrupt_begin(void) {
    struct sigaction old, handle = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&handle.sa_mask);
    for (int i = 0; i < STOPPING; i++) sigaddset(&handle.sa_mask, stopping[i]);
    for (int i = 0; i < STOPPING; i++)
        if (!sigaction(stopping[i], NULL, &old) && old.sa_handler != SIG_IGN)
            sigaction(stopping[i], &handle, NULL);
}

int interrupt_signal(void) { return atomic_load(&noted); }

int interrupt_take(void) { return atomic_exchange(&noted, 0); }

int interrupt_exit_status(int32_t status) {
    int number = interrupt_signal();
    if (status == DM_ERROR_CANCELLED && number) return 128 + number;
    return status ? 1 : 0;
}
