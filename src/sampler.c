/* The sampler's life: its options are checked and every coefficient of every step is worked out when it is made.
 * The run is in sampler_run.c. */
#include "sampler.h"

#include "options.h"
#include "spacing.h"

enum { BATCH_MOST = 4096 };

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "dm_sampler_cancel must be safe in a signal handler");

static const dm_sampler_options defaults = {
    .struct_size = sizeof(dm_sampler_options),
    .solver = DM_SOLVER_DDIM,
    .steps = 50,
    .spacing = DM_SPACING_TRAILING,
    .variance = DM_VARIANCE_FIXED_LARGE,
    .clip = 1,
    .final_alpha_one = 1,
    .batch_size = 16,
};

int32_t dm_sampler_options_init(dm_sampler_options *options, size_t size) {
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults, "dm_sampler_options");
}

static int32_t check_options(dmi_host *host, const dm_sampler_options *o, int32_t total) {
    int32_t status = dmi_check_range(host, "sampler", "steps", o->steps, 1, total);
    if (!status)
        status = dmi_check_range(host, "sampler", "variance", o->variance, DM_VARIANCE_FIXED_SMALL, DM_VARIANCE_FIXED_LARGE);
    if (!status) status = dmi_check_range(host, "sampler", "clip", o->clip, 0, 1);
    if (!status) status = dmi_check_range(host, "sampler", "rederive_eps", o->rederive_eps, 0, 1);
    if (!status) status = dmi_check_range(host, "sampler", "final_alpha_one", o->final_alpha_one, 0, 1);
    if (!status) status = dmi_check_range(host, "sampler", "batch_size", o->batch_size, 1, BATCH_MOST);
    if (status) return status;
    if (!dmi_solver_find(o->solver))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'solver' is %d; it must be 0 (ddpm) or 1 (ddim)",
                        (int)o->solver);
    if (!(o->eta >= 0 && o->eta <= 1))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'eta' is %g; it must be 0 to 1", o->eta);
    if (o->eta != 0 && o->solver != DM_SOLVER_DDIM)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'eta' is %g; only the DDIM solver has one", o->eta);
    return DM_OK;
}

/* The timesteps and the coefficients of each. */
static int32_t plan(dm_sampler *sampler, const dm_schedule *schedule, int32_t prediction) {
    dmi_host *host = &sampler->context->host;
    dm_sampler_options *o = &sampler->options;
    size_t steps = (size_t)o->steps;
    int32_t status = dmi_alloc_array(host, (void **)&sampler->timesteps, steps, sizeof(int32_t), "sampler: timesteps");
    if (!status) status = dmi_spacing(host, o, schedule->steps, sampler->timesteps);
    if (!status)
        status = dmi_alloc_array(host, (void **)&sampler->updates, steps, sizeof *sampler->updates, "sampler: coefficients");
    if (status) return status;
    o->timesteps = NULL;
    const dmi_solver *solver = dmi_solver_find(o->solver);
    for (int32_t i = 0; i < o->steps; i++) {
        dmi_solver_step step;
        solver->step(schedule, o, sampler->timesteps, o->steps, i, &step);
        dmi_solver_fold(&step, schedule->alpha_cumprod[sampler->timesteps[i]], prediction, o, &sampler->updates[i]);
    }
    return DM_OK;
}

/* `model` has what says where outputs come from and how large pictures are. */
static int32_t sampler_new(dm_sampler **out, const dm_sampler *model, const dm_schedule *schedule, int32_t prediction,
                           const dm_sampler_options *options) {
    dm_context *context = model->context;
    dmi_host *host = &context->host;
    dm_sampler_options full = defaults;
    int32_t status = dmi_options_read(host, &full, sizeof full, options, "dm_sampler_options");
    if (!status) status = check_options(host, &full, schedule->steps);
    if (status) return status;
    dm_sampler *sampler;
    status = dmi_alloc_zero(host, (void **)&sampler, 1, sizeof *sampler, "sampler");
    if (status) return status;
    sampler->context = context;
    sampler->unet = model->unet;
    sampler->denoiser = model->denoiser;
    sampler->denoiser_user = model->denoiser_user;
    sampler->options = full;
    sampler->height = model->height;
    sampler->width = model->width;
    sampler->channels = model->channels;
    sampler->elements = (size_t)model->height * (size_t)model->width * (size_t)model->channels;
    atomic_init(&sampler->cancelled, 0);
    status = plan(sampler, schedule, prediction);
    if (status) {
        dm_sampler_destroy(sampler);
        return status;
    }
    *out = sampler;
    return DM_OK;
}

int32_t dm_sampler_create(dm_sampler **out, dm_unet *unet, const dm_schedule *schedule, const dm_sampler_options *options) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!out || !schedule)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: '%s' is NULL", out ? "schedule" : "out");
    const dm_unet_options *u = &unet->options;
    if (u->in_channels != u->out_channels)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "sampler: the network has %d channels in and %d out; a sampler needs as many out as in",
                        (int)u->in_channels, (int)u->out_channels);
    dm_sampler model = {.context = unet->context, .unet = unet, .height = u->height, .width = u->width,
                        .channels = u->in_channels};
    return sampler_new(out, &model, schedule, u->prediction, options);
}

int32_t dm_sampler_create_with_denoiser(dm_sampler **out, dm_context *context, const dm_schedule *schedule,
                                        dm_denoiser denoiser, void *user, int32_t prediction, int32_t height,
                                        int32_t width, int32_t channels, const dm_sampler_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out || !schedule || !denoiser)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: '%s' is NULL",
                        !out ? "out" : !schedule ? "schedule" : "denoiser");
    enum { SIDE_MOST = 65536 };
    int32_t status = dmi_check_range(host, "sampler", "prediction", prediction, DM_PREDICT_EPS, DM_PREDICT_V);
    if (!status) status = dmi_check_range(host, "sampler", "height", height, 1, SIDE_MOST);
    if (!status) status = dmi_check_range(host, "sampler", "width", width, 1, SIDE_MOST);
    if (!status) status = dmi_check_range(host, "sampler", "channels", channels, 1, SIDE_MOST);
    if (status) return status;
    size_t bytes;
    if (!dmi_mul((size_t)height * sizeof(float), (size_t)width, &bytes) || !dmi_mul(bytes, (size_t)channels, &bytes))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: a picture of %d x %d x %d is too large", (int)height,
                        (int)width, (int)channels);
    dm_sampler model = {.context = context, .denoiser = denoiser, .denoiser_user = user, .height = height, .width = width,
                        .channels = channels};
    return sampler_new(out, &model, schedule, prediction, options);
}

int32_t dm_sampler_steps(const dm_sampler *sampler) {
    return sampler ? sampler->options.steps : 0;
}

int32_t dm_sampler_timesteps(const dm_sampler *sampler, int32_t *timesteps, size_t count) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &sampler->context->host;
    if (!timesteps) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'timesteps' is NULL");
    if (count != (size_t)sampler->options.steps)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "sampler: 'count' is %zu; it must be the number of steps, %d",
                        count, (int)sampler->options.steps);
    for (size_t i = 0; i < count; i++) timesteps[i] = sampler->timesteps[i];
    return DM_OK;
}

void dm_sampler_cancel(dm_sampler *sampler) {
    if (sampler) atomic_store(&sampler->cancelled, 1);
}

void dm_sampler_destroy(dm_sampler *sampler) {
    if (!sampler) return;
    dmi_host *host = &sampler->context->host;
    dmi_free(host, sampler->timesteps);
    dmi_free(host, sampler->updates);
    dmi_sampler_release(sampler);
    dmi_free(host, sampler);
}
