/* The way from pictures to the noise that they come from (Song, Meng and Ermon 2021), and between
 * two pictures of noise. */
#include <math.h>
#include <string.h>

#include "sample/sampler.h"

/* Turns the sampler's way round, in memory of its own: the path from the clean picture to the first
 * level. */
static int32_t plan_back(dm_sampler *s, dmi_run *run, dmi_level **levels, dmi_stage **stages,
                         int32_t **begins) {
    dmi_host *host = &s->context->host;
    int32_t steps = s->options.steps;
    size_t count = (size_t)steps + 1;
    int32_t status =
        dmi_alloc_array(host, levels, count, sizeof **levels, "sampler: levels of the way back");
    if (!status)
        status = dmi_alloc_array(host, stages, count, sizeof **stages,
                                 "sampler: stages of the way back");
    if (!status)
        status =
            dmi_alloc_array(host, begins, count, sizeof **begins, "sampler: steps of the way back");
    if (status) return status;
    for (int32_t i = 0; i <= steps; i++) (*levels)[i] = s->levels[steps - i];
    dmi_path path = {.schedule = s->schedule,
                     .options = &s->options,
                     .levels = *levels,
                     .steps = steps};
    for (int32_t i = 0; i < steps; i++)
        (*begins)[i] = i, dmi_solver_inversion.step(&path, i, *stages + i);
    (*begins)[steps] = steps;
    *run = (dmi_run){.sampler = s, .stages = *stages, .begins = *begins, .levels = *levels};
    return DM_OK;
}

static int32_t check(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    const char *with = NULL;
    if (!r->image)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: invert: the request has no 'image'");
    if (s->options.solver != DM_SOLVER_DDIM || s->options.eta != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: invert and the solver %s with 'eta' %g don't go together: only "
                        "ddim without noise has a way back",
                        s->solver->name, s->options.eta);
    if (r->strength < 1) with = "strength";
    else if (r->mask) with = "mask";
    else if (r->start) with = "start";
    if (!with) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: invert and '%s' don't go together",
                    with);
}

int32_t dm_sampler_invert(dm_sampler *sampler, const dm_sampler_request *request, float *noise,
                          size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &sampler->context->host;
    dm_sampler_request r = dmi_request_defaults;
    int32_t status = dmi_options_read(host, &r, sizeof r, request, "dm_sampler_request");
    if (!status) status = check(sampler, &r);
    if (!status) status = dmi_request_check(sampler, &r, noise, elements);
    if (status) return status;
    dmi_level *levels = NULL;
    dmi_stage *stages = NULL;
    int32_t *begins = NULL;
    dmi_run run;
    status = plan_back(sampler, &run, &levels, &stages, &begins);
    r.start = r.image;
    run.request = &r;
    if (!status) status = dmi_run_batches(&run, 0, noise);
    dmi_free(host, levels);
    dmi_free(host, stages);
    dmi_free(host, begins);
    return dmi_run_end(sampler, status);
}

int32_t dm_interpolate(float *out, const float *a, const float *b, double weight, size_t elements) {
    if (!out || !a || !b || !(weight >= 0 && weight <= 1)) return DM_ERROR_INVALID_ARGUMENT;
    double aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < elements; i++)
        aa += (double)a[i] * a[i], bb += (double)b[i] * b[i], ab += (double)a[i] * b[i];
    double cosine = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 1, of_a = 1 - weight, of_b = weight;
    const double parallel = 0.9995;
    if (fabs(cosine) < parallel) {
        double angle = acos(cosine);
        of_a = sin((1 - weight) * angle) / sin(angle);
        of_b = sin(weight * angle) / sin(angle);
    }
    for (size_t i = 0; i < elements; i++) out[i] = (float)(of_a * a[i] + of_b * b[i]);
    return DM_OK;
}
