/* SPDX-License-Identifier: MIT */
/* See compare.h. */
#include "measure/compare.h"

#include <stdlib.h>

#include "measure/frechet.h"

enum { BATCH = 64 };

dm_status compare_sets(comparison *out, const feature_set *data, const feature_set *samples,
                       int (*stop)(void *), void *user) {
    feature_set a = {0}, b = {0};
    dm_status status = frechet_distance(&out->distance, data, samples);
    if (!status) status = feature_set_standardise(&a, data, data);
    if (!status) status = feature_set_standardise(&b, samples, data);
    if (!status) status = kernel_distance_measure(&out->kernel, &a, &b, stop, user);
    if (!status) status = precision_recall_measure(&out->pr, &a, &b, stop, user);
    feature_set_free(&a);
    feature_set_free(&b);
    return status;
}

dm_status add_data_features(feature_set *set, feature_network *network, const dm_dataset *dataset,
                            uint64_t first, uint64_t count, int (*stop)(void *), void *user) {
    dm_dataset_info info;
    dm_dataset_info_init(&info, sizeof info);
    dm_status status = dm_dataset_get_info(dataset, &info);
    size_t elements = (size_t)info.height * (size_t)info.width * (size_t)info.channels;
    uint8_t *pixels = malloc(BATCH * elements);
    float *images = malloc(BATCH * elements * sizeof *images);
    if (!status && !(pixels && images)) status = DM_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; !status && i < count; i += BATCH) {
        size_t size = count - i < BATCH ? (size_t)(count - i) : BATCH;
        for (size_t k = 0; !status && k < size; k++)
            status = dm_dataset_get_image(dataset, (first + i + k) % info.count,
                                          pixels + k * elements, elements, NULL);
        if (!status) status = dm_image_from_u8(images, pixels, size * elements);
        if (!status) status = feature_set_add(set, network, images, size);
        if (!status && stop && stop(user)) status = DM_ERROR_CANCELLED;
    }
    free(pixels);
    free(images);
    return status;
}
