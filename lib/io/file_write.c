/* SPDX-License-Identifier: MIT */
/* Writing files: under a temporary name in the same folder, where renaming is atomic. The writer of
 * a temporary file holds a lock of it, which the system drops when its process ends: so the next
 * save to the same name can tell and remove the file of one that was killed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/math.h"
#include "base/random.h"
#include "io/file.h"
#include "io/file_open.h"
#include "io/json.h"

enum {
    NUMBERED = 16, /* temporary names that the next save looks through */
    NAME_ATTEMPTS = 100,
    LOCK_ATTEMPTS = 20, /* a millisecond each */
    SUFFIX_SIZE = sizeof ".01234567.4294967295.tmp",
    NAME_BYTES_MAX = 255 + 1 - SUFFIX_SIZE /* of the target's name, in a temporary name */
};

struct dmi_file_writer {
    int descriptor;
    bool failed; /* a write failed, so the file must not be renamed to path */
    char *path, *temporary;
};

/* ---- the temporary file ---- */

/* Writes FOLDER/NAME.CHECKSUM.NUMBER.tmp to writer->temporary; a long name is cut. */
static void name_temporary(const dmi_file_writer *writer, uint32_t number) {
    const char *slash = strrchr(writer->path, '/'), *name = slash ? slash + 1 : writer->path;
    const size_t length = strlen(name);
    const uint32_t sum = (uint32_t)crc32_z(0, (const Bytef *)name, length);
    size_t kept = 0;
    while (kept < length) {
        size_t size = dmi_utf8_length(name + kept, length - kept);
        if (size == 0) size = 1; /* a name may have any bytes */
        if (kept + size > NAME_BYTES_MAX) break;
        kept += size;
    }
    const size_t prefix = (size_t)(name - writer->path) + kept;
    memcpy(writer->temporary, writer->path, prefix);
    snprintf(writer->temporary + prefix, SUFFIX_SIZE, ".%08x.%u.tmp", (unsigned)sum,
             (unsigned)number);
}

/* Whether `path` is the open file. */
static bool is_file_of(int descriptor, const char *path) {
    struct stat open_file, named;
    return fstat(descriptor, &open_file) == 0 && lstat(path, &named) == 0 &&
           S_ISREG(named.st_mode) && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/* Removes the file writer->temporary unless somebody has its lock. Where there are no locks it
 * stays. */
static void remove_if_dead(const dmi_file_writer *writer) {
    const int flags = O_NOFOLLOW | O_NONBLOCK;
    int descriptor = dmi_open(writer->temporary, O_WRONLY | flags, 0);
    if (descriptor < 0 && errno == EACCES)
        descriptor = dmi_open(writer->temporary, O_RDONLY | flags, 0);
    if (descriptor < 0) return;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_file_of(descriptor, writer->temporary))
        unlink(writer->temporary);
    close(descriptor);
}

/* Locks a new file. Only a save that takes it for a dead one may hold its lock, and does so for a
 * moment; where there are no locks, the file is used without. */
static void lock_new(int descriptor) {
    static const struct timespec moment = {.tv_nsec = 1000000};
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
        nanosleep(&moment, NULL);
    }
}

/* Creates writer->temporary and locks it. false with errno EEXIST: another save has it, or has
 * removed it just now. */
static bool create_locked(dmi_file_writer *writer, mode_t mode) {
    struct stat about;
    writer->descriptor = dmi_open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (writer->descriptor < 0) return false;
    lock_new(writer->descriptor);
    if (fstat(writer->descriptor, &about) != 0 || about.st_nlink > 0) return true;
    close(writer->descriptor);
    errno = EEXIST;
    return false;
}

/* Creates the temporary file with the permissions `mode`, less the umask, and removes those of
 * saves that were killed. On failure errno says why. */
static bool create_temporary(dmi_file_writer *writer, mode_t mode) {
    const uint64_t seed =
        (uint64_t)getpid() << 32 ^ (uint64_t)(dmi_seconds() * 1e9) ^ (uint64_t)(uintptr_t)writer;
    const dmi_random numbers = dmi_random_at(seed, 0, 0);
    for (uint32_t number = 0; number < NUMBERED; number++) {
        name_temporary(writer, number);
        remove_if_dead(writer);
    }
    for (uint32_t attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        name_temporary(writer, attempt < NUMBERED
                                   ? attempt
                                   : NUMBERED + dmi_random_below(&numbers, attempt, INT32_MAX));
        if (create_locked(writer, mode)) return true;
        if (errno != EEXIST) return false;
    }
    return false;
}

/* ---- the writer ---- */

static void free_writer(dmi_host *host, dmi_file_writer *writer) {
    dmi_free(host, writer->path);
    dmi_free(host, writer->temporary);
    dmi_free(host, writer);
}

static int32_t begin(dmi_host *host, dmi_file_writer **out, const char *path) {
    const size_t length = strlen(path);
    if (length == 0)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "the path of the file to write is empty");

    /* A device or folder is never replaced by a file; a file is replaced with its permissions. */
    struct stat before;
    const bool replaces = stat(path, &before) == 0;
    if (replaces && !S_ISREG(before.st_mode))
        return dmi_fail(host, DMI_ERROR_IO, "%s: cannot write: not a regular file", path);

    dmi_file_writer *writer;
    int32_t status = dmi_alloc_zero(host, &writer, 1, sizeof *writer, "file writer");
    if (status) return status;
    status = dmi_alloc_array(host, &writer->path, length + 1, 1, "file writer");
    if (!status)
        status = dmi_alloc_array(host, &writer->temporary, length + SUFFIX_SIZE, 1, "file writer");
    if (!status) memcpy(writer->path, path, length + 1);
    if (status) {
        free_writer(host, writer);
        return status;
    }

    if (!create_temporary(writer, replaces ? before.st_mode & 0777 : 0666)) {
        status = dmi_fail_errno(host, errno, "create a file beside it", path);
        free_writer(host, writer);
        return status;
    }
    if (replaces) {
        /* Where this fails (a file system without permissions) those of the creation remain. */
        int ignored = fchmod(writer->descriptor, before.st_mode & 0777);
        (void)ignored;
    }
    *out = writer;
    return DMI_OK;
}

int32_t dmi_file_begin(dmi_host *host, dmi_file_writer **out, const char *path) {
    *out = NULL;
    /* Renaming to a link's name would replace the link. A dangling link is replaced. */
    struct stat about;
    char target[PATH_MAX];
    if (lstat(path, &about) == 0 && S_ISLNK(about.st_mode)) {
        if (realpath(path, target)) path = target;
        else if (errno != ENOENT) return dmi_fail_errno(host, errno, "follow the link", path);
    }
    return begin(host, out, path);
}

int32_t dmi_file_write_at(dmi_host *host, dmi_file_writer *writer, const void *bytes, size_t size,
                          size_t offset) {
    for (size_t done = 0; done < size;) {
        const ssize_t written =
            pwrite(writer->descriptor, (const uint8_t *)bytes + done,
                   dmi_min_size(size - done, DMI_TRANSFER_MAX), (off_t)(offset + done));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            writer->failed = true;
            return dmi_fail_errno(host, written < 0 ? errno : ENOSPC, "write", writer->path);
        }
        done += (size_t)written;
    }
    return DMI_OK;
}

/* Whether the bytes are on the disk; devices that cannot be synced count as well. */
static bool sync_file(int descriptor) {
    int result;
    do result = fsync(descriptor);
    while (result != 0 && errno == EINTR);
    return result == 0 || errno == EINVAL || errno == EROFS;
}

/* Makes the rename survive a loss of power. Some file systems cannot, which is no failure: the file
 * is complete under either name. */
static void sync_folder(char *path) {
    char *slash = strrchr(path, '/');
    const char *folder = ".";
    if (slash == path) folder = "/";
    else if (slash) {
        *slash = '\0';
        folder = path;
    }
    int descriptor = dmi_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor < 0) return;
    (void)sync_file(descriptor);
    close(descriptor);
}

/* Closes the file, when the temporary name is gone: closing drops the lock, without which the name
 * could be taken for that of a dead save. After fsync closing has nothing to report. */
static void release(dmi_host *host, dmi_file_writer *writer) {
    close(writer->descriptor);
    free_writer(host, writer);
}

int32_t dmi_file_commit(dmi_host *host, dmi_file_writer *writer) {
    int32_t status = DMI_OK;
    if (writer->failed) {
        status = dmi_fail(host, DMI_ERROR_IO, "%s: cannot finish: an earlier write failed",
                          writer->path);
    } else if (!sync_file(writer->descriptor)) {
        status = dmi_fail_errno(host, errno, "sync", writer->path);
    }
    if (!status && rename(writer->temporary, writer->path) != 0)
        status = dmi_fail_errno(host, errno, "rename the new file to it", writer->path);
    if (!status) sync_folder(writer->temporary);
    else unlink(writer->temporary);
    release(host, writer);
    return status;
}

void dmi_file_abandon(dmi_host *host, dmi_file_writer *writer) {
    if (!writer) return;
    unlink(writer->temporary);
    release(host, writer);
}
