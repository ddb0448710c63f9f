/* SPDX-License-Identifier: MIT */
/* One table for each public struct: every member with its type, offset, default, range,
 * enumeration, whether files keep it, and a line of help. Initialisation, reading across versions,
 * range checks, file metadata and the functions by name all follow from it. */
#ifndef DM_SRC_CORE_STRUCTS_H
#define DM_SRC_CORE_STRUCTS_H

#include <stddef.h>

#include "base/host.h"
#include "diffusion.h"

/* Whether files keep a member. Members that were added after format version 1 are written where
 * they are not at their default only, as part of a file of version 2; a file without them has the
 * defaults. */
enum { DMI_TRANSIENT = 0, DMI_SAVED = 1, DMI_SAVED_IF_SET = 2 };

typedef struct dmi_member {
    const char *name;
    dm_member_type type;
    uint32_t offset, count, element_size;
    const char *default_text; /* as dm_options_set accepts it; NULL: 0 */
    double minimum, maximum;  /* of each element; both 0: not checked */
    const char *enumeration;  /* "dm_solver"; NULL: none */
    int32_t saved;            /* DMI_SAVED ... */
    const char *help;
} dmi_member;

/* Bytes that every public struct fits into. */
enum { DMI_STRUCT_SIZE_MAX = 1024 };

typedef struct dmi_struct {
    const char *name;  /* "dm_trainer_options" */
    const char *owner; /* what messages and file keys begin with: "trainer" */
    size_t size;
    const dmi_member *members; /* the first is struct_size */
    int32_t count;
} dmi_struct;

/* The tables of the public structs, in core/tables/. */
extern const dmi_struct dmi_struct_member_info, dmi_struct_context_options, dmi_struct_profile_row,
    dmi_struct_schedule_options, dmi_struct_unet_options, dmi_struct_tensor_info,
    dmi_struct_unet_input, dmi_struct_diffusers_options, dmi_struct_dataset_info,
    dmi_struct_dataset_memory, dmi_struct_dataset_item, dmi_struct_dataset_callback,
    dmi_struct_trainer_options, dmi_struct_train_stats, dmi_struct_checkpoint_info,
    dmi_struct_train_batch, dmi_struct_sampler_options, dmi_struct_sampler_progress,
    dmi_struct_noise_request, dmi_struct_denoiser_input, dmi_struct_denoiser,
    dmi_struct_guidance_step, dmi_struct_sampler_request, dmi_struct_evaluation_options,
    dmi_struct_evaluation, dmi_struct_image_grid_options, dmi_struct_image_animation;

/* All public structs, and the one of that name or NULL. */
int32_t dmi_struct_total(void);
const dmi_struct *dmi_struct_at(int32_t index);
const dmi_struct *dmi_struct_find(const char *name);
const dmi_member *dmi_struct_find_member(const dmi_struct *of, const char *name);

/* Refuses a struct_size that no version of the struct can have: of one that was not initialised, of
 * a pointer, or one that cuts a member in two. */
dm_status dmi_struct_check_size(dmi_host *host, const dmi_struct *of, size_t size);
/* Fills a whole struct, of->size bytes, with the defaults. */
void dmi_struct_defaults(const dmi_struct *of, void *values);
/* The public init functions: defaults into a struct of `size` bytes, which may be older or newer.
 */
dm_status dmi_struct_init(const dmi_struct *of, void *target, size_t size);
/* A caller's struct of any version over the defaults: *values, of->size bytes, gets them and then
 * what the source has; NULL leaves the defaults. Fails if struct_size is implausible or cuts a
 * member in two, or if the source sets a member that is not known here. */
dm_status dmi_struct_read(dmi_host *host, const dmi_struct *of, void *values, const void *source);
/* The same, then dmi_struct_check. */
dm_status dmi_struct_read_checked(dmi_host *host, const dmi_struct *of, void *values,
                                  const void *source);
/* The reverse: copies what fits of a whole struct into the caller's `target_size` bytes, zeroes the
 * rest and keeps the caller's struct_size. */
dm_status dmi_struct_write(dmi_host *host, const dmi_struct *of, void *target, size_t target_size,
                           const void *values);
/* For a struct that the caller initialised: the size is its own struct_size. */
dm_status dmi_struct_write_back(dmi_host *host, const dmi_struct *of, void *target,
                                const void *values);
/* Refuses values out of their range, unknown values of enumerations, and padding that is set, as in
 * "sampler: 'steps' is 0; it must be from 1 to 100000". */
dm_status dmi_struct_check(dmi_host *host, const dmi_struct *of, const void *values);
/* The same for one member. */
dm_status dmi_struct_check_member(dmi_host *host, const dmi_struct *of, const dmi_member *member,
                                  const void *values);
/* The first saved member in which two structs differ, or NULL. */
const dmi_member *dmi_struct_difference(const dmi_struct *of, const void *a, const void *b);

/* The format version that a file with these values needs: 1, or 2 where a member that version 1
 * does not know is set. */
int32_t dmi_struct_format_version(const dmi_struct *of, const void *values);
/* Whether a member is at its default. */
bool dmi_member_is_default(const dmi_struct *of, const dmi_member *member, const void *values);

/* "sampler: 'steps' is 0; it must be from 1 to 1000". */
dm_status dmi_check_range(dmi_host *host, const char *owner, const char *name, int32_t value,
                          int32_t minimum, int32_t maximum);

#endif
