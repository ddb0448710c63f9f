/* SPDX-License-Identifier: MIT */
/* Samplers: created, run with several solvers, in steps, inverted. */
#include <string.h>

#include "cases.h"

enum { COUNT = 3 }; /* images, more than a batch */

enum {
    DDIM,
    GUIDED,    /* DPM-Solver++, guidance, dynamic thresholding */
    ANCESTRAL, /* DDPM */
    PNDM,
    UNIPC, /* custom timesteps */
    HEUN,  /* churn, Karras's grid */
    REPAINT,
    CALLBACK,   /* DDIM, guided by a callback */
    CONDITIONS, /* DDIM, with conditions and guidance */
    KINDS
};

static const double times[4] = {19, 11.5, 6, 1};

static dm_sampler_options options_of(int32_t kind) {
    static const dm_solver solvers[KINDS] = {DM_SOLVER_DDIM, DM_SOLVER_DPMPP, DM_SOLVER_DDPM,
                                             DM_SOLVER_PNDM, DM_SOLVER_UNIPC, DM_SOLVER_HEUN,
                                             DM_SOLVER_DDIM, DM_SOLVER_DDIM,  DM_SOLVER_DDIM};
    dm_sampler_options o;
    dm_sampler_options_init(&o, sizeof o);
    o.solver = solvers[kind];
    o.steps = 4;
    o.batch_size = 2;
    if (kind == GUIDED) {
        o.order = 3;
        o.guidance = 2;
        o.guidance_rescale = 0.5;
        o.threshold = 0.9;
    }
    if (kind == CONDITIONS) o.guidance = 2;
    if (kind == UNIPC) {
        o.custom_count = 4;
        o.custom_times = times;
    }
    if (kind == HEUN) {
        o.grid = DM_GRID_KARRAS;
        o.churn = 2;
    }
    return o;
}

static void prepare_create(world *w) {
    world_add_unet(w);
    world_add_schedule(w, DM_SCHEDULE_COSINE);
}

static dm_status create(world *w) {
    dm_sampler *made;
    const dm_sampler_options o = options_of(w->variant);
    const dm_status status = CALL(dm_sampler_create, &made, w->unet, w->schedule, &o);
    w->made[MADE_SAMPLER] = made;
    return status;
}

static int32_t denoise(void *user, const dm_denoiser_input *in, float *output, size_t elements) {
    (void)user;
    for (size_t i = 0; i < elements; i++) output[i] = in->x[i] * 0.5f;
    return 0;
}

static dm_status create_denoiser(world *w) {
    dm_sampler *made;
    dm_denoiser denoiser;
    const dm_sampler_options o = options_of(w->variant);
    dm_denoiser_init(&denoiser, sizeof denoiser);
    denoiser.height = denoiser.width = SIDE;
    denoiser.channels = CHANNELS;
    denoiser.evaluate = denoise;
    const dm_status status =
        CALL(dm_sampler_create_with_denoiser, &made, w->context, w->schedule, &denoiser, &o);
    w->made[MADE_SAMPLER] = made;
    return status;
}

static void only_schedule(world *w) { world_add_schedule(w, DM_SCHEDULE_COSINE); }

/* ---- runs ---- */

static void make_sampler(world *w) {
    const dm_sampler_options o = options_of(w->variant);
    if (w->variant == CONDITIONS) world_add_conditional_unet(w);
    world_add_sampler(w, &o);
}

static int32_t on_progress(void *user, const dm_sampler_progress *progress) {
    (void)user;
    return progress->step > 1000;
}

static int32_t guide(void *user, dm_guidance_step *step) {
    (void)user;
    for (uint64_t i = 0; i < step->elements; i++) step->x_0[i] *= 0.5;
    step->rederive = 1;
    return 0;
}

static dm_sampler_request request_of(world *w) {
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.count = r.label_count = COUNT;
    r.labels = w->labels;
    r.seed = 4;
    r.progress = on_progress;
    if (w->variant == CALLBACK) r.guide = guide;
    if (w->variant == CONDITIONS) {
        r.condition_image = w->noise;
        r.condition_image_elements = COUNT * ELEMENTS;
        r.condition_vector = w->vectors;
        r.condition_vector_elements = COUNT * VECTOR;
    }
    if (w->variant == REPAINT) {
        r.image_elements = COUNT * ELEMENTS;
        r.image = w->images;
        r.mask_elements = COUNT * SIDE * SIDE;
        r.mask = w->mask;
        r.repaint_repetitions = 2;
        r.repaint_jump_length = 2;
    }
    w->output_size = COUNT * ELEMENTS * sizeof(float);
    return r;
}

static float *output_of(world *w) { return (float *)(void *)w->output; }

static dm_status run(world *w) {
    const dm_sampler_request r = request_of(w);
    return CALL(dm_sampler_run, w->sampler, &r, output_of(w), COUNT * ELEMENTS);
}

static dm_status start(world *w) {
    const dm_sampler_request r = request_of(w);
    w->output_size = 0;
    const dm_status status = CALL(dm_sampler_start, w->sampler, &r);
    if (!status) dm_sampler_finish(w->sampler, NULL, 0);
    return status;
}

/* All steps; a run that a failed step ended is begun again. */
static dm_status steps(world *w) {
    const dm_sampler_request r = request_of(w);
    int32_t left = 1;
    dm_status status = CALL(dm_sampler_start, w->sampler, &r);
    while (!status && left) status = CALL(dm_sampler_step, w->sampler, &left);
    if (!status) status = CALL(dm_sampler_get_preview, w->sampler, output_of(w), COUNT * ELEMENTS);
    if (!status) status = CALL(dm_sampler_finish, w->sampler, output_of(w), COUNT * ELEMENTS);
    return status;
}

static dm_status initial_noise(world *w) {
    dm_sampler_request r = request_of(w);
    r.progress = NULL;
    return CALL(dm_sampler_initial_noise, w->sampler, &r, output_of(w), COUNT * ELEMENTS);
}

static dm_status invert(world *w) {
    dm_sampler_request r = request_of(w);
    r.image_elements = COUNT * ELEMENTS;
    r.image = w->images;
    return CALL(dm_sampler_invert, w->sampler, &r, output_of(w), COUNT * ELEMENTS);
}

const alloc_case cases_sampler[] = {
    {"sampler_create", prepare_create, create, DDIM, 0},
    {"sampler_create, custom times", prepare_create, create, UNIPC, 0},
    {"sampler_create, guided", prepare_create, create, GUIDED, 0},
    {"sampler_create_with_denoiser", only_schedule, create_denoiser, HEUN, 0},
    {"sampler_run", make_sampler, run, DDIM, CASE_KEEPS},
    {"sampler_run, guided", make_sampler, run, GUIDED, CASE_KEEPS},
    {"sampler_run, ddpm", make_sampler, run, ANCESTRAL, CASE_KEEPS},
    {"sampler_run, pndm", make_sampler, run, PNDM, CASE_KEEPS},
    {"sampler_run, unipc", make_sampler, run, UNIPC, CASE_KEEPS},
    {"sampler_run, heun", make_sampler, run, HEUN, CASE_KEEPS},
    {"sampler_run, repaint", make_sampler, run, REPAINT, CASE_KEEPS},
    {"sampler_run, guided by a callback", make_sampler, run, CALLBACK, CASE_KEEPS},
    {"sampler_run, conditions", make_sampler, run, CONDITIONS, CASE_KEEPS},
    {"sampler_step, conditions", make_sampler, steps, CONDITIONS, CASE_KEEPS},
    {"sampler_start", make_sampler, start, REPAINT, CASE_KEEPS},
    {"sampler_step", make_sampler, steps, DDIM, CASE_KEEPS},
    {"sampler_step, guided", make_sampler, steps, GUIDED, CASE_KEEPS},
    {"sampler_initial_noise", make_sampler, initial_noise, DDIM, CASE_KEEPS},
    {"sampler_invert", make_sampler, invert, DDIM, CASE_KEEPS},
    {NULL, NULL, NULL, 0, 0}};
