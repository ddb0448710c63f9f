/* SPDX-License-Identifier: MIT */
/* See posix.h: text, variables, time, the machine's name and signals. */
#include "posix.h"

#include <errno.h>
#include <pthread.h>
#include <windows.h>

/* ---- text, variables ---- */

char *strsep(char **rest, const char *divisors) {
    char *word = *rest;
    if (!word) return NULL;
    char *end = word + strcspn(word, divisors);
    *rest = *end ? end + 1 : NULL;
    *end = 0;
    return word;
}

int setenv(const char *name, const char *value, int replace) {
    if (!replace && getenv(name)) return 0;
    return _putenv_s(name, value) ? -1 : 0;
}

int unsetenv(const char *name) { return _putenv_s(name, "") ? -1 : 0; }

ssize_t getline(char **line, size_t *capacity, FILE *file) {
    size_t length = 0;
    for (;;) {
        if (length + 2 > *capacity) {
            const size_t larger = *capacity ? 2 * *capacity : 128;
            char *grown = realloc(*line, larger);
            if (!grown) {
                errno = ENOMEM;
                return -1;
            }
            *line = grown;
            *capacity = larger;
        }
        const int c = getc(file);
        if (c == EOF && (length == 0 || ferror(file))) return -1;
        if (c != EOF) (*line)[length++] = (char)c;
        (*line)[length] = 0;
        if (c == EOF || c == '\n') return (ssize_t)length;
    }
}

void *memmem(const void *bytes, size_t size, const void *wanted, size_t length) {
    for (size_t at = 0; at + length <= size; at++)
        if (!memcmp((const char *)bytes + at, wanted, length)) return (char *)bytes + at;
    return NULL;
}

/* ---- time, the machine ---- */

int windows_timespec_get(struct timespec *time, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, time) ? base : 0;
}

int gethostname(char *name, size_t capacity) {
    wchar_t wide[256];
    DWORD length = sizeof wide / sizeof *wide;
    if (GetComputerNameExW(ComputerNamePhysicalDnsHostname, wide, &length) &&
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, name, (int)capacity, NULL, NULL))
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

/* ---- signals ---- */

static void (*handlers[NSIG])(int);

/* Windows forgets a handler when it calls it. */
static void call_handler(int number) {
    signal(number, call_handler);
    handlers[number](number);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    if (number < 0 || number >= NSIG) {
        errno = EINVAL;
        return -1;
    }
    if (old) *old = (struct sigaction){.sa_handler = handlers[number]};
    if (!action) return 0;
    const int plain = action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN;
    handlers[number] = action->sa_handler;
    return signal(number, plain ? action->sa_handler : call_handler) == SIG_ERR ? -1 : 0;
}

const char *strsignal(int number) {
    switch (number) {
        case SIGINT: return "Interrupt";
        case SIGTERM: return "Terminated";
        case SIGHUP: return "Hangup";
        default: return "Unknown signal";
    }
}
