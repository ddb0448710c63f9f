/* The sampler's life: its options are checked, and the way is worked out, when it is made. The run
 * is in sampler_run.c. */
#include "sample/sampler.h"

#include "core/options.h"

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "dm_sampler_cancel must be safe in a signal handler");

/* `model` has what says where outputs come from, what they are, and how large pictures are. */
static int32_t sampler_new(dm_sampler **out, const dm_sampler *model,
                           const dm_sampler_options *options) {
    dmi_host *host = &model->context->host;
    dm_sampler_options full = dmi_sampler_defaults;
    int32_t status = dmi_options_read(host, &full, sizeof full, options, "dm_sampler_options");
    if (!status)
        status = dmi_schedule_check_prediction(host, "sampler", model->schedule, model->prediction);
    if (!status) status = dmi_sampler_check_options(model, &full);
    if (status) return status;
    dm_sampler *sampler;
    status = dmi_alloc_zero(host, &sampler, 1, sizeof *sampler, "sampler");
    if (status) return status;
    *sampler = *model;
    sampler->options = full;
    sampler->solver = dmi_solver_find(full.solver);
    sampler->elements = (size_t)model->height * (size_t)model->width * (size_t)model->channels;
    atomic_init(&sampler->cancelled, 0);
    status = dmi_sampler_plan_levels(sampler);
    if (status) {
        dm_sampler_destroy(sampler);
        return status;
    }
    sampler->options.timesteps = NULL;
    dmi_sampler_plan_stages(sampler, 0);
    *out = sampler;
    return DM_OK;
}

int32_t dm_sampler_create(dm_sampler **out, dm_unet *unet, const dm_schedule *schedule,
                          const dm_sampler_options *options) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!out || !schedule)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: '%s' is NULL",
                        out ? "schedule" : "out");
    const dm_unet_options *u = &unet->options;
    if (u->in_channels != u->out_channels)
        return dmi_fail(
            host, DM_ERROR_SHAPE_MISMATCH,
            "sampler: the network has %d channels in and %d out; a sampler needs as many out as in",
            (int)u->in_channels, (int)u->out_channels);
    dm_sampler model = {.context = unet->context,
                        .unet = unet,
                        .schedule = schedule,
                        .prediction = u->prediction,
                        .sigma_data = u->sigma_data,
                        .height = u->height,
                        .width = u->width,
                        .channels = u->in_channels,
                        .self_conditioning = u->self_conditioning != 0};
    return sampler_new(out, &model, options);
}

int32_t dm_sampler_create_with_denoiser(dm_sampler **out, dm_context *context,
                                        const dm_schedule *schedule, dm_denoiser denoiser,
                                        void *user, int32_t prediction, int32_t height,
                                        int32_t width, int32_t channels,
                                        const dm_sampler_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out || !schedule || !denoiser)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: '%s' is NULL",
                        !out        ? "out"
                        : !schedule ? "schedule"
                                    : "denoiser");
    enum { SIDE_MOST = 65536 };
    int32_t status =
        dmi_check_range(host, "sampler", "prediction", prediction, DM_PREDICT_EPS, DM_PREDICT_EDM);
    if (!status) status = dmi_check_range(host, "sampler", "height", height, 1, SIDE_MOST);
    if (!status) status = dmi_check_range(host, "sampler", "width", width, 1, SIDE_MOST);
    if (!status) status = dmi_check_range(host, "sampler", "channels", channels, 1, SIDE_MOST);
    if (status) return status;
    size_t bytes;
    if (!dmi_mul((size_t)height * sizeof(float), (size_t)width, &bytes) ||
        !dmi_mul(bytes, (size_t)channels, &bytes))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: a picture of %d x %d x %d is too large", (int)height, (int)width,
                        (int)channels);
    dm_unet_options usual;
    dm_unet_options_init(&usual, sizeof usual);
    dm_sampler model = {.context = context,
                        .denoiser = denoiser,
                        .denoiser_user = user,
                        .schedule = schedule,
                        .prediction = prediction,
                        .sigma_data = usual.sigma_data,
                        .height = height,
                        .width = width,
                        .channels = channels};
    return sampler_new(out, &model, options);
}

int32_t dm_sampler_steps(const dm_sampler *sampler) { return sampler ? sampler->options.steps : 0; }

int32_t dm_sampler_timesteps(const dm_sampler *sampler, int32_t *timesteps, size_t count) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &sampler->context->host;
    if (!timesteps)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'timesteps' is NULL");
    if (count != (size_t)sampler->options.steps)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "sampler: 'count' is %zu; it must be the number of steps, %d", count,
                        (int)sampler->options.steps);
    for (size_t i = 0; i < count; i++) timesteps[i] = (int32_t)(sampler->timesteps[i] + 0.5);
    return DM_OK;
}

void dm_sampler_cancel(dm_sampler *sampler) {
    if (sampler) atomic_store(&sampler->cancelled, 1);
}

void dm_sampler_destroy(dm_sampler *sampler) {
    if (!sampler) return;
    dmi_host *host = &sampler->context->host;
    dmi_free(host, sampler->timesteps);
    dmi_free(host, sampler->levels);
    dmi_free(host, sampler->stages);
    dmi_free(host, sampler->begins);
    dmi_sampler_release(sampler);
    dmi_free(host, sampler);
}
