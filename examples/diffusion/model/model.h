/* SPDX-License-Identifier: MIT */
/* A network that pictures are drawn with, from wherever it is. */
#ifndef DIFFUSION_MODEL_MODEL_H
#define DIFFUSION_MODEL_MODEL_H

#include "command/line.h"

typedef struct model {
    dm_unet *unet;
    dm_schedule *schedule;
    dm_unet_options options;
    dm_sampler_options sampler; /* what draws well with it, for what the user does not choose */
    char path[1200];            /* of the file or folder that was read */
    dm_checkpoint_info info;    /* of a file of the library; else 0 */
} model;

/* `path` is a file of the library, the folder of a run, a folder of diffusers, or NULL for the
 * model that is installed with the program. Returns a status or REPORTED; *out can be freed in any
 * case. */
int32_t load_model(model *out, dm_context *context, const command_line *line, const char *path,
                   dm_weights weights);
void free_model(model *m);

/* The network's name of a class, else its number, in text[64]. Returns text. */
const char *class_text(const model *m, int32_t label, char text[64]);
/* The label of a class by name or number. 0, or REPORTED after printing which classes there are. */
int32_t find_class(const command_line *line, const model *m, const char *word, int32_t *label);
/* A hash of all weights, 16 hexadecimal digits, which tells models apart. */
int32_t network_hash(const dm_unet *unet, char text[17]);

#endif
