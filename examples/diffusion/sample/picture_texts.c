/* SPDX-License-Identifier: MIT */
/* See picture_texts.h. */
#include "sample/picture_texts.h"

#include "model/model.h"

int32_t add_picture_texts(png_texts *t, const picture_origin *o) {
    char hash[17];
    const int32_t status = network_hash(o->unet, hash);
    if (status) return status;
    png_texts_add(t, "Software", "libdiffusion %s", dm_version_string());
    png_texts_add(t, "diffusion:model", "%s", o->model);
    png_texts_add(t, "diffusion:model-hash", "%s", hash);
    png_texts_add(t, "diffusion:seed", "%llu", (unsigned long long)o->seed);
    png_texts_add(t, "diffusion:solver", "%s", dm_enum_name("dm_solver", o->options->solver));
    if (o->steps) png_texts_add(t, "diffusion:steps", "%s", o->steps);
    else png_texts_add(t, "diffusion:steps", "%d", (int)o->options->steps);
    png_texts_add(t, "diffusion:guidance", "%g", o->options->guidance);
    png_texts_add(t, "diffusion:count", "%llu", (unsigned long long)o->count);
    return DM_OK;
}
