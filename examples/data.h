/* Where the pictures of an example come from: built-in, CIFAR-10's files, or a folder of PNGs. */
#ifndef EXAMPLES_DATA_H
#define EXAMPLES_DATA_H

#include <diffusion.h>

enum {
    DATA_TOLD = 1
}; /* beside the library's statuses, which are not positive: a failure that was told already */

typedef struct data_source {
    dm_dataset *dataset;
    uint8_t *pixels; /* of a folder's pictures, which the dataset reads */
    int32_t *labels;
} data_source;

/* The built-in pictures of an example. */
typedef struct builtin_data {
    int32_t size;
    uint64_t count, seed;
} builtin_data;

/* `path`: "builtin"; CIFAR-10's archive or folder, of which `split`; or a folder with PNGs of one
 * size, grey or in colour as the first one, where each folder in it that has PNGs is a class, in
 * the order of their names. Gives a status or DATA_TOLD. */
int32_t data_open(data_source *data, dm_context *context, const char *program, const char *path,
                  int32_t split, builtin_data builtin);
void data_close(data_source *data);

#endif
