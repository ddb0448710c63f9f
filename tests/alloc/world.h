/* SPDX-License-Identifier: MIT */
/* The objects that a case works on, and a digest of all that can be seen of them. */
#ifndef DM_TESTS_ALLOC_WORLD_H
#define DM_TESTS_ALLOC_WORLD_H

#include <stdbool.h>

#include "refuse.h"

enum {
    SIDE = 8,
    CHANNELS = 3,
    ELEMENTS = SIDE * SIDE * CHANNELS, /* of an image */
    IMAGES = 4,                        /* of the dataset */
    CLASSES = 3,
    VECTOR = 5, /* floats of a condition vector */
    TIMESTEPS = 20,
    OUTPUT_SIZE = 64 * 1024,
    TEXT_SIZE = 512,
    PATH_SIZE = 256
};

typedef enum made_kind {
    MADE_CONTEXT,
    MADE_SCHEDULE,
    MADE_UNET,
    MADE_DATASET,
    MADE_TRAINER,
    MADE_SAMPLER,
    MADE_KINDS
} made_kind;

typedef struct world {
    refuse_source source;
    int32_t threads, variant;
    dm_context *context;
    dm_schedule *schedule;
    dm_unet *unet, *teacher;
    dm_dataset *dataset;
    dm_dataset *unread; /* one whose images are not part of the state */
    dm_trainer *trainer;
    dm_sampler *sampler;
    /* What the call under refusal creates; world_unmade() where it created nothing. */
    void *made[MADE_KINDS];
    char folder[PATH_SIZE]; /* of the case alone; files in it are part of the state */
    char path[PATH_SIZE];   /* a file in it */
    const char *want_text;  /* what the error text must contain where the call fails as it should */
    char error[TEXT_SIZE];  /* of dm_context_create */
    char warning[TEXT_SIZE];
    void *bytes; /* of a file, to be freed with the world */
    size_t size;
    unsigned char output[OUTPUT_SIZE]; /* what the call returns */
    size_t output_size;
    /* Inputs. */
    float images[IMAGES * ELEMENTS], noise[IMAGES * ELEMENTS];
    float mask[IMAGES * SIDE * SIDE];
    float vectors[IMAGES * VECTOR]; /* conditions; condition images are `noise` and `pixels` */
    uint8_t pixels[IMAGES * ELEMENTS];
    int32_t labels[IMAGES], timesteps[IMAGES];
    double times[IMAGES], betas[200];
} world;

void *world_unmade(void);
/* Ends the process with a message unless a step of the preparation succeeded. */
void world_require(const world *w, bool succeeded, const char *what);
#define PREPARE(w, call) world_require(w, (call) == DM_OK, #call)

/* A context and the inputs. */
void world_open(world *w, refuse_source source, int32_t threads, int32_t variant,
                const char *folder);
void world_close(world *w);
/* Destroys what the call created. */
void world_unmake(world *w);

/* Context options as of the world's context. */
dm_context_options world_context_options(world *w);
dm_unet_options world_unet_options(void);
/* The same with condition images of CHANNELS and condition vectors. */
dm_unet_options world_conditional_options(void);
dm_dataset_memory world_conditional_memory(const world *w);
dm_trainer_options world_trainer_options(void);
void world_add_schedule(world *w, dm_schedule_kind kind);
void world_add_unet(world *w);
void world_add_dataset(world *w);
void world_add_conditional_unet(world *w);
void world_add_conditional_dataset(world *w);
/* With the objects that it needs; one step is done, so that there are moments. */
void world_add_trainer(world *w);
/* With the objects that it needs. */
void world_add_sampler(world *w, const dm_sampler_options *options);

/* A digest of all objects, of what was made and of the folder's files, by name. */
uint64_t world_state(const world *w);
uint64_t world_hash(uint64_t hash, const void *bytes, size_t size);
/* Removes what is in the folder and creates it where it is missing. */
void world_empty_folder(const char *folder);
/* The whole file, in world.bytes. */
void world_read_file(world *w, const char *path);
void world_write_file(const world *w, const char *path, const void *bytes, size_t size);

#endif
