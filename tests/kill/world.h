/* SPDX-License-Identifier: MIT */
/* A tiny network in training, through the public functions, and the files that it saves. What they
 * hold depends only on the number of steps done. */
#ifndef KILL_WORLD_H
#define KILL_WORLD_H

#include <diffusion.h>

#include "files.h"
#include "run.h"

typedef enum file_kind { CHECKPOINT, NETWORK, PNG, APNG, FILE_KINDS } file_kind;

typedef struct world {
    dm_context *context;
    dm_schedule *schedule;
    dm_unet *unet;
    dm_dataset *dataset;
    dm_trainer *trainer;
    uint64_t step;
} world;

/* "checkpoint", for the names of cases; "run.safetensors". */
extern const char *const kind_names[FILE_KINDS];
extern const char *const file_names[FILE_KINDS];

/* A new run, or the one that `checkpoint` (if not NULL) holds. false: *w is empty and `reason` says
 * why. One thread. */
bool world_open(world *w, const char *checkpoint, char reason[PATH_SIZE]);
/* The same; a failure ends the program. */
void world_create(world *w);
void world_close(world *w);
void world_advance(world *w, uint64_t step);

void world_path(char path[PATH_SIZE], const char *folder, file_kind kind);
dm_status world_save(world *w, file_kind kind, const char *folder);
/* What world_save writes, to be freed. `folder` is for its use. A failure ends the program. */
contents world_contents(world *w, file_kind kind, const char *folder);
/* Loads the file; a checkpoint also continues for one step. false: it is not a complete file of
 * `step`. */
bool world_loads(file_kind kind, const char *path, uint64_t step, char reason[PATH_SIZE]);

#endif
