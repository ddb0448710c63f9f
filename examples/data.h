/* The source of an example's training images: drawn shapes, CIFAR-10, or a folder of PNG files. */
#ifndef EXAMPLES_DATA_H
#define EXAMPLES_DATA_H

#include <diffusion.h>

/* The shapes that the library draws, `size` pixels high and wide. */
typedef struct builtin_data {
    int32_t size;
    uint64_t count, seed;
} builtin_data;

/* `path` is "builtin" for the shapes; CIFAR-10's archive or folder, of which `split` is read; or a
 * folder of PNG files of one size, grey or in colour like the first. There, each folder with PNG
 * files in it is a class, in the order of their names. Returns a status, or REPORTED. */
int32_t open_data(dm_dataset **out, dm_context *context, const char *program, const char *path,
                  dm_split split, builtin_data builtin);

#endif
