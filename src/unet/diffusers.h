/* SPDX-License-Identifier: MIT */
/* Networks of diffusers' UNet2DModel: its config.json as options and back, and its safetensors
 * files, one or several. */
#ifndef DM_SRC_UNET_DIFFUSERS_H
#define DM_SRC_UNET_DIFFUSERS_H

#include "core/config.h"
#include "io/json_write.h"
#include "unet/unet.h"

/* ---- diffusers_config.c ---- */

/* What a config.json says, checked. options: the height, width and prediction to take instead. */
dm_status dmi_diffusers_read_options(dmi_config *config, const dm_diffusers_options *options,
                                     dm_unet_options *out);

/* ---- diffusers_names.c: block types, which both directions need ---- */

typedef struct dmi_diffusers_block {
    const char *name;
    dm_resample resample;
    int32_t attention;
    bool typed; /* the resampling is that of downsample_type or upsample_type */
} dmi_diffusers_block;

/* NULL: there is no such block that can be expressed. */
const dmi_diffusers_block *dmi_diffusers_find_block(bool down, const char *name);
/* The block of a level; `last`: of the innermost level, which is not resampled. NULL: diffusers has
 * none. */
const dmi_diffusers_block *dmi_diffusers_block_of(bool down, dm_resample resample,
                                                  int32_t attention, bool last);

extern const dmi_config_name dmi_diffusers_activations[], dmi_diffusers_time_features[],
    dmi_diffusers_time_embeddings[];
/* The first name of a value, or NULL. */
const char *dmi_diffusers_name(const dmi_config_name *names, int32_t value);

/* ---- diffusers_tensors.c ---- */

enum { DMI_SHARDS_MAX = 256 };
/* How the name of an index of shards ends. */
#define DMI_SHARD_INDEX ".safetensors.index.json"

typedef struct dmi_diffusers_tensors {
    dmi_safetensors *files[DMI_SHARDS_MAX];
    int32_t count;
} dmi_diffusers_tensors;

/* Opens the safetensors file or, where `path` ends with ".json", the index of shards. On failure
 * there is nothing to close. */
dm_status dmi_diffusers_open(dmi_host *host, dmi_diffusers_tensors *out, const char *path);
void dmi_diffusers_close(dmi_host *host, dmi_diffusers_tensors *tensors);
/* Refuses files that lack one of the network's tensors or have another one. */
dm_status dmi_diffusers_check(dmi_host *host, const dmi_diffusers_tensors *tensors,
                              const dm_unet *unet);
/* Reads all parameters into the network, after dmi_diffusers_check. */
dm_status dmi_diffusers_read(dmi_host *host, const dmi_diffusers_tensors *tensors, dm_unet *unet);

/* ---- diffusers_load.c ---- */

/* `path` as for dm_unet_load_diffusers. */
dm_status dmi_diffusers_load(dm_unet **out, dm_context *context, const char *path,
                             const dm_diffusers_options *options);

#endif
