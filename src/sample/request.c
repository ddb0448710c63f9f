/* SPDX-License-Identifier: MIT */
/* Reading and checking a request. */
#include "sample/run.h"

dm_status dm_sampler_request_init(dm_sampler_request *request, size_t size) {
    return dmi_struct_init(&dmi_struct_sampler_request, request, size);
}

/* ---- arrays ---- */

/* One array of the request: `elements` must be `wanted`, or 0 without the array. */
static dm_status check_array(const dm_sampler *s, const char *name, const char *elements_name,
                             const void *array, uint64_t elements, uint64_t wanted) {
    dmi_host *host = &s->context->host;
    if (!array) wanted = 0;
    if (elements == wanted) return DM_OK;
    if (!array)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: '%s' is %llu; without '%s' it must be 0", elements_name,
                        (unsigned long long)elements, name);
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "sampler: '%s' is %llu; it must be %llu",
                    elements_name, (unsigned long long)elements, (unsigned long long)wanted);
}

/* One condition, of `size` elements for each image; 0 where the model takes none. */
static dm_status check_condition(const dm_sampler *s, const char *name, const char *elements_name,
                                 const void *array, uint64_t elements, uint64_t count,
                                 size_t size) {
    size_t all;
    if (array && size == 0)
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: '%s' is given, but the model takes none", name);
    if (!dmi_mul((size_t)count, size, &all))
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: %llu conditions of %zu values are too many",
                        (unsigned long long)count, size);
    return check_array(s, name, elements_name, array, elements, all);
}

static dm_status check_arrays(const dm_sampler *s, const dm_sampler_request *r) {
    uint64_t pixels = (uint64_t)s->height * (uint64_t)s->width;
    size_t all;
    if (!dmi_mul((size_t)r->count, s->elements, &all))
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: %llu images of %zu values are too many",
                        (unsigned long long)r->count, s->elements);
    dm_status status = check_array(s, "seeds", "seed_count", r->seeds, r->seed_count, r->count);
    if (!status)
        status = check_array(s, "labels", "label_count", r->labels, r->label_count, r->count);
    if (!status)
        status = check_array(s, "initial_noise", "initial_noise_elements", r->initial_noise,
                             r->initial_noise_elements, all);
    if (!status)
        status = check_array(s, "image", "image_elements", r->image, r->image_elements, all);
    if (!status)
        status =
            check_array(s, "mask", "mask_elements", r->mask, r->mask_elements, r->count * pixels);
    if (!status)
        status =
            check_condition(s, "condition_image", "condition_image_elements", r->condition_image,
                            r->condition_image_elements, r->count, s->image_condition);
    if (!status)
        status =
            check_condition(s, "condition_vector", "condition_vector_elements", r->condition_vector,
                            r->condition_vector_elements, r->count, s->vector_condition);
    return status;
}

/* `elements`: of each image. */
static dm_status check_finite(const dm_sampler *s, const char *name, const float *values,
                              uint64_t count, size_t elements) {
    for (uint64_t i = 0; values && i < count; i++)
        if (!s->context->kernels->all_finite(values + i * elements, elements))
            return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                            "sampler: '%s' of image %llu has infinities or NaN", name,
                            (unsigned long long)i);
    return DM_OK;
}

/* Of a network that embeds them like the time; the unconditional half has zeros. */
static dm_status check_condition_times(const dm_sampler *s, const dm_sampler_request *r) {
    if (!s->unet) return DM_OK;
    dm_status status =
        dmi_unet_check_condition_times(s->unet, "sampler", r->condition_vector, r->count);
    if (status || !r->condition_vector || s->options.guidance == 1) return status;
    status = dmi_unet_check_condition_times(s->unet, "sampler", NULL, 1);
    if (!status) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                    "sampler: 'guidance' %g cannot be combined with a condition that is embedded "
                    "by 'time_features' fourier: no condition would be 0, which must be above 0",
                    s->options.guidance);
}

static bool takes_conditions(const dm_sampler *s) {
    return s->image_condition || s->vector_condition;
}

static dm_status check_labels(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    bool conditions = r->condition_image || r->condition_vector;
    bool labels = r->labels && s->label_minimum < 0; /* which the unconditional half leaves out */
    if (!labels && !conditions && s->options.guidance != 1)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'guidance' %g cannot be combined with a request without "
                        "'labels'%s: it guides towards a class%s",
                        s->options.guidance,
                        takes_conditions(s) ? ", 'condition_image' and 'condition_vector'" : "",
                        takes_conditions(s) ? " or a condition" : "");
    if (!r->labels && s->label_minimum == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'labels' is NULL; a network with 'null_row' 0 needs them");
    if (!r->labels || s->classes < 0) return DM_OK;
    if (s->classes == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'labels' are given, but the model has no classes");
    for (uint64_t i = 0; i < r->count; i++)
        if (r->labels[i] < s->label_minimum || r->labels[i] >= s->classes)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "sampler: the label of image %llu is %d; it must be from 0 to %d%s",
                            (unsigned long long)i, (int)r->labels[i], (int)s->classes - 1,
                            s->label_minimum ? ", or -1 for none" : "");
    return DM_OK;
}

static dm_status check_mask_values(const dm_sampler *s, const dm_sampler_request *r) {
    size_t width = (size_t)s->width, pixels = (size_t)s->height * width;
    for (size_t i = 0; r->mask && i < (size_t)r->count * pixels; i++)
        if (!(r->mask[i] >= 0 && r->mask[i] <= 1))
            return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                            "sampler: the mask of image %zu is %g at row %zu, column %zu; it must "
                            "be from 0 to 1",
                            i / pixels, (double)r->mask[i], i % pixels / width, i % width);
    return DM_OK;
}

/* ---- rules ---- */

static dm_status check_strength(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    int32_t left = s->options.steps - dmi_request_first_step(s, r);
    if (r->strength < 1 && !r->image)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'strength' %g cannot be combined with a request without 'image'",
                        r->strength);
    if (r->strength < 1 && r->initial_noise)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'strength' %g cannot be combined with 'initial_noise': both say "
                        "where to begin",
                        r->strength);
    if (left < s->solver->steps_min)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'strength' %g leaves %d steps; the solver %s needs at least %d",
                        r->strength, (int)left, dm_enum_name("dm_solver", s->options.solver),
                        (int)s->solver->steps_min);
    return DM_OK;
}

static dm_status check_repaint(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    if (r->mask && !r->image)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'mask' cannot be combined with a request without 'image'");
    if (r->repaint_repetitions > 1 && !r->mask)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'repaint_repetitions' %d cannot be combined with a request without "
            "'mask'",
            (int)r->repaint_repetitions);
    if (r->repaint_repetitions > 1 && s->solver->multistep)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'repaint_repetitions' %d cannot be combined with the solver %s, which "
            "uses the steps before",
            (int)r->repaint_repetitions, dm_enum_name("dm_solver", s->options.solver));
    return DM_OK;
}

dm_status dmi_request_read(const dm_sampler *s, dm_sampler_request *full,
                           const dm_sampler_request *request) {
    dm_status status =
        dmi_struct_read_checked(&s->context->host, &dmi_struct_sampler_request, full, request);
    if (!status) status = check_arrays(s, full);
    if (!status) status = check_strength(s, full);
    if (!status) status = check_repaint(s, full);
    if (!status)
        status = check_finite(s, "initial_noise", full->initial_noise, full->count, s->elements);
    if (!status) status = check_finite(s, "image", full->image, full->count, s->elements);
    if (!status)
        status = check_finite(s, "condition_image", full->condition_image, full->count,
                              s->image_condition);
    if (!status)
        status = check_finite(s, "condition_vector", full->condition_vector, full->count,
                              s->vector_condition);
    if (!status) status = check_condition_times(s, full);
    if (!status) status = check_mask_values(s, full);
    return status ? status : check_labels(s, full);
}

int32_t dmi_request_first_step(const dm_sampler *s, const dm_sampler_request *r) {
    int32_t left = (int32_t)(r->strength * s->options.steps + 0.5);
    return s->options.steps - (left < 1 ? 1 : left);
}

dm_status dmi_request_check_images(const dm_sampler *s, const dm_sampler_request *r,
                                   const float *images, size_t elements) {
    dmi_host *host = &s->context->host;
    if (!images) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'images' is NULL");
    if (elements == (size_t)r->count * s->elements) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "sampler: 'elements' is %zu; %llu images of %d x %d x %d have %zu", elements,
                    (unsigned long long)r->count, (int)s->height, (int)s->width, (int)s->channels,
                    (size_t)r->count * s->elements);
}
