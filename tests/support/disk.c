/* SPDX-License-Identifier: MIT */
/* See disk.h. */
#include "support/disk.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>

#include "support/support.h"

/* In a mount namespace of the thread's own, so that nobody else sees the disk and it goes with the
 * test. */
static bool mount_disk(const char *folder, size_t bytes) {
#ifdef __linux__
    char options[64];
    snprintf(options, sizeof options, "size=%zu", bytes);
    if (unshare(CLONE_NEWNS)) return false;
    if (mount("none", "/", "", MS_REC | MS_PRIVATE, "")) return false;
    return mount("dm-tests", folder, "tmpfs", 0, options) == 0;
#else
    (void)folder, (void)bytes;
    return false;
#endif
}

bool test_disk_begin(test_disk *disk, size_t bytes, bool mount) {
    *disk = (test_disk){0};
    snprintf(disk->folder, sizeof disk->folder, "%s", test_folder());
    disk->mounted = mount && mount_disk(disk->folder, bytes);
    if (mount) return disk->mounted;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &disk->before), 0);
    struct rlimit tight = disk->before;
    tight.rlim_cur = bytes;
    disk->handler = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    return true;
}

void test_disk_lift(test_disk *disk) {
    if (disk->mounted) return;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &disk->before), 0);
    signal(SIGXFSZ, disk->handler);
}

void test_disk_end(test_disk *disk) {
    test_disk_lift(disk);
#ifdef __linux__
    if (disk->mounted) ck_assert_int_eq(umount2(disk->folder, MNT_DETACH), 0);
#endif
}
