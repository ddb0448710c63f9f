/* SPDX-License-Identifier: MIT */
/* Writing files: under a temporary name in the same folder, where renaming is atomic. The writer of
 * a temporary file holds a lock of it, which the system drops when its process ends: so the next
 * save to the same name can tell and remove the file of one that was killed. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/math.h"
#include "base/random.h"
#include "base/system.h"
#include "io/file.h"
#include "io/file_error.h"
#include "io/json.h"

enum {
    NUMBERED = 16, /* temporary names that the next save looks through */
    NAME_ATTEMPTS = 100,
    SUFFIX_SIZE = sizeof ".01234567.4294967295.tmp",
    NAME_BYTES_MAX = 255 + 1 - SUFFIX_SIZE /* of the target's name, in a temporary name */
};

struct dmi_file_writer {
    int descriptor;
    bool failed; /* a write failed, so the file must not be renamed to path */
    bool synced; /* since the last write */
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

/* Creates the temporary file with these permissions, less the umask, and removes those of
 * saves that were killed. On failure errno says why. */
static bool create_temporary(dmi_file_writer *writer, unsigned permissions) {
    const uint64_t seed =
        dmi_system_process() << 32 ^ (uint64_t)(dmi_seconds() * 1e9) ^ (uint64_t)(uintptr_t)writer;
    const dmi_random numbers = dmi_random_at(seed, 0, 0);
    for (uint32_t number = 0; number < NUMBERED; number++) {
        name_temporary(writer, number);
        dmi_system_remove_dead(writer->temporary);
    }
    for (uint32_t attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        name_temporary(writer, attempt < NUMBERED
                                   ? attempt
                                   : NUMBERED + dmi_random_below(&numbers, attempt, INT32_MAX));
        writer->descriptor = dmi_system_create(writer->temporary, permissions);
        if (writer->descriptor >= 0) return true;
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
    dmi_file_info before;
    const bool replaces = dmi_system_file_info(path, &before);
    if (replaces && !before.regular)
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

    if (!create_temporary(writer, replaces ? before.permissions : DMI_PERMISSIONS_DEFAULT)) {
        status = dmi_fail_errno(host, errno, "create a file beside it", path);
        free_writer(host, writer);
        return status;
    }
    if (replaces) dmi_system_set_permissions(writer->descriptor, before.permissions);
    *out = writer;
    return DMI_OK;
}

int32_t dmi_file_begin(dmi_host *host, dmi_file_writer **out, const char *path) {
    *out = NULL;
    /* Renaming to a link's name would replace the link. A dangling link is replaced. */
    bool is_link;
    char target[PATH_MAX];
    if (!dmi_system_follow(path, target, sizeof target, &is_link))
        return dmi_fail_errno(host, errno, "follow the link", path);
    if (is_link) path = target;
    return begin(host, out, path);
}

int32_t dmi_file_write_at(dmi_host *host, dmi_file_writer *writer, const void *bytes, size_t size,
                          size_t offset) {
    writer->synced = false;
    for (size_t done = 0; done < size;) {
        const int64_t written =
            dmi_system_write_at(writer->descriptor, (const uint8_t *)bytes + done,
                                dmi_min_size(size - done, DMI_TRANSFER_MAX), offset + done);
        if (written <= 0) {
            writer->failed = true;
            return dmi_fail_errno(host, written < 0 ? errno : ENOSPC, "write", writer->path);
        }
        done += (size_t)written;
    }
    return DMI_OK;
}

/* Closes the file, when the temporary name is gone: closing drops the lock, without which the name
 * could be taken for that of a dead save. After fsync closing has nothing to report. */
static void release(dmi_host *host, dmi_file_writer *writer) {
    dmi_system_close(writer->descriptor);
    free_writer(host, writer);
}

int32_t dmi_file_sync(dmi_host *host, dmi_file_writer *writer) {
    if (writer->failed)
        return dmi_fail(host, DMI_ERROR_IO, "%s: cannot finish: an earlier write failed",
                        writer->path);
    if (writer->synced) return DMI_OK;
    if (!dmi_system_sync(writer->descriptor))
        return dmi_fail_errno(host, errno, "sync", writer->path);
    writer->synced = true;
    return DMI_OK;
}

int32_t dmi_file_commit(dmi_host *host, dmi_file_writer *writer) {
    int32_t status = dmi_file_sync(host, writer);
    if (!status && !dmi_system_rename(writer->descriptor, writer->temporary, writer->path))
        status = dmi_fail_errno(host, errno, "rename the new file to it", writer->path);
    if (status) dmi_system_remove(writer->descriptor, writer->temporary);
    release(host, writer);
    return status;
}

void dmi_file_abandon(dmi_host *host, dmi_file_writer *writer) {
    if (!writer) return;
    dmi_system_remove(writer->descriptor, writer->temporary);
    release(host, writer);
}
