/* The dataset's insides: a source is a struct of functions; one file each. */
#ifndef DM_SRC_DATASET_H
#define DM_SRC_DATASET_H

#include "core/context.h"

/* The most pictures: where dmi_random_at's sequences end. */
#define DMI_DATASET_MOST (UINT64_C(1) << 56)

struct dm_dataset {
    dm_context *context;
    uint64_t count;
    int32_t height, width, channels, classes;
    const char *const *class_names; /* [classes], or NULL */
    /* Pixels of one picture, and its label (-1: none) where label is not NULL. Sources of the
     * library's own never fail and may be called from several tasks at once. */
    int32_t (*read)(const dm_dataset *dataset, uint64_t index, uint8_t *pixels, int32_t *label);
    void (*close)(dm_dataset *dataset); /* frees what `state` holds; may be NULL */
    bool concurrent;                    /* read may be called from tasks */
    void *state;
};

/* A zeroed dataset in `context`; dm_dataset_destroy frees it. */
int32_t dmi_dataset_new(dm_dataset **out, dm_context *context);
/* The classes' names of CIFAR-10 and of the built-in pictures. */
extern const char *const dmi_cifar10_names[10];
extern const char *const dmi_builtin_names[10];

#endif
