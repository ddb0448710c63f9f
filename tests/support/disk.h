/* SPDX-License-Identifier: MIT */
/* Disks that become full. */
#ifndef DM_TESTS_DISK_H
#define DM_TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

/* A folder on a disk with room for `bytes` only. Where mounting is not allowed, a limit on the size
 * of files replaces it: that ends `bytes` into any file, for the whole process. */
typedef struct test_disk {
    char folder[128]; /* there, and empty */
    bool mounted;
    struct rlimit before;
    void (*handler)(int);
} test_disk;

/* With `mount` false, always by the limit. False where `mount` was requested and is not allowed. */
bool test_disk_begin(test_disk *disk, size_t bytes, bool mount);
/* Lifts the limit, so that the test can look; an unmounted disk's files are gone with
 * test_disk_end. */
void test_disk_lift(test_disk *disk);
void test_disk_end(test_disk *disk);

#endif
