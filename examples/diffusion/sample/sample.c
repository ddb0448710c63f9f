/* SPDX-License-Identifier: MIT */
/* `diffusion sample`: draws images with a trained network: a grid, single files, an animation of
 * the sampling, or an array for evaluators. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/commands.h"
#include "command/files.h"
#include "console/interrupt.h"
#include "console/output.h"
#include "console/profile_table.h"
#include "model/sampler_options.h"
#include "picture/model_image.h"
#include "picture/show.h"
#include "sample/job.h"

enum { PROFILE_ROWS = 40, ANIMATION_FRAMES = 40, BIG = 128 };
enum { GRID_MAX = 4096, GRID_COLUMNS = 64 }; /* images that one can look at */

static int32_t on_step(void *user, const dm_sampler_progress *p) {
    sample_job *j = user;
    progress_update(&j->bar, p->first * (uint64_t)p->steps + (uint64_t)p->step * p->count, "");
    if (interrupt_signal()) return 1;
    return j->animation.frames ? animation_add(&j->animation, p) : 0;
}

/* ---- inputs ---- */

/* Refuses networks that are no models of images. */
static int32_t check_network(sample_job *j) {
    if (j->u.in_channels != j->u.out_channels)
        return command_line_refuse(
            j->line, "%s has %d input and %d output channels: it is no model of images",
            j->model.path, (int)j->u.in_channels, (int)j->u.out_channels);
    return choose_classes(j->line, j->o, &j->model);
}

/* The class of image i; -1 for none. */
static int32_t label_of(const sample_job *j, size_t i) {
    const sample_options *o = j->o;
    size_t classes = (size_t)j->u.classes;
    if (!classes) return -1;
    switch (o->choice) {
        case CLASSES_LISTED: return o->listed[i % (size_t)o->listed_count];
        case CLASSES_NONE: return -1;
        case CLASSES_IN_ROWS: return (int32_t)(i / (size_t)o->columns % classes);
        default: return (int32_t)(i % classes);
    }
}

static dm_status allocate(sample_job *j) {
    const sample_options *o = j->o;
    size_t count = (size_t)o->count, floats = count * j->elements;
    int own_noise = o->use_between || o->use_vary;
    j->images = malloc((size_t)o->runs * floats * sizeof *j->images);
    if (o->image) j->image = malloc(floats * sizeof *j->image);
    if (o->mask) j->mask = malloc(count * j->pixels * sizeof *j->mask);
    if (own_noise) j->noise = malloc(floats * sizeof *j->noise);
    if (j->u.classes) j->labels = malloc(count * sizeof *j->labels);
    if (!j->images || (o->image && !j->image) || (o->mask && !j->mask) ||
        (own_noise && !j->noise) || (j->u.classes && !j->labels))
        return DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; j->labels && i < count; i++) j->labels[i] = label_of(j, i);
    return DM_OK;
}

/* Reads the image and the mask, and repeats them for each image that is drawn. */
static int32_t read_files(sample_job *j) {
    const sample_options *o = j->o;
    const dm_unet_options *u = &j->u;
    if (o->image && read_image(j->line, o->image, j->image, u->height, u->width, u->in_channels))
        return REPORTED;
    if (o->mask && read_mask(j->line, o->mask, j->mask, u->height, u->width)) return REPORTED;
    for (size_t i = 1; i < (size_t)o->count; i++) {
        if (o->image) memcpy(j->image + i * j->elements, j->image, j->elements * sizeof *j->image);
        if (o->mask) memcpy(j->mask + i * j->pixels, j->mask, j->pixels * sizeof *j->mask);
    }
    return 0;
}

/* ---- sampling ---- */

static dm_sampler_request make_request(sample_job *j) {
    const sample_options *o = j->o;
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
    set_conditions(&r, &j->conditions);
    return r;
}

/* images: [count, elements] */
static dm_status sample(sample_job *j, float *images) {
    const sample_options *o = j->o;
    dm_sampler_request r = make_request(j);
    char time[32];
    int32_t steps = dm_sampler_steps(j->sampler), done = (int32_t)(r.strength * steps + 0.5);
    dm_status status = !j->noise        ? DM_OK
                       : o->use_between ? interpolate_seeds(j)
                                        : vary_image(j, images);
    progress_begin(&j->bar, "sampling", 0,
                   r.count * (uint64_t)(done < 1 ? 1 : done) * (uint64_t)r.repaint_repetitions);
    if (!status) status = dm_sampler_run(j->sampler, &r, images, r.count * j->elements);
    double seconds = progress_end(&j->bar);
    if (status) return status;
    fprintf(stderr, "%lld image%s, %s, %d steps, in %s", (long long)o->count,
            o->count == 1 ? "" : "s", dm_enum_name("dm_solver", o->sampler.solver), (int)steps,
            duration(seconds, time));
    if (j->model.info.training)
        fprintf(stderr, ", after %llu steps of training", (unsigned long long)j->model.info.step);
    fprintf(stderr, "\n");
    if (o->profile) j->profiled = print_profile(stderr, j->context, 1, seconds, PROFILE_ROWS, NULL);
    return DM_OK;
}

/* Samples with each number of --steps. */
static int32_t sample_runs(sample_job *j, const dm_image_grid_options *grid) {
    sample_options *o = j->o;
    int32_t status = DM_OK;
    for (int k = 0; !status && k < o->runs; k++) {
        dm_sampler_destroy(j->sampler);
        if (set_sampler_options(j->line, j->context, &j->model, &o->sampler, o->steps[k]))
            return REPORTED;
        if (o->animation) o->sampler.batch_size = (int32_t)o->count;
        status = dm_sampler_create(&j->sampler, j->model.unet, j->model.schedule, &o->sampler);
        if (!status && o->animation)
            status = animation_create(&j->animation, j->context, grid,
                                      o->sampler.steps * o->request.repaint_repetitions,
                                      ANIMATION_FRAMES);
        if (!status) status = sample(j, j->images + (size_t)k * (size_t)o->count * j->elements);
    }
    return status;
}

/* ---- the run ---- */

/* Small images are enlarged in the grid. */
static int32_t usual_scale(const dm_unet_options *u) {
    int32_t side = u->height > u->width ? u->height : u->width;
    return side >= BIG ? 1 : (BIG + side - 1) / side;
}

/* Whether the library can write it as a PNG. */
static int fits(const dm_image_grid_options *grid) {
    int32_t height = 0, width = 0;
    return !dm_image_grid_size(grid, &height, &width) &&
           (int64_t)height * ((int64_t)width * grid->channels + 1) <= INT32_MAX / 2;
}

/* The grid of all images; where they are too many for one, of the first ones, if the others are
 * written elsewhere. 0, or REPORTED. */
static int32_t plan_grid(const sample_job *j, dm_image_grid_options *grid) {
    const sample_options *o = j->o;
    const int64_t all = o->runs * o->count;
    *grid = grid_options((uint64_t)all, j->u.height, j->u.width, j->u.out_channels,
                         (int32_t)o->columns, (int32_t)o->scale);
    if (all <= GRID_MAX && fits(grid)) return 0;
    if ((!o->each && !o->npz) || o->animation)
        return command_line_refuse(j->line,
                                   "%lld images are too many for one grid: --count takes fewer, "
                                   "--each DIR or --npz FILE without --animation writes them all",
                                   (long long)all);
    if (!command_line_given(j->line, "columns")) grid->columns = GRID_COLUMNS;
    grid->count = GRID_MAX < all ? GRID_MAX : (uint64_t)all;
    while (!fits(grid) && grid->count > 1) grid->count /= 2;
    if (!fits(grid))
        return command_line_refuse(j->line, "%lld columns are too many for one grid",
                                   (long long)o->columns);
    fprintf(stderr, "%s shows the first %llu of %lld images\n", o->out,
            (unsigned long long)grid->count, (long long)all);
    return 0;
}

static int32_t set_tiling(const sample_job *j) {
    const char *tile = j->o->tile;
    if (!tile) return DM_OK;
    return dm_unet_set_tiling(j->model.unet, *tile != 'v', *tile != 'h');
}

static int32_t set_precision(const sample_job *j) {
    const char *precision = j->o->compute;
    if (!precision) return DM_OK;
    return dm_unet_set_precision(j->model.unet,
                                 *precision == 'b' ? DM_PRECISION_BF16 : DM_PRECISION_F32);
}

static int32_t run(sample_job *j) {
    sample_options *o = j->o;
    int32_t status = load_chosen_model(&j->model, j->context, j->line);
    if (status) return status;
    j->u = j->model.options;
    /* Only DDIM can be inverted, and a repetition begins without the steps before. */
    if (o->use_vary || command_line_given(j->line, "repaint")) {
        j->model.sampler.solver = DM_SOLVER_DDIM;
        j->model.sampler.steps =
            usual_steps(DM_SOLVER_DDIM, dm_schedule_timesteps(j->model.schedule));
    }
    status = check_network(j);
    if (!status) status = set_tiling(j);
    if (!status) status = set_precision(j);
    if (status) return status;
    choose_grid(o, j->u.classes);
    j->pixels = (size_t)j->u.height * (size_t)j->u.width;
    j->elements = j->pixels * (size_t)j->u.out_channels;
    if (!o->scale) o->scale = usual_scale(&j->u);
    dm_image_grid_options grid;
    status = plan_grid(j, &grid);
    if (!status) status = allocate(j);
    if (!status) status = read_files(j);
    if (!status)
        status = read_conditions(&j->conditions, j->line, &j->u, (size_t)o->count, o->condition,
                                 o->vector);
    if (!status && o->each) status = make_folder(j->line, o->each);
    if (!status) status = sample_runs(j, &grid);
    if (!status) status = write_files(j, &grid);
    return status ? status : j->profiled;
}

static int run_sample(command_line *line) {
    static sample_job j;
    j.line = line;
    j.o = &sample_values;
    if (check_sample_options(line, j.o)) return 2;
    if (!j.o->no_pictures) show_begin();
    j.context = create_context(line, model_values.threads, 0, j.o->profile);
    if (!j.context) return 1;
    ignore_write_signals();
    interrupt_begin();
    int32_t status = command_line_apply(line, j.context) ? REPORTED : 0;
    if (status) {
        dm_context_destroy(j.context);
        return 2;
    }
    status = run(&j);
    command_line_print_error(line, j.context, status);
    animation_destroy(&j.animation);
    dm_sampler_destroy(j.sampler);
    free_conditions(&j.conditions);
    free(j.labels);
    free(j.images);
    free(j.image);
    free(j.mask);
    free(j.noise);
    free_model(&j.model);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}

static const command_example examples[] = {
    {"diffusion sample", "Sixteen pictures of the model that is installed"},
    {"diffusion sample --class ship", "Sixteen ships"},
    {"diffusion sample runs/photos --class rows", "Eight of each class, a row each"},
    {"diffusion sample runs/photos --guidance 4", "Closer to their class, less varied"},
    {"diffusion sample runs/photos --solver ddim --steps 10,20,50", "Three numbers of steps"},
    {"diffusion sample runs/photos --image cat.jpg --strength 0.6", "Similar to a picture"},
    {"diffusion sample runs/photos --image cat.jpg --mask hole.png --repaint 5",
     "New where the mask is white"},
    {"diffusion sample runs/photos --image cat.jpg --vary 0.3", "Variations of a picture"},
    {"diffusion sample runs/photos --seed 1 --between 7 --class cat",
     "Interpolates between two seeds' pictures"},
    {"diffusion sample runs/photos --count 10000 --npz samples.npz", "For evaluators"},
    {0}};

const command sample_command = {
    .name = "sample",
    .words = "[MODEL]",
    .summary = "Generate pictures with a trained network",
    .description =
        "Generates pictures and writes them as a grid. The model is the folder of a run, a file or "
        "a folder of diffusers; by default the model that is installed with the program. Solver, "
        "steps and guidance default to those that suit the model.\n\nThe PNG files hold seed, "
        "solver, steps, guidance and a hash of the model, which `diffusion info` prints. The same "
        "options give the same pixels.",
    .explained = "dm_solver",
    .words_max = 1,
    .words_kind = OPTION_FILE,
    .examples = examples,
    .groups = sample_groups,
    .run = run_sample,
};
