/* SPDX-License-Identifier: MIT */
/* Reading files: whole or by range. */
#include <errno.h>

#include "base/math.h"
#include "base/system.h"
#include "io/file.h"
#include "io/file_error.h"

int32_t dmi_file_read_at(dmi_host *host, int descriptor, const char *path, void *bytes, size_t size,
                         size_t offset) {
    size_t done = 0;
    while (done < size) {
        const size_t left = size - done;
        const int64_t got = dmi_system_read_at(descriptor, (uint8_t *)bytes + done,
                                               dmi_min_size(left, DMI_TRANSFER_MAX), offset + done);
        if (got < 0) return dmi_fail_errno(host, errno, "read", path);
        if (got == 0) {
            return dmi_fail(host, DMI_ERROR_IO, "%s: ended at byte %zu of %zu while it was read",
                            path, offset + done, offset + size);
        }
        done += (size_t)got;
    }
    return DMI_OK;
}

static int32_t check_regular(dmi_host *host, int descriptor, const char *path, size_t *size) {
    dmi_file_info info;
    if (!dmi_system_descriptor_info(descriptor, &info))
        return dmi_fail_errno(host, errno, "read", path);
    if (!info.regular)
        return dmi_fail(host, DMI_ERROR_IO, "%s: cannot read: not a regular file", path);
    if (info.size > SIZE_MAX)
        return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY, "%s: larger than can be addressed", path);
    *size = (size_t)info.size;
    return DMI_OK;
}

int32_t dmi_file_open(dmi_host *host, const char *path, int *descriptor, size_t *size) {
    *size = 0;
    *descriptor = dmi_system_open(path);
    if (*descriptor < 0 && errno == ENOENT)
        return dmi_fail(host, DMI_ERROR_NOT_FOUND, "%s: no such file", path);
    if (*descriptor < 0) return dmi_fail_errno(host, errno, "open", path);
    const int32_t status = check_regular(host, *descriptor, path, size);
    if (!status) return DMI_OK;
    dmi_file_close(*descriptor);
    *descriptor = -1;
    return status;
}

void dmi_file_close(int descriptor) {
    if (descriptor >= 0) dmi_system_close(descriptor);
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
