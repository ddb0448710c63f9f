/* SPDX-License-Identifier: MIT */
/* See system.h. For Linux, macOS, the BSDs and WebAssembly. */
#if !defined(_WIN32)

#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- processors, memory, time, processes ---- */

int32_t dmi_system_processors(void) {
#if defined(__linux__)
    cpu_set_t sets[8]; /* 8192 processors */
    if (sched_getaffinity(0, sizeof sets, sets) == 0) {
        const int allowed = CPU_COUNT_S(sizeof sets, sets);
        if (allowed > 0) return allowed;
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int32_t)online : 1;
}

void dmi_system_use_large_pages(void *block, size_t size) {
#ifdef MADV_HUGEPAGE
    const long page = sysconf(_SC_PAGESIZE);
    if (page <= 0) return;
    const size_t into = (size_t)(-(uintptr_t)block % (uintptr_t)page);
    if (into < size)
        madvise((unsigned char *)block + into, (size - into) / (size_t)page * (size_t)page,
                MADV_HUGEPAGE);
#else
    (void)block, (void)size;
#endif
}

double dmi_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t dmi_system_process(void) { return (uint64_t)getpid(); }

const char *dmi_errno_text(int error, char *text, size_t capacity) {
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    return strerror_r(error, text, capacity);
#else
    if (strerror_r(error, text, capacity)) snprintf(text, capacity, "error %d", error);
    return text;
#endif
}

_Static_assert(sizeof(sigset_t) <= sizeof(dmi_signals), "a set of signals fits");

void dmi_system_block_signals(dmi_signals *before) {
    static const int unblocked[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                                    SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t blocked, set;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof unblocked / sizeof unblocked[0]; i++)
        sigdelset(&blocked, unblocked[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &set);
    memcpy(before, &set, sizeof set);
}

void dmi_system_restore_signals(const dmi_signals *before) {
    sigset_t set;
    memcpy(&set, before, sizeof set);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

/* ---- opening ---- */

static int open_above_standard(const char *path, int flags, mode_t mode) {
    int descriptor;
    do descriptor = open(path, flags | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
    const int above = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    close(descriptor);
    if (above < 0 && (flags & O_EXCL)) unlink(path); /* it was created just now */
    errno = error;
    return above;
}

int dmi_system_open(const char *path) {
    return open_above_standard(path, O_RDONLY | O_NONBLOCK, 0);
}

/* Locks a new file. Only a save that takes it for a dead one may hold its lock, and does so for a
 * moment; where there are no locks, the file is used without. */
static void lock_new(int descriptor) {
    enum { ATTEMPTS = 20 };
    static const struct timespec millisecond = {.tv_nsec = 1000000};
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
        nanosleep(&millisecond, NULL);
    }
}

int dmi_system_create(const char *path, unsigned permissions) {
    struct stat about;
    const int descriptor =
        open_above_standard(path, O_WRONLY | O_CREAT | O_EXCL, (mode_t)permissions);
    if (descriptor < 0) return -1;
    lock_new(descriptor);
    if (fstat(descriptor, &about) != 0 || about.st_nlink > 0) return descriptor;
    close(descriptor); /* another save has taken it for a dead one just now */
    errno = EEXIST;
    return -1;
}

void dmi_system_close(int descriptor) { close(descriptor); }

/* ---- removing ---- */

/* Whether `path` is the open file. */
static bool is_file_of(int descriptor, const char *path) {
    struct stat open_file, named;
    return fstat(descriptor, &open_file) == 0 && lstat(path, &named) == 0 &&
           S_ISREG(named.st_mode) && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/* Its lock, which the system drops when the process of its writer ends, tells whether that lives.
 * Where there are no locks the file stays. */
void dmi_system_remove_dead(const char *path) {
    const int flags = O_NOFOLLOW | O_NONBLOCK;
    int descriptor = open_above_standard(path, O_WRONLY | flags, 0);
    if (descriptor < 0 && errno == EACCES)
        descriptor = open_above_standard(path, O_RDONLY | flags, 0);
    if (descriptor < 0) return;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_file_of(descriptor, path)) unlink(path);
    close(descriptor);
}

void dmi_system_remove(int descriptor, const char *path) {
    (void)descriptor;
    unlink(path);
}

bool dmi_system_make_folder(const char *path) {
    dmi_file_info info;
    if (mkdir(path, 0777) == 0) return true;
    const int error = errno;
    if (error == EEXIST && dmi_system_file_info(path, &info) && info.folder) return true;
    errno = error;
    return false;
}

/* ---- what a file is ---- */

static void fill_info(const struct stat *about, dmi_file_info *info) {
    *info = (dmi_file_info){.size = (uint64_t)about->st_size,
                            .regular = S_ISREG(about->st_mode),
                            .folder = S_ISDIR(about->st_mode),
                            .permissions = about->st_mode & 0777};
}

bool dmi_system_file_info(const char *path, dmi_file_info *info) {
    struct stat about;
    if (stat(path, &about) != 0) return false;
    fill_info(&about, info);
    return true;
}

bool dmi_system_descriptor_info(int descriptor, dmi_file_info *info) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) return false;
    fill_info(&about, info);
    return true;
}

void dmi_system_set_permissions(int descriptor, unsigned permissions) {
    const int ignored = fchmod(descriptor, (mode_t)permissions);
    (void)ignored;
}

bool dmi_system_follow(const char *path, char *target, size_t capacity, bool *is_link) {
    struct stat about;
    char resolved[PATH_MAX];
    *is_link = false;
    if (lstat(path, &about) != 0 || !S_ISLNK(about.st_mode)) return true;
    if (!realpath(path, resolved)) return errno == ENOENT; /* it leads nowhere */
    const size_t size = strlen(resolved) + 1;
    if (size > capacity) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(target, resolved, size);
    *is_link = true;
    return true;
}

/* ---- reading and writing ---- */

int64_t dmi_system_read(int descriptor, void *bytes, size_t size) {
    ssize_t got;
    do got = read(descriptor, bytes, size);
    while (got < 0 && errno == EINTR);
    return got;
}

int64_t dmi_system_read_at(int descriptor, void *bytes, size_t size, uint64_t offset) {
    ssize_t got;
    do got = pread(descriptor, bytes, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

int64_t dmi_system_write_at(int descriptor, const void *bytes, size_t size, uint64_t offset) {
    ssize_t written;
    do written = pwrite(descriptor, bytes, size, (off_t)offset);
    while (written < 0 && errno == EINTR);
    return written;
}

/* Devices that cannot be synced count as synced. */
bool dmi_system_sync(int descriptor) {
    int result;
    do result = fsync(descriptor);
    while (result != 0 && errno == EINTR);
    return result == 0 || errno == EINVAL || errno == EROFS;
}

/* Some file systems cannot, which is no failure: the file is complete under either name. */
static void sync_folder_of(const char *path) {
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) {
        const size_t length = slash == path ? 1 : (size_t)(slash - path);
        if (length >= sizeof folder) return;
        memcpy(folder, path, length);
        folder[length] = '\0';
    }
    const int descriptor = open_above_standard(folder, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor < 0) return;
    (void)dmi_system_sync(descriptor);
    close(descriptor);
}

bool dmi_system_rename(int descriptor, const char *from, const char *to) {
    (void)descriptor;
    if (rename(from, to) != 0) return false;
    sync_folder_of(to);
    return true;
}

#endif
