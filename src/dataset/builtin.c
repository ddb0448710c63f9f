/* The built-in pictures: a dataset without a file, drawn as it is read. All of picture i follows
 * from (seed, i). */
#include "base/random.h"
#include "dataset/dataset.h"
#include "dataset/shapes.h"

enum { MIN_SIZE = 16, MAX_SIZE = 64 };

const char *const dmi_builtin_names[10] = {"circle", "square", "triangle", "star",    "ring",
                                           "cross",  "heart",  "moon",     "diamond", "arrow"};

typedef struct builtin_state {
    uint64_t seed;
} builtin_state;

/* Every ten pictures in a row have all ten classes. */
static int32_t read_drawn(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                          int32_t *label) {
    const builtin_state *state = dataset->state;
    const int32_t shape = (int32_t)(index % DMI_SHAPES);
    const dmi_random random = dmi_random_at(state->seed, DMI_STREAM_BUILTIN, index);
    float numbers[DMI_SHAPE_NUMBERS];
    dmi_random_uniform(&random, numbers, DMI_SHAPE_NUMBERS);
    dmi_shape_draw(pixels, dataset->width, shape, numbers);
    if (label != NULL) *label = shape;
    return DMI_OK;
}

static void free_state(dm_dataset *dataset) { dmi_free(&dataset->context->host, dataset->state); }

int32_t dm_dataset_open_builtin(dm_dataset **out, dm_context *context, int32_t size, uint64_t count,
                                uint64_t seed) {
    if (out != NULL) *out = NULL;
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (out == NULL)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "built-in pictures: 'out' is NULL");
    if (size < MIN_SIZE || size > MAX_SIZE)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "built-in pictures: 'size' is %d; it must be %d to %d", size, MIN_SIZE,
                        MAX_SIZE);
    if (count < 1 || count > DMI_DATASET_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "built-in pictures: 'count' is %llu; it must be 1 to 2^56",
                        (unsigned long long)count);
    dm_dataset *dataset;
    int32_t status = dmi_dataset_new(&dataset, context);
    if (status != DMI_OK) return status;
    status = dmi_alloc(host, &dataset->state, sizeof(builtin_state), "built-in pictures");
    if (status != DMI_OK) {
        dm_dataset_destroy(dataset);
        return status;
    }
    ((builtin_state *)dataset->state)->seed = seed;
    dataset->count = count;
    dataset->height = dataset->width = size;
    dataset->channels = 3;
    dataset->classes = DMI_SHAPES;
    dataset->class_names = dmi_builtin_names;
    dataset->read = read_drawn;
    dataset->close = free_state;
    dataset->concurrent = true;
    *out = dataset;
    return DM_OK;
}
