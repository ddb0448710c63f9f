/* SPDX-License-Identifier: MIT */
/* See system_calls.h. */
#include "support/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without a prototype in a header: the linker's names. */
int __real_open(const char *path, int flags, ...);
int __real_fcntl(int descriptor, int command, ...);
int __real_close(int descriptor);
int __real_fstat(int descriptor, struct stat *about);
int __real_lstat(const char *path, struct stat *about);
int __real_fsync(int descriptor);
int __real_flock(int descriptor, int operation);
ssize_t __real_read(int descriptor, void *bytes, size_t size);
ssize_t __real_pread(int descriptor, void *bytes, size_t size, off_t offset);
ssize_t __real_pwrite(int descriptor, const void *bytes, size_t size, off_t offset);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *user);
int __wrap_open(const char *path, int flags, ...);
int __wrap_fcntl(int descriptor, int command, ...);
int __wrap_close(int descriptor);
int __wrap_fstat(int descriptor, struct stat *about);
int __wrap_lstat(const char *path, struct stat *about);
int __wrap_fsync(int descriptor);
int __wrap_flock(int descriptor, int operation);
ssize_t __wrap_read(int descriptor, void *bytes, size_t size);
ssize_t __wrap_pread(int descriptor, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int descriptor, const void *bytes, size_t size, off_t offset);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *user);

static struct {
    _Atomic bool active;
    test_call call;
    int32_t first, count;
    int error; /* 0: they end early */
    void (*hook)(void *user);
    void *user;
    _Atomic int32_t calls, changed;
} request;

static void start(test_call call, int32_t first, int32_t count, int error) {
    test_calls_end();
    request.call = call;
    request.first = first;
    request.count = count;
    request.error = error;
    request.hook = NULL;
    request.active = true;
}

void test_calls_fail(test_call call, int32_t first, int32_t count, int error) {
    start(call, first, count, error);
}

void test_calls_end_early(test_call call, int32_t first, int32_t count) {
    start(call, first, count, 0);
}

void test_calls_precede(test_call call, int32_t number, void (*hook)(void *user), void *user) {
    start(call, number, 1, 0);
    request.user = user;
    request.hook = hook;
}

int32_t test_calls_end(void) {
    request.active = false;
    request.calls = 0;
    return atomic_exchange(&request.changed, 0);
}

/* Whether this call of `call` is changed: then *result is what it returns. */
static bool changed(test_call call, ssize_t *result) {
    if (!request.active || request.call != call) return false;
    const int32_t number = request.calls++;
    if (number < request.first || number - request.first >= request.count) return false;
    request.changed++;
    if (request.hook) {
        request.active = false; /* the hook's own calls are not meant */
        request.hook(request.user);
        return false;
    }
    *result = request.error ? -1 : 0;
    if (request.error) errno = request.error;
    return true;
}

/* ---- the calls ---- */

int __wrap_open(const char *path, int flags, ...) {
    ssize_t result;
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return changed(TEST_OPEN, &result) ? (int)result : __real_open(path, flags, mode);
}

int __wrap_fcntl(int descriptor, int command, ...) {
    ssize_t result;
    va_list more;
    va_start(more, command);
    void *value = va_arg(more, void *); /* as wide as any argument */
    va_end(more);
    return changed(TEST_FCNTL, &result) ? (int)result : __real_fcntl(descriptor, command, value);
}

int __wrap_close(int descriptor) {
    ssize_t result;
    if (!changed(TEST_CLOSE, &result)) return __real_close(descriptor);
    __real_close(descriptor);
    errno = request.error;
    return (int)result;
}

int __wrap_fstat(int descriptor, struct stat *about) {
    ssize_t result;
    return changed(TEST_FSTAT, &result) ? (int)result : __real_fstat(descriptor, about);
}

int __wrap_lstat(const char *path, struct stat *about) {
    ssize_t result;
    return changed(TEST_LSTAT, &result) ? (int)result : __real_lstat(path, about);
}

int __wrap_fsync(int descriptor) {
    ssize_t result;
    return changed(TEST_FSYNC, &result) ? (int)result : __real_fsync(descriptor);
}

int __wrap_flock(int descriptor, int operation) {
    ssize_t result;
    return changed(TEST_FLOCK, &result) ? (int)result : __real_flock(descriptor, operation);
}

ssize_t __wrap_read(int descriptor, void *bytes, size_t size) {
    ssize_t result;
    return changed(TEST_READ, &result) ? result : __real_read(descriptor, bytes, size);
}

ssize_t __wrap_pread(int descriptor, void *bytes, size_t size, off_t offset) {
    ssize_t result;
    return changed(TEST_PREAD, &result) ? result : __real_pread(descriptor, bytes, size, offset);
}

ssize_t __wrap_pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    ssize_t result;
    return changed(TEST_PWRITE, &result) ? result : __real_pwrite(descriptor, bytes, size, offset);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*begin)(void *), void *user) {
    ssize_t result;
    if (changed(TEST_PTHREAD_CREATE, &result)) return request.error;
    return __real_pthread_create(thread, attributes, begin, user);
}
