/* A request's defaults, and what of it makes no sense. */
#include "sample/sampler.h"

#include "core/options.h"

enum { COUNT_MOST = 65536, REPAINT_MOST = 100 };

const dm_sampler_request dmi_request_defaults = {.struct_size = sizeof(dm_sampler_request),
                                                 .count = 1,
                                                 .strength = 1,
                                                 .repaint_times = 1,
                                                 .repaint_jump = 10};

int32_t dm_sampler_request_init(dm_sampler_request *request, size_t size) {
    return dmi_options_write(NULL, request, size, &dmi_request_defaults,
                             sizeof dmi_request_defaults, "dm_sampler_request");
}

static int32_t check_labels(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    if (!r->labels && s->options.guidance != 1)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'guidance' %g and a request without labels don't go together: it "
                        "guides towards a class",
                        s->options.guidance);
    if (!r->labels || !s->unet) return DM_OK;
    int32_t classes = s->unet->options.classes;
    if (classes == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: labels were given, but the network has no classes");
    for (uint64_t i = 0; i < r->count; i++)
        if (r->labels[i] < -1 || r->labels[i] > classes)
            return dmi_fail(
                host, DM_ERROR_INVALID_ARGUMENT,
                "sampler: the label of picture %llu is %d; it must be 0 to %d, or -1 for none",
                (unsigned long long)i, (int)r->labels[i], (int)classes - 1);
    return DM_OK;
}

static int32_t check_pictures(const dm_sampler *s, const char *name, const float *pictures,
                              uint64_t count, size_t elements) {
    for (uint64_t i = 0; pictures && i < count; i++)
        if (!s->context->kernels->all_finite(pictures + i * elements, elements))
            return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                            "sampler: '%s' of picture %llu has infinities or NaN", name,
                            (unsigned long long)i);
    return DM_OK;
}

static int32_t check_mask(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    size_t pixels = (size_t)s->height * (size_t)s->width;
    for (size_t i = 0; i < (size_t)r->count * pixels; i++)
        if (!(r->mask[i] >= 0 && r->mask[i] <= 1))
            return dmi_fail(
                host, DM_ERROR_INVALID_ARGUMENT,
                "sampler: the mask of picture %zu is %g at pixel (%zu, %zu); it must be 0 to 1",
                i / pixels, (double)r->mask[i], i % pixels / (size_t)s->width,
                i % pixels % (size_t)s->width);
    return DM_OK;
}

/* That the mask has a size which goes with the pictures, as far as the request tells it. */
static int32_t check_mask_size(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    size_t pixels = (size_t)s->height * (size_t)s->width;
    if (!r->mask && r->mask_elements)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'mask_elements' %llu and a request without 'mask' don't go together",
            (unsigned long long)r->mask_elements);
    if (r->mask && !r->image)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: a 'mask' and a request without 'image' don't go together");
    if (r->mask && r->mask_elements != r->count * pixels)
        return dmi_fail(
            host, DM_ERROR_SHAPE_MISMATCH,
            "sampler: 'mask_elements' %llu and the pictures don't go together: the mask of %llu "
            "pictures of %d x %d has %llu, one for each pixel",
            (unsigned long long)r->mask_elements, (unsigned long long)r->count, (int)s->height,
            (int)s->width, (unsigned long long)(r->count * pixels));
    return DM_OK;
}

/* Where a picture is begun from, and what is kept of it. */
static int32_t check_image(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    if (!(r->strength > 0 && r->strength <= 1))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the request's 'strength' is %g; it must be above 0, at most 1",
                        r->strength);
    if (r->strength < 1 && !r->image)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'strength' %g and a request without 'image' don't go together",
                        r->strength);
    if (r->strength < 1 && r->start)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'strength' %g and 'start' don't go together: each says what to begin from",
            r->strength);
    int32_t first = dmi_request_first(s, r);
    if (s->options.steps - first < s->solver->steps_least)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'strength' %g and the solver %s don't go together: it leaves %d steps, of "
            "which it needs %d",
            r->strength, s->solver->name, (int)(s->options.steps - first),
            (int)s->solver->steps_least);
    int32_t status = check_mask_size(s, r);
    if (!status)
        status =
            dmi_check_range(host, "sampler", "repaint_times", r->repaint_times, 1, REPAINT_MOST);
    if (!status)
        status = dmi_check_range(host, "sampler", "repaint_jump", r->repaint_jump, 1,
                                 DMI_SCHEDULE_STEPS_MOST);
    if (status) return status;
    if (r->repaint_times > 1 && !r->mask)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'repaint_times' %d and a request without 'mask' don't go together",
            (int)r->repaint_times);
    if (r->repaint_times > 1 && s->solver->multistep)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'repaint_times' %d and the solver %s don't go together: it builds on the "
            "steps before, which would be gone back on",
            (int)r->repaint_times, s->solver->name);
    status = check_pictures(s, "image", r->image, r->count, s->elements);
    return status || !r->mask ? status : check_mask(s, r);
}

int32_t dmi_request_first(const dm_sampler *s, const dm_sampler_request *r) {
    int32_t left = (int32_t)(r->strength * s->options.steps + 0.5);
    return s->options.steps - (left < 1 ? 1 : left);
}

int32_t dmi_request_check(const dm_sampler *s, const dm_sampler_request *r, const float *images,
                          size_t elements) {
    dmi_host *host = &s->context->host;
    int32_t status =
        dmi_check_range(host, "sampler", "random", r->random, DM_RANDOM_PHILOX, DM_RANDOM_TORCH);
    if (status) return status;
    if (r->count < 1 || r->count > COUNT_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the request's 'count' is %llu; it must be 1 to %d",
                        (unsigned long long)r->count, (int)COUNT_MOST);
    if (!images) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'images' is NULL");
    size_t total;
    if (!dmi_mul((size_t)r->count, s->elements, &total) || elements != total)
        return dmi_fail(
            host, DM_ERROR_SHAPE_MISMATCH,
            "sampler: 'elements' is %zu; %llu pictures of %d x %d x %d have another number",
            elements, (unsigned long long)r->count, (int)s->height, (int)s->width,
            (int)s->channels);
    status = check_pictures(s, "start", r->start, r->count, s->elements);
    if (!status) status = check_image(s, r);
    return status ? status : check_labels(s, r);
}
