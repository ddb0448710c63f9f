/* See batch.h. */
#include "train/batch.h"

#include <string.h>

#include "base/random.h"
#include "train/loss.h"

int32_t dmi_batch_create(dmi_batch *batch) {
    dmi_host *host = &batch->context->host;
    size_t count = (size_t)batch->count, workers = (size_t)dmi_pool_threads(host->pool), floats;
    batch->elements = (size_t)batch->height * (size_t)batch->width * (size_t)batch->channels;
    size_t pictures = DMI_BATCH_SCRATCH * workers;
    if (!dmi_mul(batch->elements, count > pictures ? count : pictures, &floats))
        return dmi_fail(host, DM_ERROR_LIMIT_EXCEEDED,
                        "trainer: %zu pictures of %zu floats are too large", count,
                        batch->elements);
    int32_t status = dmi_alloc_array(host, &batch->scratch, pictures * batch->elements,
                                     sizeof(float), "trainer: scratch for pictures");
    if (!status)
        status = dmi_alloc_array(host, &batch->target, count * batch->elements, sizeof(float),
                                 "trainer: targets");
    if (!status)
        status = dmi_alloc_array(host, &batch->drawn, count, sizeof(dmi_drawn),
                                 "trainer: levels of noise");
    if (status || !batch->dataset) return status;
    status = dmi_alloc_array(host, &batch->pixels, count, batch->elements, "trainer: pictures");
    if (!status)
        status = dmi_alloc_array(host, &batch->indices, count, sizeof(uint64_t),
                                 "trainer: indices of pictures");
    if (!status)
        status = dmi_alloc_array(host, &batch->labels, count, sizeof(int32_t), "trainer: labels");
    if (!status)
        status =
            dmi_alloc_array(host, &batch->statuses, count, sizeof(int32_t), "trainer: statuses");
    return status;
}

void dmi_batch_destroy(dmi_batch *batch) {
    if (!batch->context) return;
    dmi_host *host = &batch->context->host;
    dmi_free(host, batch->statuses);
    dmi_free(host, batch->labels);
    dmi_free(host, batch->indices);
    dmi_free(host, batch->pixels);
    dmi_free(host, batch->drawn);
    dmi_free(host, batch->target);
    dmi_free(host, batch->scratch);
}

typedef struct draw_job {
    const dmi_batch *batch;
    const dm_train_batch *given; /* NULL: the dataset's */
    uint64_t position;
    bool reads;              /* the dataset's pictures are read by the tasks */
    float *x_t, *t, *labels; /* the graph's inputs; labels may be NULL */
} draw_job;

static void read_picture(const dmi_batch *batch, int32_t i) {
    batch->statuses[i] =
        batch->dataset->read(batch->dataset, batch->indices[i],
                             batch->pixels + (size_t)i * batch->elements, &batch->labels[i]);
}

/* Which pictures: each epoch is a new permutation of the dataset, and batches run across its
 * end. */
static void choose_pictures(const dmi_batch *batch, uint64_t position) {
    uint64_t size = batch->dataset->count;
    for (int32_t i = 0; i < batch->count; i++) {
        uint64_t at = position + (uint64_t)i;
        batch->indices[i] = dmi_random_permute(batch->seed, at / size, at % size, size);
    }
}

static bool is_flipped(const dmi_batch *batch, uint64_t position) {
    uint32_t bits;
    dmi_random at = dmi_random_at(batch->seed, DMI_STREAM_FLIP, position);
    dmi_random_bits(&at, &bits, 1);
    return batch->flip && (bits & 1) != 0;
}

/* Whether something that happens at this rate happens to index `index` of the stream. */
static bool happens(const dmi_batch *batch, double rate, uint32_t stream, uint64_t index) {
    float drawn;
    dmi_random at = dmi_random_at(batch->seed, stream, index);
    dmi_random_uniform(&at, &drawn, 1);
    return (double)drawn < rate;
}

/* Where the picture is cut out of itself with a padded border. */
static void crop(const dmi_batch *b, uint64_t position, float *y, const float *x) {
    dmi_random at = dmi_random_at(b->seed, DMI_STREAM_CROP, position);
    uint32_t places = 2 * (uint32_t)b->crop_padding + 1;
    int32_t down = (int32_t)dmi_random_below(&at, 0, places) - b->crop_padding;
    int32_t right = (int32_t)dmi_random_below(&at, 1, places) - b->crop_padding;
    b->context->kernels->shift(y, x, b->height, b->width, b->channels, down, right);
}

/* x_0 [elements], in `scratch` [DMI_BATCH_SCRATCH, elements] where the picture is the dataset's. */
static const float *clean_picture(const draw_job *job, int32_t i, float *scratch) {
    const dmi_batch *b = job->batch;
    size_t at = (size_t)i * b->elements;
    if (job->given) return job->given->images + at;
    if (job->reads) read_picture(b, i);
    uint64_t position = job->position + (uint64_t)i;
    float *whole =
        b->crop_padding > 0 ? scratch + b->elements : scratch; /* the noise comes later */
    b->context->kernels->from_u8(whole, b->pixels + at, b->height, b->width, b->channels,
                                 is_flipped(b, position));
    if (b->crop_padding > 0) crop(b, position, scratch, whole);
    return scratch;
}

/* eps [elements], drawn into `scratch` unless the caller gave it. */
static const float *noise_of(const draw_job *job, int32_t i, float *scratch) {
    const dmi_batch *b = job->batch;
    if (job->given && job->given->noise) return job->given->noise + (size_t)i * b->elements;
    dmi_random at = dmi_random_at(b->seed, DMI_STREAM_NOISE, job->position + (uint64_t)i);
    dmi_random_normal(&at, scratch, b->elements);
    return scratch;
}

/* A label as the embedding's row: the last one means "no class". */
static float label_row(const draw_job *job, int32_t i) {
    const dmi_batch *b = job->batch;
    int32_t label = -1;
    if (job->given && job->given->labels) label = job->given->labels[i];
    if (!job->given && b->use_labels) label = b->labels[i];
    bool dropped = b->label_dropout > 0 &&
                   happens(b, b->label_dropout, DMI_STREAM_LABEL, job->position + (uint64_t)i);
    return (float)(label < 0 || dropped ? b->classes : label);
}

/* x_t = signal x_0 + noise eps, of which the network gets a multiple, and at its side 0 in place of
 * an x_0 seen before. */
static void add_noise(const draw_job *job, int32_t i, const dmi_drawn *drawn, const float *x_0,
                      const float *noise, float *scratch) {
    const dmi_batch *b = job->batch;
    const dmi_kernels *kernels = b->context->kernels;
    size_t n = b->elements, c = (size_t)b->channels;
    float of_x_0 = (float)(drawn->reading.input * drawn->level.signal),
          of_noise = (float)(drawn->reading.input * drawn->level.noise);
    if (!b->self_conditioning) {
        kernels->combine(job->x_t + (size_t)i * n, of_x_0, x_0, of_noise, noise, n);
        return;
    }
    float *input = job->x_t + (size_t)i * 2 * n;
    kernels->combine(scratch, of_x_0, x_0, of_noise, noise, n);
    memset(input, 0, 2 * n * sizeof *input);
    kernels->copy_rows(input, 2 * c, scratch, c, n / c, c, false);
}

static void draw_picture(void *data, int32_t i, int32_t worker) {
    const draw_job *job = data;
    const dmi_batch *b = job->batch;
    size_t n = b->elements;
    float *scratch = b->scratch + (size_t)worker * DMI_BATCH_SCRATCH * n;
    const float *x_0 = clean_picture(job, i, scratch), *noise = noise_of(job, i, scratch + n);
    dmi_drawn_level at = job->given && job->given->timesteps
                             ? dmi_timesteps_given(b->timesteps, job->given->timesteps[i])
                             : dmi_timesteps_draw(b->timesteps, job->position + (uint64_t)i);
    dmi_drawn drawn = {.level = at.level, .timestep = at.timestep, .importance = at.importance};
    drawn.reading = dmi_reading_at(drawn.level, b->prediction, b->sigma_data);
    dmi_mixture target = dmi_loss_target(drawn.level, b->prediction, b->sigma_data);
    add_noise(job, i, &drawn, x_0, noise, scratch + 2 * n);
    b->context->kernels->combine(b->target + (size_t)i * n, (float)target.image, x_0,
                                 (float)target.noise, noise, n);
    b->drawn[i] = drawn;
    job->t[i] = (float)drawn.level.time;
    if (job->labels) job->labels[i] = label_row(job, i);
}

/* What the reading of the pictures came to. */
static int32_t check_reading(const dmi_batch *batch) {
    dmi_host *host = &batch->context->host;
    for (int32_t i = 0; i < batch->count; i++) {
        int32_t label = batch->labels[i];
        if (batch->statuses[i]) return batch->statuses[i];
        if (!batch->use_labels || (label >= -1 && label < batch->classes)) continue;
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "trainer: picture %llu of the dataset has label %d; the network has %d classes",
            (unsigned long long)batch->indices[i], (int)label, (int)batch->classes);
    }
    return DM_OK;
}

int32_t dmi_batch_draw(dmi_batch *batch, const dmi_unet_graph *graph, uint64_t position,
                       const dm_train_batch *given) {
    draw_job job = {
        .batch = batch,
        .given = given,
        .position = position,
        .reads = !given && batch->dataset->concurrent,
        .x_t = dmi_graph_data(graph->graph, graph->x),
        .t = dmi_graph_data(graph->graph, graph->t),
        .labels = dmi_graph_data(graph->graph, graph->labels),
    };
    int32_t status = DM_OK;
    if (!given) choose_pictures(batch, position);
    if (!given && !job.reads) {
        for (int32_t i = 0; i < batch->count; i++) {
            read_picture(batch, i);
            if (batch->statuses[i]) return batch->statuses[i];
        }
    }
    dmi_parallel(batch->context->host.pool, batch->count, draw_picture, &job);
    if (!given) status = check_reading(batch);
    return status;
}

/* ---- self-conditioning ---- */

bool dmi_batch_looks_twice(const dmi_batch *batch, double rate, uint64_t pass) {
    return batch->self_conditioning && happens(batch, rate, DMI_STREAM_SELF_CONDITION, pass);
}

typedef struct look_job {
    const dmi_batch *batch;
    float *input;
    const float *output;
    size_t output_channels;
} look_job;

static void look_again(void *data, int32_t i, int32_t worker) {
    const look_job *job = data;
    const dmi_batch *b = job->batch;
    const dmi_reading *r = &b->drawn[i].reading;
    size_t c = (size_t)b->channels, pixels = b->elements / c;
    (void)worker;
    b->context->kernels->self_condition(job->input + (size_t)i * 2 * b->elements,
                                        (float)(r->x0_x / r->input),
                                        job->output + (size_t)i * pixels * job->output_channels,
                                        (float)r->x0_output, job->output_channels, pixels, c);
}

void dmi_batch_show(const dmi_batch *batch, const dmi_unet_graph *graph, int32_t output_channels) {
    look_job job = {.batch = batch,
                    .input = dmi_graph_data(graph->graph, graph->x),
                    .output = dmi_graph_data(graph->graph, graph->output),
                    .output_channels = (size_t)output_channels};
    dmi_parallel(batch->context->host.pool, batch->count, look_again, &job);
}
