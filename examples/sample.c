/* Draws pictures with a trained network: a grid, single files, or an animation of how they come out
 * of the noise. */
#include <diffusion.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "picture.h"
#include "picture_read.h"
#include "profile_table.h"
#include "progress.h"
#include "sample_options.h"

enum { PROFILE_ROWS = 40 };

static dm_sampler *volatile running; /* for the signal handler */

/* The first Ctrl-C ends the run after its step, a second one the program. */
static void on_interrupt(int signal_number) {
    signal(signal_number, SIG_DFL);
    if (running) dm_sampler_cancel(running);
}

typedef struct job {
    sample_options *o;
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_unet_options u;
    size_t elements; /* of one picture */
    float *images, *image, *mask, *start;
    int32_t *labels;
    progress line;
    film_reel film;
} job;

static int32_t on_step(void *user, int32_t step, int32_t steps, const float *x_t, const float *x_0,
                       size_t first, size_t count) {
    job *j = user;
    progress_update(&j->line, (uint64_t)first * (uint64_t)steps + (uint64_t)step * count, "");
    return j->film.frames ? film_progress(&j->film, step, steps, x_t, x_0, first, count) : 0;
}

static int32_t write_each(const job *j) {
    uint8_t *pixels = malloc(j->elements);
    char path[1200];
    int32_t status = pixels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    for (int i = 0; !status && i < j->o->count; i++) {
        snprintf(path, sizeof path, "%s/%05d.png", j->o->each, i);
        status = dm_image_to_u8(pixels, j->images + (size_t)i * j->elements, j->elements);
        if (!status)
            status = dm_image_write_png(j->context, path, pixels, j->u.height, j->u.width,
                                        j->u.out_channels);
    }
    free(pixels);
    return status;
}

/* The picture and the mask, once for each picture that is drawn. 0 on success. */
static int read_files(job *j) {
    const sample_options *o = j->o;
    size_t pixels = (size_t)j->u.height * (size_t)j->u.width;
    if (o->image &&
        read_picture("sample", o->image, j->image, j->u.height, j->u.width, j->u.in_channels))
        return 1;
    if (o->mask && read_mask("sample", o->mask, j->mask, j->u.height, j->u.width)) return 1;
    for (size_t i = 1; i < (size_t)o->count; i++) {
        if (o->image) memcpy(j->image + i * j->elements, j->image, j->elements * sizeof *j->image);
        if (o->mask) memcpy(j->mask + i * pixels, j->mask, pixels * sizeof *j->mask);
    }
    return 0;
}

static int32_t draw_noise(const job *j, dm_sampler *sampler, uint64_t seed, size_t count,
                          float *noise) {
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.count = count;
    r.seed = seed;
    r.random = j->o->torch;
    r.labels = j->labels;
    return dm_sampler_begin(sampler, &r, noise, count * j->elements);
}

/* Where pictures begin that lie between two seeds, or around the noise that a picture comes
 * from. */
static int32_t prepare_start(job *j, dm_sampler *sampler) {
    const sample_options *o = j->o;
    size_t n = j->elements, count = (size_t)o->count;
    int32_t status = DM_OK;
    if (o->between >= 0) {
        float *ends = malloc(2 * n * sizeof *ends);
        if (!ends) return DM_ERROR_OUT_OF_MEMORY;
        status = draw_noise(j, sampler, (uint64_t)o->seed, 1, ends);
        if (!status) status = draw_noise(j, sampler, (uint64_t)o->between, 1, ends + n);
        for (size_t i = 0; !status && i < count; i++)
            status = dm_interpolate(j->start + i * n, ends, ends + n,
                                    count > 1 ? (double)i / (double)(count - 1) : 0, n);
        free(ends);
        return status;
    }
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.image = j->image;
    r.labels = j->labels;
    r.count = 1;
    status = dm_sampler_invert(sampler, &r, j->images, n);
    if (!status) status = draw_noise(j, sampler, (uint64_t)o->seed, count, j->start);
    for (size_t i = 0; !status && i < count; i++) {
        /* The first is the picture itself, as it comes back. */
        double weight = i == 0 ? 0 : o->vary;
        status = dm_interpolate(j->start + i * n, j->images, j->start + i * n, weight, n);
    }
    return status;
}

static int32_t run(job *j, dm_sampler *sampler, int32_t steps) {
    const sample_options *o = j->o;
    char time[32];
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.count = (uint64_t)o->count;
    r.seed = (uint64_t)o->seed;
    r.random = o->torch;
    r.labels = j->labels;
    r.progress = on_step;
    r.progress_user = j;
    if (o->strength > 0) r.strength = o->strength;
    if (o->strength > 0 || o->mask) r.image = j->image;
    if (o->mask)
        r.mask = j->mask, r.mask_elements = r.count * (uint64_t)j->u.height * (uint64_t)j->u.width;
    r.repaint_times = o->repaint;
    if (j->start) r.start = j->start;
    running = sampler;
    signal(SIGINT, on_interrupt);
    int32_t status = j->start ? prepare_start(j, sampler) : DM_OK;
    int32_t left = o->strength > 0 ? (int32_t)(o->strength * steps + 0.5) : steps;
    progress_begin(&j->line, "sampling", 0,
                   (uint64_t)o->count * (uint64_t)(left < 1 ? 1 : left) * (uint64_t)o->repaint);
    if (!status) status = dm_sampler_run(sampler, &r, j->images, (size_t)o->count * j->elements);
    signal(SIGINT, SIG_DFL);
    running = NULL;
    double seconds = progress_end(&j->line);
    if (status) return status;
    fprintf(stderr, "%d pictures, %s, %d steps, in %s\n", o->count,
            dm_solver_name(o->sampler.solver), (int)steps, duration(seconds, time));
    return o->profile ? print_profile(stderr, j->context, 1, seconds, PROFILE_ROWS, NULL) : DM_OK;
}

static int32_t allocate(job *j) {
    const sample_options *o = j->o;
    size_t count = (size_t)o->count, floats = count * j->elements,
           pixels = (size_t)j->u.height * (size_t)j->u.width;
    int starts = o->between >= 0 || o->vary >= 0;
    j->images = malloc(floats * sizeof *j->images);
    if (o->image) j->image = malloc(floats * sizeof *j->image);
    if (o->mask) j->mask = malloc(count * pixels * sizeof *j->mask);
    if (starts) j->start = malloc(floats * sizeof *j->start);
    if (j->u.classes) j->labels = malloc(count * sizeof *j->labels);
    if (!j->images || (o->image && !j->image) || (o->mask && !j->mask) || (starts && !j->start) ||
        (j->u.classes && !j->labels))
        return DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; j->labels && i < count; i++) {
        size_t turn = o->label == ROW_OF_EACH ? i / (size_t)o->columns : i;
        j->labels[i] = o->label >= 0          ? o->label
                       : o->label == NO_CLASS ? -1
                                              : (int32_t)(turn % (size_t)j->u.classes);
    }
    return DM_OK;
}

static int32_t draw(job *j) {
    sample_options *o = j->o;
    dm_sampler *sampler = NULL;
    int32_t status = dm_unet_get_options(j->unet, &j->u, sizeof j->u);
    if (status) return status;
    if (!j->u.classes ? o->label != ALL_IN_TURN : o->label >= j->u.classes) {
        fprintf(stderr, "sample: --class %s and %s don't go together: the network has %s",
                o->class_word, o->model, j->u.classes ? "" : "no classes\n");
        if (j->u.classes)
            fprintf(stderr, "%d classes, 0 to %d\n", (int)j->u.classes, (int)j->u.classes - 1);
        return DM_ERROR_CANCELLED; /* the context has no text for it */
    }
    /* What is gone through from picture to picture shall not be their classes. */
    bool steered = o->between >= 0 || o->image;
    if (steered && j->u.classes && !o->class_word) {
        o->label = 0;
        fprintf(stderr, "all of class 0 (--class N for another, --class turn for all)\n");
    }
    if (j->u.in_channels != j->u.out_channels) {
        fprintf(stderr, "sample: %s takes %d channels and gives %d: it does not draw pictures\n",
                o->model, (int)j->u.in_channels, (int)j->u.out_channels);
        return DM_ERROR_CANCELLED; /* the context has no text for it */
    }
    settle_grid(o, j->u.classes);
    dm_sampler_options s = o->sampler;
    if (o->animation) s.batch_size = o->count;
    j->elements = (size_t)j->u.height * (size_t)j->u.width * (size_t)j->u.out_channels;
    s.steps = o->steps ? o->steps : usual_steps(s.solver, dm_schedule_steps(j->schedule));
    status = allocate(j);
    if (!status && read_files(j)) return DM_ERROR_CANCELLED;
    if (!status) status = dm_sampler_create(&sampler, j->unet, j->schedule, &s);
    if (!status && o->animation &&
        !film_begin(&j->film, (size_t)o->count, j->u.height, j->u.width, j->u.out_channels,
                    o->columns, o->scale, s.steps * o->repaint, 40))
        status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = run(j, sampler, s.steps);
    if (!status)
        status = write_grid(j->context, o->out, j->images, (size_t)o->count, j->u.height,
                            j->u.width, j->u.out_channels, o->columns, o->scale);
    if (!status) printf("%s\n", o->out);
    if (!status && o->animation) status = film_write(&j->film, j->context, o->animation);
    if (!status && o->animation) printf("%s\n", o->animation);
    if (!status && o->each) status = write_each(j);
    film_end(&j->film);
    dm_sampler_destroy(sampler);
    return status;
}

int main(int argc, const char **argv) {
    sample_options o;
    if (read_sample_options(&o, argc, argv)) return 2;
    if (o.each && make_folder("sample", o.each)) return 1;
    job j = {.o = &o, .context = open_context("sample", o.threads, 0, o.profile)};
    if (!j.context) return 1;
    int32_t status = dm_unet_load(&j.unet, j.context, o.model, o.which);
    if (!status) status = dm_schedule_load(&j.schedule, j.context, o.model);
    if (!status) status = draw(&j);
    if (status && *dm_context_error(j.context)) tell_error("sample", j.context, status);
    free(j.labels);
    free(j.images);
    free(j.image);
    free(j.mask);
    free(j.start);
    dm_unet_destroy(j.unet);
    dm_schedule_destroy(j.schedule);
    dm_context_destroy(j.context);
    return status ? 1 : 0;
}
