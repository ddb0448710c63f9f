/* What all datasets share: their life, and the checks of their public functions. */
#include "dataset/dataset.h"

int32_t dmi_dataset_new(dm_dataset **out, dm_context *context) {
    void *block;
    const int32_t status = dmi_alloc_zero(&context->host, &block, 1, sizeof(dm_dataset), "dataset");
    *out = block;
    if (status == DMI_OK) (*out)->context = context;
    return status;
}

int32_t dm_dataset_size(const dm_dataset *dataset, uint64_t *count, int32_t *height, int32_t *width,
                        int32_t *channels, int32_t *classes) {
    if (dataset == NULL) return DM_ERROR_INVALID_ARGUMENT;
    if (count != NULL) *count = dataset->count;
    if (height != NULL) *height = dataset->height;
    if (width != NULL) *width = dataset->width;
    if (channels != NULL) *channels = dataset->channels;
    if (classes != NULL) *classes = dataset->classes;
    return DM_OK;
}

int32_t dm_dataset_get(const dm_dataset *dataset, uint64_t index, uint8_t *pixels, size_t count,
                       int32_t *label) {
    if (dataset == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &dataset->context->host;
    if (pixels == NULL)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'pixels' is NULL");
    if (index >= dataset->count)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "dataset: 'index' is %llu; there are %llu pictures",
                        (unsigned long long)index, (unsigned long long)dataset->count);
    const size_t size =
        (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
    if (count != size)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "dataset: 'count' is %zu; a picture has %d x %d x %d = %zu bytes", count,
                        dataset->height, dataset->width, dataset->channels, size);
    int32_t its_label = -1;
    const int32_t status = dataset->read(dataset, index, pixels, &its_label);
    if (status == DMI_OK && label != NULL) *label = its_label;
    return status;
}

const char *dm_dataset_class_name(const dm_dataset *dataset, int32_t label) {
    if (dataset == NULL || dataset->class_names == NULL || label < 0 || label >= dataset->classes)
        return NULL;
    return dataset->class_names[label];
}

void dm_dataset_destroy(dm_dataset *dataset) {
    if (dataset == NULL) return;
    if (dataset->close != NULL) dataset->close(dataset);
    dmi_free(&dataset->context->host, dataset);
}
