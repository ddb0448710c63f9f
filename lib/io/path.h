/* SPDX-License-Identifier: MIT */
/* Names of files in folders. */
#ifndef DMI_IO_PATH_H
#define DMI_IO_PATH_H

#include "base/host.h"

/* FOLDER/NAME, which the caller frees with dmi_free. */
int32_t dmi_path_join(dmi_host *host, char **out, const char *folder, const char *name);
/* NAME in the folder of the file `path`. */
int32_t dmi_path_beside(dmi_host *host, char **out, const char *path, const char *name);
bool dmi_path_ends_with(const char *path, const char *end);
/* Follow links; false where there is nothing of that name. */
bool dmi_path_is_folder(const char *path);
bool dmi_path_is_file(const char *path);
/* Whether FOLDER/NAME is a regular file. */
int32_t dmi_path_has_file(dmi_host *host, const char *folder, const char *name, bool *has);

#endif
