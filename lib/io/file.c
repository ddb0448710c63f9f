/* Files. A new one is written under a temporary name in the same folder, where renaming is atomic.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/math.h"
#include "base/random.h"

enum { TRANSFER_MAX = 1 << 30, NAME_ATTEMPTS = 100, SUFFIX_SIZE = sizeof ".01234567.tmp" };

struct dmi_file_writer {
    int descriptor;
    bool failed; /* a write failed, so the file must not be renamed to path */
    char *path, *temporary;
};

static int32_t fail_errno(dmi_host *host, int error, const char *doing, const char *path) {
    char reason[128];
    return dmi_fail(host, DMI_ERROR_IO, "%s: cannot %s: %s", path, doing,
                    dmi_errno_text(error, reason, sizeof reason));
}

static void free_writer(dmi_host *host, dmi_file_writer *writer) {
    dmi_free(host, writer->path);
    dmi_free(host, writer->temporary);
    dmi_free(host, writer);
}

/* Creates the temporary file with the permissions `mode`, less the umask. On failure errno says
 * why. */
static bool create_temporary(dmi_file_writer *writer, mode_t mode) {
    const uint64_t seed =
        (uint64_t)getpid() << 32 ^ (uint64_t)(dmi_seconds() * 1e9) ^ (uint64_t)(uintptr_t)writer;
    const dmi_random names = dmi_random_at(seed, 0, 0);
    for (uint64_t attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        sprintf(writer->temporary, "%s.%08x.tmp", writer->path,
                (unsigned)dmi_random_below(&names, attempt, UINT32_MAX));
        writer->descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (writer->descriptor >= 0) return true;
        if (errno != EEXIST) return false;
    }
    return false;
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
        status = fail_errno(host, errno, "create a file beside it", path);
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
        else if (errno != ENOENT) return fail_errno(host, errno, "follow the link", path);
    }
    return begin(host, out, path);
}

int32_t dmi_file_write(dmi_host *host, dmi_file_writer *writer, const void *bytes, size_t size) {
    const unsigned char *from = bytes;
    while (size > 0) {
        ssize_t written = write(writer->descriptor, from, dmi_min_size(size, TRANSFER_MAX));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            writer->failed = true;
            return fail_errno(host, written < 0 ? errno : ENOSPC, "write", writer->path);
        }
        from += written;
        size -= (size_t)written;
    }
    return DMI_OK;
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
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    fsync(descriptor);
    close(descriptor);
}

int32_t dmi_file_commit(dmi_host *host, dmi_file_writer *writer) {
    int32_t status = DMI_OK;
    if (writer->failed) {
        status = dmi_fail(host, DMI_ERROR_IO, "%s: cannot finish: an earlier write failed",
                          writer->path);
    } else if (fsync(writer->descriptor) != 0 && errno != EINVAL && errno != EROFS) {
        status = fail_errno(host, errno, "sync", writer->path);
    }
    if (close(writer->descriptor) != 0 && errno != EINTR && !status)
        status = fail_errno(host, errno, "close", writer->path);
    if (!status && rename(writer->temporary, writer->path) != 0)
        status = fail_errno(host, errno, "rename the new file to it", writer->path);
    if (!status) sync_folder(writer->temporary);
    else unlink(writer->temporary);
    free_writer(host, writer);
    return status;
}

void dmi_file_abandon(dmi_host *host, dmi_file_writer *writer) {
    if (!writer) return;
    close(writer->descriptor);
    unlink(writer->temporary);
    free_writer(host, writer);
}

int32_t dmi_file_read_at(dmi_host *host, int descriptor, const char *path, void *bytes, size_t size,
                         size_t offset) {
    size_t done = 0;
    while (done < size) {
        const size_t left = size - done;
        ssize_t got = pread(descriptor, (uint8_t *)bytes + done, dmi_min_size(left, TRANSFER_MAX),
                            (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(host, errno, "read", path);
        if (got == 0) {
            return dmi_fail(host, DMI_ERROR_IO, "%s: ended at byte %zu of %zu while it was read",
                            path, offset + done, offset + size);
        }
        done += (size_t)got;
    }
    return DMI_OK;
}

static int32_t check_regular(dmi_host *host, int descriptor, const char *path, size_t *size) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) return fail_errno(host, errno, "read", path);
    if (!S_ISREG(about.st_mode))
        return dmi_fail(host, DMI_ERROR_IO, "%s: cannot read: not a regular file", path);
    if ((uint64_t)about.st_size > SIZE_MAX)
        return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY, "%s: larger than can be addressed", path);
    *size = (size_t)about.st_size;
    return DMI_OK;
}

int32_t dmi_file_open(dmi_host *host, const char *path, int *descriptor, size_t *size) {
    *size = 0;
    /* Without O_NONBLOCK opening a pipe would wait for its writer. */
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*descriptor < 0 && errno == ENOENT)
        return dmi_fail(host, DMI_ERROR_NOT_FOUND, "%s: no such file", path);
    if (*descriptor < 0) return fail_errno(host, errno, "open", path);
    const int32_t status = check_regular(host, *descriptor, path, size);
    if (!status) return DMI_OK;
    dmi_file_close(*descriptor);
    *descriptor = -1;
    return status;
}

void dmi_file_close(int descriptor) {
    if (descriptor >= 0) close(descriptor);
}

int32_t dmi_file_read(dmi_host *host, const char *path, uint8_t **out, size_t *size) {
    *out = NULL;
    int descriptor;
    int32_t status = dmi_file_open(host, path, &descriptor, size);
    if (status) return status;
    void *bytes;
    status = dmi_alloc(host, &bytes, *size, path);
    if (!status) status = dmi_file_read_at(host, descriptor, path, bytes, *size, 0);
    dmi_file_close(descriptor);
    if (!status) {
        *out = bytes;
        return DMI_OK;
    }
    dmi_free(host, bytes);
    *size = 0;
    return status;
}
