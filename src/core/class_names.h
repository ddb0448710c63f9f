/* SPDX-License-Identifier: MIT */
/* The names of classes, as a network and a dataset keep them. */
#ifndef DM_SRC_CORE_CLASS_NAMES_H
#define DM_SRC_CORE_CLASS_NAMES_H

#include "core/structs.h"
#include "io/safetensors.h"

typedef struct dmi_class_names {
    const char **names; /* [count]; NULL: none */
    size_t count;
} dmi_class_names;

/* Replaces the names by copies of `names` [count]; none with count 0. Each is UTF-8 of 1 to 255
 * bytes without control characters, all together have 8 MB at most; `owner` begins the message
 * where it is not so. On failure the old ones stay. */
dm_status dmi_class_names_set(dmi_host *host, const char *owner, dmi_class_names *out,
                              const char *const *names, size_t count);
void dmi_class_names_free(dmi_host *host, dmi_class_names *names);
/* The name of a label; NULL if it has none. */
const char *dmi_class_name(const dmi_class_names *names, int32_t label);

/* As metadata "unet.class_names", divided by line breaks; nothing is written without names. */
dm_status dmi_class_names_write(dmi_host *host, dmi_safetensors_writer *writer,
                                const dmi_class_names *names);
/* Reads them for a network of so many classes; another number of names is DM_ERROR_BAD_FORMAT. */
dm_status dmi_class_names_read(dmi_host *host, const dmi_safetensors *file, dmi_class_names *out,
                               int32_t classes);

#endif
