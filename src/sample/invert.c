/* SPDX-License-Identifier: MIT */
/* DDIM inversion (Song, Meng and Ermon 2021), and interpolation between noise arrays. */
#include <math.h>

#include "sample/run.h"

/* The sampler's levels in reverse, from the clean image to the first level. */
static dm_status plan_inversion(const dm_sampler *s, dmi_sampler_plan *plan) {
    int32_t steps = s->plan.steps;
    dm_status status = dmi_sampler_plan_allocate(&s->context->host, plan, steps,
                                                 dmi_solver_ddim_inversion.stages_max);
    if (status) return status;
    for (int32_t i = 0; i <= steps; i++) {
        plan->levels[i] = s->plan.levels[steps - i];
        plan->timesteps[i] = s->plan.timesteps[steps - i];
        plan->stage_offsets[i] = i;
    }
    dmi_path path = {.schedule = s->schedule,
                     .options = &s->options,
                     .levels = plan->levels,
                     .timesteps = plan->timesteps,
                     .steps = steps};
    for (int32_t i = 0; i < steps; i++) dmi_solver_ddim_inversion.step(&path, i, plan->stages + i);
    return DM_OK;
}

static dm_status check(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    const char *option = r->strength < 1    ? "strength"
                         : r->mask          ? "mask"
                         : r->initial_noise ? "initial_noise"
                                            : NULL;
    if (!r->image)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: inversion needs the request's 'image', which is NULL");
    if (s->options.solver != DM_SOLVER_DDIM || s->options.eta != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: inversion cannot be combined with the solver %s with 'eta' %g: "
                        "only ddim without noise can be inverted",
                        dm_enum_name("dm_solver", s->options.solver), s->options.eta);
    if (!option) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "sampler: inversion cannot be combined with '%s'", option);
}

static dm_status invert(dm_sampler *s, const dm_sampler_request *request, float *noise,
                        size_t elements) {
    dmi_run run = {.sampler = s, .images = noise};
    dmi_sampler_plan plan = {0};
    dm_status status = dmi_run_check_idle(s);
    if (!status) status = dmi_request_read(s, &run.request, request);
    if (!status) status = check(s, &run.request);
    if (!status) status = dmi_request_check_images(s, &run.request, noise, elements);
    if (status) return status;
    run.request.initial_noise = run.request.image;
    status = plan_inversion(s, &plan);
    if (!status) status = dmi_run_begin(&run, &plan);
    if (!status) status = dmi_run_all(&run);
    dmi_sampler_plan_free(&s->context->host, &plan);
    return dmi_run_clear_cancel(s, status);
}

dm_status dm_sampler_invert(dm_sampler *sampler, const dm_sampler_request *request, float *noise,
                            size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, invert(sampler, request, noise, elements));
}

dm_status dm_noise_interpolate(float *out, const float *a, const float *b, double weight,
                               size_t elements) {
    if (!out || !a || !b || !(weight >= 0 && weight <= 1)) return DM_ERROR_INVALID_ARGUMENT;
    const double parallel = 0.9995;
    double aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < elements; i++)
        aa += (double)a[i] * a[i], bb += (double)b[i] * b[i], ab += (double)a[i] * b[i];
    double cosine = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 1, of_a = 1 - weight, of_b = weight;
    if (fabs(cosine) < parallel) {
        double angle = acos(cosine);
        of_a = sin((1 - weight) * angle) / sin(angle);
        of_b = sin(weight * angle) / sin(angle);
    }
    for (size_t i = 0; i < elements; i++) out[i] = (float)(of_a * a[i] + of_b * b[i]);
    return DM_OK;
}
