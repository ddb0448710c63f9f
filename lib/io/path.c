/* SPDX-License-Identifier: MIT */
/* See path.h. */
#include "io/path.h"

#include <string.h>

#include "base/system.h"

/* prefix [length] followed by name. */
static int32_t append(dmi_host *host, char **out, const char *prefix, size_t length, bool slash,
                      const char *name) {
    const size_t name_size = strlen(name) + 1;
    int32_t status = dmi_alloc_array(host, out, length + 1 + name_size, 1, "a path");
    if (status) return status;
    memcpy(*out, prefix, length);
    if (slash) (*out)[length++] = '/';
    memcpy(*out + length, name, name_size);
    return DMI_OK;
}

int32_t dmi_path_join(dmi_host *host, char **out, const char *folder, const char *name) {
    const size_t length = strlen(folder);
    return append(host, out, folder, length, length > 0 && folder[length - 1] != '/', name);
}

int32_t dmi_path_beside(dmi_host *host, char **out, const char *path, const char *name) {
    size_t length = 0;
    for (size_t i = 0; path[i]; i++) {
        bool ends = path[i] == '/';
#ifdef _WIN32
        ends = ends || path[i] == '\\' || (i == 1 && path[i] == ':');
#endif
        if (ends) length = i + 1;
    }
    return append(host, out, path, length, false, name);
}

bool dmi_path_is_folder(const char *path) {
    dmi_file_info info;
    return dmi_system_file_info(path, &info) && info.folder;
}

bool dmi_path_ends_with(const char *path, const char *end) {
    const size_t length = strlen(path), tail = strlen(end);
    return length >= tail && !strcmp(path + length - tail, end);
}

bool dmi_path_is_file(const char *path) {
    dmi_file_info info;
    return dmi_system_file_info(path, &info) && info.regular;
}

int32_t dmi_path_has_file(dmi_host *host, const char *folder, const char *name, bool *has) {
    char *path;
    *has = false;
    int32_t status = dmi_path_join(host, &path, folder, name);
    if (status) return status;
    *has = dmi_path_is_file(path);
    dmi_free(host, path);
    return DMI_OK;
}
