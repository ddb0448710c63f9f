/* SPDX-License-Identifier: MIT */
/* Samples images with a trained network: a grid, single files, or an animation of the sampling. */
#include <diffusion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "image_read.h"
#include "image_write.h"
#include "interrupt.h"
#include "output.h"
#include "profile_table.h"
#include "progress.h"
#include "sample_options.h"
#include "sampler_options.h"

enum { PROFILE_ROWS = 40, ANIMATION_FRAMES = 40 };

typedef struct job {
    sample_options o;
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_unet_options u;
    size_t pixels, elements;     /* of one image */
    float *images;               /* [runs, count, elements] */
    float *image, *mask, *noise; /* [count, elements], the mask [count, pixels] */
    int32_t *labels;
    progress line;
    animation animation;
    dm_status profiled; /* a profile that cannot be printed is reported after the images */
} job;

static int32_t on_step(void *user, const dm_sampler_progress *p) {
    job *j = user;
    progress_update(&j->line, p->first * (uint64_t)p->steps + (uint64_t)p->step * p->count, "");
    if (interrupt_signal()) return 1;
    return j->animation.frames ? animation_add(&j->animation, p) : 0;
}

static int32_t on_inverted(void *user, const dm_sampler_progress *p) {
    (void)user;
    (void)p;
    return interrupt_signal() != 0;
}

/* ---- inputs ---- */

/* Refuses classes that the network does not have, and networks that do not sample images. */
static int check_network(job *j) {
    sample_options *o = &j->o;
    int32_t classes = j->u.classes;
    if (j->u.in_channels != j->u.out_channels) {
        fprintf(stderr,
                "sample: %s has %d input and %d output channels: it does not sample images\n",
                o->model, (int)j->u.in_channels, (int)j->u.out_channels);
        return REPORTED;
    }
    if (classes ? o->label >= classes : o->label != CLASSES_IN_TURN) {
        fprintf(stderr, "sample: --class is %s; ", o->class_word);
        if (classes)
            fprintf(stderr, "%s has %d classes, 0 to %d\n", o->model, (int)classes,
                    (int)classes - 1);
        else fprintf(stderr, "%s has no classes\n", o->model);
        return REPORTED;
    }
    /* Variations and interpolations are of one class. */
    if ((o->between >= 0 || o->image) && classes && !o->class_word) {
        o->label = 0;
        fprintf(stderr, "all of class 0 (--class N for another, --class turn for all)\n");
    }
    return 0;
}

static dm_status allocate(job *j) {
    const sample_options *o = &j->o;
    size_t count = (size_t)o->count, floats = count * j->elements;
    int own_noise = o->between >= 0 || o->vary >= 0;
    j->images = malloc((size_t)o->runs * floats * sizeof *j->images);
    if (o->image) j->image = malloc(floats * sizeof *j->image);
    if (o->mask) j->mask = malloc(count * j->pixels * sizeof *j->mask);
    if (own_noise) j->noise = malloc(floats * sizeof *j->noise);
    if (j->u.classes) j->labels = malloc(count * sizeof *j->labels);
    if (!j->images || (o->image && !j->image) || (o->mask && !j->mask) ||
        (own_noise && !j->noise) || (j->u.classes && !j->labels))
        return DM_ERROR_OUT_OF_MEMORY;
    size_t classes = (size_t)j->u.classes;
    for (size_t i = 0; j->labels && classes && i < count; i++) {
        size_t turn = o->label == CLASSES_IN_ROWS ? i / (size_t)o->columns : i;
        j->labels[i] = o->label >= 0          ? o->label
                       : o->label == NO_CLASS ? -1
                                              : (int32_t)(turn % classes);
    }
    return DM_OK;
}

/* Reads the image and the mask, and repeats them for each image that is sampled. */
static int read_files(job *j) {
    const sample_options *o = &j->o;
    if (o->image &&
        read_image("sample", o->image, j->image, j->u.height, j->u.width, j->u.in_channels))
        return REPORTED;
    if (o->mask && read_mask("sample", o->mask, j->mask, j->u.height, j->u.width)) return REPORTED;
    for (size_t i = 1; i < (size_t)o->count; i++) {
        if (o->image) memcpy(j->image + i * j->elements, j->image, j->elements * sizeof *j->image);
        if (o->mask) memcpy(j->mask + i * j->pixels, j->mask, j->pixels * sizeof *j->mask);
    }
    return 0;
}

/* ---- initial noise ---- */

static dm_status initial_noise(const job *j, uint64_t seed, uint64_t count, float *noise) {
    dm_sampler_request r = j->o.request;
    r.count = count;
    r.seed = seed;
    r.strength = 1;
    r.repaint_repetitions = 1;
    return dm_sampler_initial_noise(j->sampler, &r, noise, (size_t)count * j->elements);
}

/* From the noise of --seed to that of --between. */
static dm_status interpolate_seeds(job *j) {
    size_t n = j->elements, count = (size_t)j->o.count;
    float *ends = malloc(2 * n * sizeof *ends);
    if (!ends) return DM_ERROR_OUT_OF_MEMORY;
    dm_status status = initial_noise(j, j->o.request.seed, 1, ends);
    if (!status) status = initial_noise(j, (uint64_t)j->o.between, 1, ends + n);
    for (size_t i = 0; !status && i < count; i++)
        status = dm_noise_interpolate(j->noise + i * n, ends, ends + n,
                                      count > 1 ? (double)i / (double)(count - 1) : 0, n);
    free(ends);
    return status;
}

/* Around the noise to which the image is inverted. The first image is the inversion itself.
 * inverted: [elements]. */
static dm_status vary_image(job *j, float *inverted) {
    size_t n = j->elements, count = (size_t)j->o.count;
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.image = j->image;
    r.image_elements = n;
    r.labels = j->labels;
    r.label_count = j->labels ? 1 : 0;
    r.progress = on_inverted;
    dm_status status = dm_sampler_invert(j->sampler, &r, inverted, n);
    if (!status) status = initial_noise(j, j->o.request.seed, count, j->noise);
    for (size_t i = 0; !status && i < count; i++)
        status = dm_noise_interpolate(j->noise + i * n, inverted, j->noise + i * n,
                                      i == 0 ? 0 : j->o.vary, n);
    return status;
}

/* ---- sampling ---- */

static dm_sampler_request make_request(job *j) {
    const sample_options *o = &j->o;
    dm_sampler_request r = o->request;
    r.count = (uint64_t)o->count;
    r.labels = j->labels;
    r.label_count = j->labels ? r.count : 0;
    r.progress = on_step;
    r.progress_user = j;
    if (o->use_strength || o->mask) {
        r.image = j->image;
        r.image_elements = r.count * j->elements;
    }
    if (o->mask) {
        r.mask = j->mask;
        r.mask_elements = r.count * j->pixels;
    }
    if (j->noise) {
        r.initial_noise = j->noise;
        r.initial_noise_elements = r.count * j->elements;
    }
    return r;
}

/* images: [count, elements] */
static dm_status sample(job *j, float *images) {
    const sample_options *o = &j->o;
    dm_sampler_request r = make_request(j);
    char time[32];
    int32_t steps = dm_sampler_steps(j->sampler), done = (int32_t)(r.strength * steps + 0.5);
    dm_status status = !j->noise         ? DM_OK
                       : o->between >= 0 ? interpolate_seeds(j)
                                         : vary_image(j, images);
    progress_begin(&j->line, "sampling", 0,
                   r.count * (uint64_t)(done < 1 ? 1 : done) * (uint64_t)r.repaint_repetitions);
    if (!status) status = dm_sampler_run(j->sampler, &r, images, r.count * j->elements);
    double seconds = progress_end(&j->line);
    if (status) return status;
    fprintf(stderr, "%d images, %s, %d steps, in %s\n", o->count,
            dm_enum_name("dm_solver", o->sampler.solver), (int)steps, duration(seconds, time));
    if (o->profile) j->profiled = print_profile(stderr, j->context, 1, seconds, PROFILE_ROWS, NULL);
    return DM_OK;
}

/* Samples with each number of --steps. */
static dm_status sample_runs(job *j, const dm_image_grid_options *grid) {
    sample_options *o = &j->o;
    dm_status status = DM_OK;
    for (int k = 0; !status && k < o->runs; k++) {
        dm_sampler_destroy(j->sampler);
        o->sampler.steps = o->steps[k]
                               ? o->steps[k]
                               : usual_steps(o->sampler.solver, dm_schedule_timesteps(j->schedule));
        status = dm_sampler_create(&j->sampler, j->unet, j->schedule, &o->sampler);
        if (!status && o->animation)
            status = animation_create(&j->animation, j->context, grid,
                                      o->sampler.steps * o->request.repaint_repetitions,
                                      ANIMATION_FRAMES);
        if (!status) status = sample(j, j->images + (size_t)(k * o->count) * j->elements);
    }
    return status;
}

/* ---- outputs ---- */

static void each_path(const job *j, int i, char path[OUTPUT_PATH_SIZE]) {
    snprintf(path, OUTPUT_PATH_SIZE, "%s/%05d.png", j->o.each, i);
}

/* After a signal, the files that are written stay, and the rest are not written. */
static dm_status write_each(const job *j) {
    uint8_t *pixels = malloc(j->elements);
    char path[OUTPUT_PATH_SIZE];
    dm_status status = pixels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    int written = 0;
    while (!status && written < j->o.runs * j->o.count) {
        if (interrupt_signal()) {
            fprintf(stderr, "sample: %d of %d files are written to %s\n", written,
                    j->o.runs * j->o.count, j->o.each);
            status = DM_ERROR_CANCELLED;
            break;
        }
        each_path(j, written, path);
        status = dm_image_to_u8(pixels, j->images + (size_t)written * j->elements, j->elements);
        if (!status)
            status = dm_image_write_png(j->context, path, pixels, j->elements, j->u.height,
                                        j->u.width, j->u.out_channels);
        if (!status) written++;
    }
    free(pixels);
    return status;
}

static dm_status write_files(const job *j, const dm_image_grid_options *grid) {
    const sample_options *o = &j->o;
    dm_status status = write_grid(j->context, o->out, grid, j->images);
    if (status) return status;
    printf("%s\n", o->out);
    if (o->animation) {
        status = animation_write(&j->animation, o->animation);
        if (status) return status;
        printf("%s\n", o->animation);
    }
    return o->each ? write_each(j) : DM_OK;
}

static int32_t run(job *j) {
    sample_options *o = &j->o;
    int32_t status = dm_unet_load(&j->unet, j->context, o->model, o->weights);
    if (!status) status = dm_schedule_load(&j->schedule, j->context, o->model);
    if (!status) status = dm_unet_get_options(j->unet, &j->u, sizeof j->u);
    if (!status) status = check_network(j);
    if (status) return status;
    choose_grid(o, j->u.classes);
    j->pixels = (size_t)j->u.height * (size_t)j->u.width;
    j->elements = j->pixels * (size_t)j->u.out_channels;
    dm_image_grid_options grid = grid_options((uint64_t)(o->runs * o->count), j->u.height,
                                              j->u.width, j->u.out_channels, o->columns, o->scale);
    if (o->animation) o->sampler.batch_size = o->count;
    status = allocate(j);
    if (!status) status = read_files(j);
    if (!status) status = sample_runs(j, &grid);
    if (!status) status = write_files(j, &grid);
    return status ? status : j->profiled;
}

int main(int argc, const char **argv) {
    static job j;
    open_standard_streams("sample");
    if (read_sample_options(&j.o, &j.context, argc, argv)) {
        dm_context_destroy(j.context);
        return 2;
    }
    ignore_write_signals();
    interrupt_begin();
    int32_t status = j.o.each ? make_folder("sample", j.o.each) : 0;
    if (!status) status = run(&j);
    print_error("sample", j.context, status);
    animation_destroy(&j.animation);
    dm_sampler_destroy(j.sampler);
    free(j.labels);
    free(j.images);
    free(j.image);
    free(j.mask);
    free(j.noise);
    dm_unet_destroy(j.unet);
    dm_schedule_destroy(j.schedule);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}
