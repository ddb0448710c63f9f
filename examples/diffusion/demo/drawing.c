/* SPDX-License-Identifier: MIT */
/* See demo.h: what the demo draws, before and after its training. */
#include <stdio.h>
#include <stdlib.h>

#include "console/interrupt.h"
#include "console/progress.h"
#include "demo/demo.h"
#include "model/installed.h"
#include "model/model.h"
#include "picture/show.h"
#include "sample/run_sampler.h"

enum { ELEMENTS = DEMO_IMAGES * DEMO_SIZE * DEMO_SIZE * 3, FIRST_IMAGES = 20 };

/* Pictures of a network that was trained for some hours. */
static int32_t draw_first(demo_job *j, model *m) {
    const dm_unet_options *u = &m->options;
    size_t elements =
        (size_t)FIRST_IMAGES * (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    char path[OUTPUT_PATH_SIZE], time[32];
    float *images = malloc(elements * sizeof *images);
    sample_run run = {.unet = m->unet,
                      .schedule = m->schedule,
                      .options = &m->sampler,
                      .count = FIRST_IMAGES,
                      .seed = (uint64_t)demo_values.seed};
    double began = seconds_now();
    int32_t status = images ? run_sampler(&run, images, NULL) : DM_ERROR_OUT_OF_MEMORY;
    double seconds = seconds_now() - began;
    const dm_image_grid_options grid =
        grid_options(FIRST_IMAGES, u->height, u->width, u->out_channels, FIRST_IMAGES / 2, 2);
    demo_path("first.png", path);
    if (!status) status = write_grid(&j->writer, path, &grid, images);
    if (!status) {
        show_grid(&grid, images);
        printf(
            "sampled  %d pictures by the installed model of %.2f million parameters, in %s: %s\n",
            (int)FIRST_IMAGES, 1e-6 * (double)dm_unet_parameter_count(m->unet),
            duration(seconds, time), path);
        flush_standard_output();
    }
    free(images);
    return status;
}

int32_t demo_show_installed(demo_job *j) {
    char path[OUTPUT_PATH_SIZE];
    model m;
    if (!installed_model(path, sizeof path)) return DM_OK;
    int32_t status = load_model(&m, j->context, j->line, path, DM_WEIGHTS_DEFAULT);
    if (!status) status = draw_first(j, &m);
    free_model(&m);
    return status;
}

typedef struct sampling_log {
    progress line;
    animation *animation; /* or NULL */
} sampling_log;

static int32_t on_sampled(void *user, const dm_sampler_progress *p) {
    sampling_log *l = user;
    progress_update(&l->line, (uint64_t)p->step, "");
    if (interrupt_signal()) return 1;
    return l->animation ? animation_add(l->animation, p) : 0;
}

int32_t demo_sample(demo_job *j, dm_solver solver, int32_t steps, const char *file,
                    animation *frames) {
    static float images[ELEMENTS];
    const char *name = dm_enum_name("dm_solver", solver);
    sampling_log l = {.animation = frames};
    dm_sampler_options o;
    char path[OUTPUT_PATH_SIZE], time[32];
    dm_sampler_options_init(&o, sizeof o);
    o.solver = solver;
    o.steps = steps;
    o.batch_size = DEMO_IMAGES;
    o.guidance = 2;
    const sample_run run = {.unet = j->ema,
                            .schedule = j->schedule,
                            .options = &o,
                            .count = DEMO_IMAGES,
                            .seed = (uint64_t)demo_values.seed,
                            .progress = on_sampled,
                            .user = &l};
    progress_begin(&l.line, name, 0, (uint64_t)steps);
    int32_t status = run_sampler(&run, images, NULL);
    double seconds = progress_end(&l.line);
    demo_path(file, path);
    if (!status) status = write_grid(&j->writer, path, &j->grid, images);
    if (!status) show_grid(&j->grid, images);
    if (!status)
        printf("sampled  %d images with %s, %d steps, in %s: %s\n", DEMO_IMAGES, name, (int)steps,
               duration(seconds, time), path);
    return status;
}
