/* SPDX-License-Identifier: MIT */
/* See job.h: grids, single files, animations, and arrays for evaluators. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/interrupt.h"
#include "console/output.h"
#include "measure/npz.h"
#include "picture/show.h"
#include "sample/job.h"
#include "sample/picture_texts.h"

static void each_path(const sample_job *j, int64_t i, char path[OUTPUT_PATH_SIZE]) {
    snprintf(path, OUTPUT_PATH_SIZE, "%s/%05lld.png", j->o->each, (long long)i);
}

/* What a picture was drawn with. */
static int32_t set_texts(sample_job *j) {
    const sample_options *o = j->o;
    char steps[128] = "";
    dm_sampler_options used;
    dm_sampler_options_init(&used, sizeof used);
    int32_t status = dm_sampler_get_options(j->sampler, &used, sizeof used);
    if (status) return status;
    for (int32_t k = 0; k < o->runs; k++) {
        size_t length = strlen(steps);
        snprintf(steps + length, sizeof steps - length, "%s%d", k ? "," : "",
                 (int)(o->steps[k] ? o->steps[k] : used.steps));
    }
    const picture_origin origin = {.model = j->model.path,
                                   .unet = j->model.unet,
                                   .options = &used,
                                   .steps = steps,
                                   .seed = o->request.seed,
                                   .count = (uint64_t)o->count};
    status = add_picture_texts(&j->texts, &origin);
    if (!status && o->classes) png_texts_add(&j->texts, "diffusion:class", "%s", o->classes);
    return status;
}

/* After a signal, the files that are written stay, and the rest are not written. */
static int32_t write_each(const sample_job *j, const image_writer *w) {
    uint8_t *pixels = malloc(j->elements);
    char path[OUTPUT_PATH_SIZE];
    int32_t status = pixels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    int64_t written = 0, all = j->o->runs * j->o->count;
    while (!status && written < all) {
        if (interrupt_signal()) {
            command_line_refuse(j->line, "%lld of %lld files are written to %s", (long long)written,
                                (long long)all, j->o->each);
            status = DM_ERROR_CANCELLED;
            break;
        }
        each_path(j, written, path);
        status = dm_image_to_u8(pixels, j->images + (size_t)written * j->elements, j->elements);
        if (!status)
            status = write_png(w, path, pixels, j->u.height, j->u.width, j->u.out_channels);
        if (!status) written++;
    }
    free(pixels);
    return status;
}

static int32_t write_npz(const sample_job *j) {
    size_t count = (size_t)j->o->runs * (size_t)j->o->count;
    uint8_t *pixels = malloc(count * j->elements);
    int32_t *labels = j->labels ? malloc(count * sizeof *labels) : NULL;
    char error[512];
    int32_t status = pixels && (labels || !j->labels) ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_to_u8(pixels, j->images, count * j->elements);
    for (size_t i = 0; !status && labels && i < count; i++)
        labels[i] = j->labels[i % (size_t)j->o->count];
    if (!status && npz_write(j->o->npz, pixels, count, j->u.height, j->u.width, j->u.out_channels,
                             labels, error, sizeof error))
        status = command_line_refuse(j->line, "%s", error);
    free(labels);
    free(pixels);
    if (!status) printf("%s\n", j->o->npz);
    return status;
}

/* Reports a failure at once, since what comes next may go well; a signal is reported at the end. */
static void keep_failure(const sample_job *j, int32_t *first, int32_t status) {
    if (!status) return;
    if (status != DM_ERROR_CANCELLED) command_line_print_error(j->line, j->context, status);
    if (!*first) *first = status == DM_ERROR_CANCELLED ? status : REPORTED;
}

static int32_t write_shown(sample_job *j, const image_writer *w,
                           const dm_image_grid_options *grid) {
    int32_t status = write_grid(w, j->o->out, grid, j->images);
    if (status) return status;
    if (!j->o->no_pictures) show_grid(grid, j->images);
    printf("%s\n", j->o->out);
    return DM_OK;
}

int32_t write_files(sample_job *j, const dm_image_grid_options *grid) {
    const sample_options *o = j->o;
    const image_writer w = {j->context, j->line, &j->texts};
    int32_t failure = set_texts(j);
    if (failure) return failure;
    keep_failure(j, &failure, write_shown(j, &w, grid));
    if (o->animation) {
        int32_t status = animation_write(&j->animation, o->animation);
        keep_failure(j, &failure, status);
        if (!status) printf("%s\n", o->animation);
    }
    if (o->npz) keep_failure(j, &failure, write_npz(j));
    if (o->each) keep_failure(j, &failure, write_each(j, &w));
    return failure;
}
