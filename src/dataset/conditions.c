/* SPDX-License-Identifier: MIT */
/* The conditions of a dataset's images: reading them, and the checks of what uses them. */
#include <math.h>

#include "dataset/dataset.h"

dm_status dmi_dataset_check_conditions(const dm_dataset *dataset, const char *owner,
                                       int32_t condition_channels, int32_t condition_size) {
    dmi_host *host = &dataset->context->host;
    if (condition_channels && condition_channels != dataset->condition_channels)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: the dataset's condition images have %d channels; the network's "
                        "'condition_channels' is %d",
                        owner, (int)dataset->condition_channels, (int)condition_channels);
    if (condition_size && condition_size != dataset->condition_size)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: the dataset's condition vectors have %d floats; the network's "
                        "'condition_size' is %d",
                        owner, (int)dataset->condition_size, (int)condition_size);
    return DM_OK;
}

dm_status dmi_dataset_check_vector(dmi_host *host, uint64_t index, const float *vector,
                                   int32_t size) {
    for (int32_t i = 0; i < size; i++)
        if (!isfinite(vector[i]))
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "dataset: element %d of the condition vector of image %llu is %g; it "
                            "must be finite",
                            (int)i, (unsigned long long)index, (double)vector[i]);
    return DM_OK;
}

/* ---- dm_dataset_get_condition ---- */

/* `given` must be `wanted`, or 0 without the array. */
static dm_status check_size(dmi_host *host, const char *name, size_t given, bool has_array,
                            size_t wanted) {
    if (has_array && wanted == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: it has no condition %s", name);
    if (given == (has_array ? wanted : 0)) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "dataset: the size of the condition %s is %zu; it must be %zu", name, given,
                    has_array ? wanted : 0);
}

static dm_status get_condition(const dm_dataset *dataset, uint64_t index, uint8_t *image,
                               size_t bytes, float *vector, size_t elements) {
    dmi_host *host = &dataset->context->host;
    dmi_dataset_image all = {.condition_image = image, .condition_vector = vector};
    if (index >= dataset->count)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "dataset: 'index' is %llu; there are %llu images",
                        (unsigned long long)index, (unsigned long long)dataset->count);
    dm_status status =
        check_size(host, "image", bytes, image != NULL, dmi_dataset_condition_bytes(dataset));
    if (!status)
        status =
            check_size(host, "vector", elements, vector != NULL, (size_t)dataset->condition_size);
    if (status || (!image && !vector)) return status;
    status = dmi_alloc(host, &all.pixels, dmi_dataset_image_bytes(dataset), "dataset: image");
    if (!status) status = dataset->read(dataset, index, &all);
    dmi_free(host, all.pixels);
    return status;
}

dm_status dm_dataset_get_condition(const dm_dataset *dataset, uint64_t index, uint8_t *image,
                                   size_t bytes, float *vector, size_t elements) {
    if (!dataset) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(dataset->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(dataset->context,
                     get_condition(dataset, index, image, bytes, vector, elements));
}
