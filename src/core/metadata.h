/* SPDX-License-Identifier: MIT */
/* Structs as metadata of a safetensors file, by their tables: each saved member under
 * "owner.member", as in "unet.norm_groups". */
#ifndef DM_SRC_CORE_METADATA_H
#define DM_SRC_CORE_METADATA_H

#include "core/structs.h"
#include "io/safetensors.h"

dm_status dmi_struct_save(dmi_host *host, dmi_safetensors_writer *writer, const dmi_struct *of,
                          const void *values);
/* Fills *values, of->size bytes. A missing or malformed key is DM_ERROR_BAD_FORMAT, since a default
 * would describe another network or another run; so is a value out of its range. Members that are
 * DMI_SAVED_IF_SET may be missing. */
dm_status dmi_struct_load(dmi_host *host, const dmi_safetensors *file, const dmi_struct *of,
                          void *values);

/* The status of values from a file: DM_ERROR_INVALID_ARGUMENT becomes DM_ERROR_BAD_FORMAT, and the
 * error text begins with the file. */
dm_status dmi_blame_file(dmi_host *host, const dmi_safetensors *file, dm_status status);

/* 'format' says which kind of file it is, 'format_version' how to read it. */
extern const char dmi_format_unet[], dmi_format_checkpoint[];
dm_status dmi_format_write(dmi_host *host, dmi_safetensors_writer *writer, const char *format,
                           int32_t format_version);
/* Refuses files of other programs and of later versions; and, with `training`, all but
 * checkpoints. */
dm_status dmi_format_check(dmi_host *host, const dmi_safetensors *file, bool training);
/* Of a file that was checked. */
int32_t dmi_format_version(const dmi_safetensors *file);

#endif
