/* SPDX-License-Identifier: MIT */
/* See batch.h. */
#include "train/batch.h"

#include <string.h>

#include "base/random.h"
#include "dataset/labels.h"
#include "diffusion/noising.h"

/* What the conditions of a dataset's images need. */
static dm_status create_conditions(dmi_batch *batch) {
    dmi_host *host = &batch->context->host;
    const size_t workers = (size_t)dmi_pool_threads(host->pool);
    if (!batch->condition_channels) return DM_OK;
    dm_status status = dmi_alloc_array(host, &batch->condition_pixels, (size_t)batch->count,
                                       batch->condition_elements, "trainer: condition images");
    if (status || batch->crop_padding == 0) return status;
    return dmi_alloc_array(host, &batch->condition_scratch, workers * batch->condition_elements,
                           sizeof(float), "trainer: scratch for condition images");
}

dm_status dmi_batch_create(dmi_batch *batch) {
    dmi_host *host = &batch->context->host;
    size_t count = (size_t)batch->count, workers = (size_t)dmi_pool_threads(host->pool), floats;
    batch->elements = (size_t)batch->height * (size_t)batch->width * (size_t)batch->channels;
    batch->condition_elements =
        (size_t)batch->height * (size_t)batch->width * (size_t)batch->condition_channels;
    size_t images = DMI_BATCH_SCRATCH * workers;
    if (!dmi_mul(batch->elements, count > images ? count : images, &floats))
        return dmi_fail(host, DM_ERROR_LIMIT_EXCEEDED,
                        "trainer: %zu images of %zu floats are too large", count, batch->elements);
    dm_status status = dmi_alloc_array(host, &batch->scratch, images * batch->elements,
                                       sizeof(float), "trainer: scratch for images");
    if (!status)
        status = dmi_alloc_array(host, &batch->target, count * batch->elements, sizeof(float),
                                 "trainer: targets");
    if (!status)
        status = dmi_alloc_array(host, &batch->levels, count, sizeof(dmi_batch_level),
                                 "trainer: noise levels");
    if (status || !batch->dataset) return status;
    status = dmi_alloc_array(host, &batch->pixels, count, batch->elements, "trainer: images");
    if (!status)
        status = dmi_alloc_array(host, &batch->indices, count, sizeof(uint64_t),
                                 "trainer: indices of images");
    if (!status && batch->dataset->prefetch)
        status = dmi_alloc_array(host, &batch->next, count, sizeof(uint64_t),
                                 "trainer: indices of the next images");
    if (!status)
        status = dmi_alloc_array(host, &batch->labels, count, sizeof(int32_t), "trainer: labels");
    return status ? status : create_conditions(batch);
}

void dmi_batch_destroy(dmi_batch *batch) {
    if (!batch->context) return;
    dmi_host *host = &batch->context->host;
    dmi_free(host, batch->condition_scratch);
    dmi_free(host, batch->condition_pixels);
    dmi_free(host, batch->labels);
    dmi_free(host, batch->indices);
    dmi_free(host, batch->next);
    dmi_free(host, batch->pixels);
    dmi_free(host, batch->levels);
    dmi_free(host, batch->noisy);
    dmi_free(host, batch->target);
    dmi_free(host, batch->scratch);
}

/* ---- one image ---- */

typedef struct fill_job {
    const dmi_batch *batch;
    const dm_train_batch *given; /* NULL: the dataset's */
    uint64_t position;
    bool read;             /* tasks read the dataset's images, since it is concurrent */
    float *x, *t, *labels; /* the graph's inputs; labels may be NULL */
    float *condition_image, *condition_vector; /* likewise; may be NULL */
} fill_job;

/* The vector goes to the graph's input. */
static dm_status read_image(const fill_job *job, int32_t i) {
    const dmi_batch *b = job->batch;
    const size_t at = (size_t)i;
    dmi_dataset_image image = {.pixels = b->pixels + at * b->elements,
                               .epoch = (job->position + at) / b->dataset->count};
    if (job->condition_image)
        image.condition_image = b->condition_pixels + at * b->condition_elements;
    if (job->condition_vector)
        image.condition_vector = job->condition_vector + at * (size_t)b->condition_size;
    dm_status status = b->dataset->read(b->dataset, b->indices[i], &image);
    b->labels[i] = image.label;
    return status;
}

static bool is_flipped(const dmi_batch *batch, uint64_t position) {
    uint32_t bits;
    dmi_random at = dmi_random_at(batch->seed, DMI_STREAM_FLIP, position);
    dmi_random_bits(&at, &bits, 1);
    return batch->flip && (bits & 1) != 0;
}

/* True with that probability, sampled for `index` of the stream. */
static bool happens(const dmi_batch *batch, double probability, uint32_t stream, uint64_t index) {
    float u;
    dmi_random at = dmi_random_at(batch->seed, stream, index);
    dmi_random_uniform(&at, &u, 1);
    return (double)u < probability;
}

/* Pads by reflection and crops at random: a shift by up to crop_padding pixels. */
static void crop(const dmi_batch *b, uint64_t position, float *y, const float *x,
                 int32_t channels) {
    dmi_random at = dmi_random_at(b->seed, DMI_STREAM_CROP, position);
    uint32_t shifts = 2 * (uint32_t)b->crop_padding + 1;
    int32_t down = (int32_t)dmi_random_below(&at, 0, shifts) - b->crop_padding;
    int32_t right = (int32_t)dmi_random_below(&at, 1, shifts) - b->crop_padding;
    b->context->kernels->shift(y, x, b->height, b->width, channels, down, right);
}

/* x_0 [elements]; of the dataset's images in `scratch` [2, elements]. */
static const float *clean_image(const fill_job *job, int32_t i, float *scratch) {
    const dmi_batch *b = job->batch;
    size_t at = (size_t)i * b->elements;
    if (job->given) return job->given->images + at;
    if (job->read) read_image(job, i); /* concurrent datasets do not fail */
    uint64_t position = job->position + (uint64_t)i;
    float *whole = b->crop_padding > 0 ? scratch + b->elements : scratch;
    b->context->kernels->from_u8(whole, b->pixels + at, b->height, b->width, b->channels,
                                 is_flipped(b, position));
    if (b->crop_padding > 0) crop(b, position, scratch, whole, b->channels);
    return scratch;
}

/* eps [elements], sampled into `scratch` unless the caller supplied it. */
static const float *noise_of(const fill_job *job, int32_t i, float *scratch) {
    const dmi_batch *b = job->batch;
    if (job->given && job->given->noise) return job->given->noise + (size_t)i * b->elements;
    dmi_random at = dmi_random_at(b->seed, DMI_STREAM_NOISE, job->position + (uint64_t)i);
    dmi_random_normal(&at, scratch, b->elements);
    return scratch;
}

/* The row of the class embedding for image i, after label dropout; a float, as all inputs of a
 * graph are. */
static float label_row(const fill_job *job, int32_t i) {
    const dmi_batch *b = job->batch;
    int32_t label = -1;
    if (job->given && job->given->labels) label = job->given->labels[i];
    if (!job->given && b->use_labels) label = b->labels[i];
    if (b->label_dropout > 0 &&
        happens(b, b->label_dropout, DMI_STREAM_LABEL, job->position + (uint64_t)i))
        label = -1;
    return dmi_unet_label_row(label, b->label_range.classes);
}

/* A condition that the caller gave: [count, n]; zeros without one. */
static void copy_given(float *input, const float *given, int32_t i, size_t n) {
    if (!input) return;
    if (given) memcpy(input + (size_t)i * n, given + (size_t)i * n, n * sizeof *input);
    else memset(input + (size_t)i * n, 0, n * sizeof *input);
}

static bool is_condition_dropped(const fill_job *job, int32_t i) {
    const dmi_batch *b = job->batch;
    return b->condition_dropout > 0 &&
           happens(b, b->condition_dropout, DMI_STREAM_CONDITION, job->position + (uint64_t)i);
}

/* The conditions of image i, after read_image; a condition image is flipped and cropped with its
 * image. */
static void write_conditions(const fill_job *job, int32_t i, int32_t worker) {
    const dmi_batch *b = job->batch;
    const size_t n = b->condition_elements, size = (size_t)b->condition_size;
    const uint64_t position = job->position + (uint64_t)i;
    const bool dropped = is_condition_dropped(job, i);
    if (job->given || dropped) {
        const dm_train_batch *g = dropped ? NULL : job->given;
        copy_given(job->condition_image, g ? g->condition_image : NULL, i, n);
        copy_given(job->condition_vector, g ? g->condition_vector : NULL, i, size);
        return;
    }
    if (!job->condition_image) return;
    float *input = job->condition_image + (size_t)i * n;
    float *whole = b->crop_padding > 0 ? b->condition_scratch + (size_t)worker * n : input;
    b->context->kernels->from_u8(whole, b->condition_pixels + (size_t)i * n, b->height, b->width,
                                 b->condition_channels, is_flipped(b, position));
    if (b->crop_padding > 0) crop(b, position, input, whole, b->condition_channels);
}

/* The network's input: adds noise (q_sample; Ho et al. 2020, eq. 4) and multiplies x_t by c_in.
 * With self-conditioning it has 0 as previous estimate beside it, and `scratch` [elements] holds
 * c_in x_t. */
static void write_input(const fill_job *job, int32_t i, dmi_level level, double c_in,
                        const float *x_0, const float *eps, float *scratch) {
    const dmi_batch *b = job->batch;
    const dmi_kernels *kernels = b->context->kernels;
    size_t n = b->elements, c = (size_t)b->channels;
    float *x = b->self_conditioning ? scratch : job->x + (size_t)i * n;
    dmi_combine_with_noise(kernels, x, c_in * level.signal, x_0, c_in * level.noise, eps, n);
    if (b->self_conditioning)
        dmi_input_without_estimate(kernels, job->x + (size_t)i * 2 * n, x, n / c, c);
}

/* A worker's scratch [DMI_BATCH_SCRATCH, elements] holds: x_0; the image before its crop, and once
 * that is done eps; the input of write_input. */
static void fill_image(void *data, int32_t i, int32_t worker) {
    const fill_job *job = data;
    const dmi_batch *b = job->batch;
    size_t n = b->elements;
    float *scratch = b->scratch + (size_t)worker * DMI_BATCH_SCRATCH * n;
    const float *x_0 = clean_image(job, i, scratch), *eps = noise_of(job, i, scratch + n);
    dmi_noise_level at = job->given && job->given->timesteps
                             ? dmi_timesteps_given(b->timesteps, job->given->timesteps[i])
                             : dmi_timesteps_draw(b->timesteps, job->position + (uint64_t)i);
    dmi_prediction_coefficients coefficients =
        dmi_prediction_at(at.level, b->prediction, b->sigma_data);
    write_input(job, i, at.level, coefficients.input, x_0, eps, scratch + 2 * n);
    if (b->noisy)
        dmi_combine_with_noise(b->context->kernels, b->noisy + (size_t)i * n, at.level.signal, x_0,
                               at.level.noise, eps, n);
    dmi_target target = dmi_prediction_target(at.level, b->prediction, b->sigma_data);
    dmi_combine_with_noise(b->context->kernels, b->target + (size_t)i * n, target.x0_factor, x_0,
                           target.eps_factor, eps, n);
    b->levels[i] = (dmi_batch_level){.at = at, .coefficients = coefficients};
    job->t[i] = (float)at.level.time;
    if (job->labels) job->labels[i] = label_row(job, i);
    write_conditions(job, i, worker);
}

/* ---- the batch ---- */

/* Each epoch is a new permutation of the dataset, and batches run across its end. */
static void choose_images(const dmi_batch *batch, uint64_t *indices, uint64_t position) {
    uint64_t size = batch->dataset->count;
    for (int32_t i = 0; i < batch->count; i++) {
        uint64_t epoch = (position + (uint64_t)i) / size, rank = (position + (uint64_t)i) % size;
        indices[i] = dmi_random_permute(batch->seed, epoch, rank, size);
    }
}

/* Tells the dataset what the pass at `position` will read, once. */
static void announce(dmi_batch *batch, const uint64_t *indices, uint64_t position) {
    if (!batch->next || batch->announced == position + 1) return;
    batch->dataset->prefetch(batch->dataset, indices, (size_t)batch->count);
    batch->announced = position + 1;
}

/* Reads the images of the pass, and lets the dataset prepare those of the next. */
static dm_status read_images(dmi_batch *batch, const fill_job *job) {
    dm_status status = DM_OK;
    const uint64_t next = job->position + (uint64_t)batch->count;
    announce(batch, batch->indices, job->position);
    for (int32_t i = 0; !status && i < batch->count; i++) status = read_image(job, i);
    if (status || !batch->next) return status;
    choose_images(batch, batch->next, next);
    announce(batch, batch->next, next);
    return DM_OK;
}

static dm_status check_labels(const dmi_batch *batch) {
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && batch->use_labels && i < batch->count; i++)
        status = dmi_dataset_check_label(&batch->context->host, "trainer", batch->indices[i],
                                         batch->labels[i], batch->label_range.minimum,
                                         batch->label_range.classes);
    return status;
}

/* Of a network that embeds them like the time; dropped ones are 0, which it takes. */
static dm_status check_vectors(const fill_job *job) {
    const dmi_batch *b = job->batch;
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && job->condition_vector && i < b->count; i++)
        status = dmi_unet_check_condition_of_image(b->unet, "trainer", b->indices[i],
                                                   job->condition_vector +
                                                       (size_t)i * (size_t)b->condition_size);
    return status;
}

/* Whether an image of the pass has no condition. */
static bool has_unconditioned(const fill_job *job) {
    const dm_train_batch *g = job->given;
    bool some = g && !g->condition_image && !g->condition_vector;
    for (int32_t i = 0; !some && i < job->batch->count; i++) some = is_condition_dropped(job, i);
    return some;
}

dm_status dmi_batch_fill(dmi_batch *batch, const dmi_unet_graph *graph, uint64_t position,
                         const dm_train_batch *given) {
    fill_job job = {
        .batch = batch,
        .given = given,
        .position = position,
        .read = !given && batch->dataset->concurrent,
        .x = dmi_graph_data(graph->graph, graph->x),
        .t = dmi_graph_data(graph->graph, graph->t),
        .labels = dmi_graph_data(graph->graph, graph->labels),
        .condition_image = dmi_graph_data(graph->graph, graph->condition_image),
        .condition_vector = dmi_graph_data(graph->graph, graph->condition_vector),
    };
    dm_status status = DM_OK;
    if (!given) choose_images(batch, batch->indices, position);
    if (!given && !job.read) status = read_images(batch, &job);
    if (status) return status;
    dmi_parallel(batch->context->host.pool, batch->count, fill_image, &job);
    batch->has_unlabelled = false;
    for (int32_t i = 0; job.labels && i < batch->count; i++)
        if (job.labels[i] == (float)batch->label_range.classes) batch->has_unlabelled = true;
    batch->has_unconditioned = has_unconditioned(&job);
    if (given) return DM_OK;
    status = check_labels(batch);
    return status ? status : check_vectors(&job);
}

/* ---- self-conditioning ---- */

bool dmi_batch_self_conditions(const dmi_batch *batch, double rate, uint64_t pass) {
    return batch->self_conditioning && happens(batch, rate, DMI_STREAM_SELF_CONDITION, pass);
}

typedef struct estimate_job {
    const dmi_batch *batch;
    float *input;
    const float *output;
    size_t output_channels;
} estimate_job;

/* The network read c_in x_t, so x0_x / c_in of that input is the term x0_x x_t of x_0. */
static void set_estimate(void *data, int32_t i, int32_t worker) {
    const estimate_job *job = data;
    const dmi_batch *b = job->batch;
    const dmi_prediction_coefficients *k = &b->levels[i].coefficients;
    size_t c = (size_t)b->channels, pixels = b->elements / c;
    (void)worker;
    b->context->kernels->self_condition(job->input + (size_t)i * 2 * b->elements,
                                        (float)(k->x0_x / k->input),
                                        job->output + (size_t)i * pixels * job->output_channels,
                                        (float)k->x0_output, job->output_channels, pixels, c);
}

void dmi_batch_set_estimate(const dmi_batch *batch, const dmi_unet_graph *graph,
                            int32_t output_channels) {
    estimate_job job = {.batch = batch,
                        .input = dmi_graph_data(graph->graph, graph->x),
                        .output = dmi_graph_data(graph->graph, graph->output),
                        .output_channels = (size_t)output_channels};
    dmi_parallel(batch->context->host.pool, batch->count, set_estimate, &job);
}
