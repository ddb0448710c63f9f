/* SPDX-License-Identifier: MIT */
/* System calls that fail on request, since a test cannot make the system fail. The test program is
 * linked so that calls from the library and the tests come here: see WRAPPED in tests/tests.mk. One
 * request at a time, from the thread that made it or one that it starts. */
#ifndef DM_TESTS_SYSTEM_CALLS_H
#define DM_TESTS_SYSTEM_CALLS_H

#include <stddef.h>
#include <stdint.h>

typedef enum test_call {
    TEST_OPEN,
    TEST_FCNTL,
    TEST_CLOSE, /* closes, also where it fails */
    TEST_FSTAT,
    TEST_LSTAT,
    TEST_FSYNC,
    TEST_FLOCK,
    TEST_READ,
    TEST_PREAD,
    TEST_PWRITE,
    TEST_PTHREAD_CREATE
} test_call;

/* Calls `first` to first + count - 1 of `call`, counted from 0 at this request, fail with the errno
 * `error`. */
void test_calls_fail(test_call call, int32_t first, int32_t count, int error);
/* They return 0 and transfer nothing: for read, pread and pwrite. */
void test_calls_end_early(test_call call, int32_t first, int32_t count);
/* Before call `number` of `call`, hook(user) runs. */
void test_calls_precede(test_call call, int32_t number, void (*hook)(void *user), void *user);
/* Ends the request, and returns how many calls it changed, or its hook preceded. */
int32_t test_calls_end(void);

#endif
