/* The variational bound of a network over a dataset (Ho et al. 2020, eq. 5; Nichol and Dhariwal
 * 2021), and its error by quarters of the timesteps. Each question to the network is of one
 * timestep of every picture of a batch, another for each. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "core/options.h"
#include "dataset/dataset.h"
#include "train/loss.h"
#include "unet/options.h"
#include "unet/unet.h"

enum { BATCH_MOST = 4096, TIMESTEPS_MOST = 100000, QUARTERS = 4 };

static const dm_evaluation_options defaults = {
    .struct_size = sizeof(dm_evaluation_options),
    .batch_size = 16,
    .count = 256,
    .timesteps = 20,
    .variance = DM_VARIANCE_FIXED_LARGE,
    .clip = 1,
    .use_labels = 1,
};

int32_t dm_evaluation_options_init(dm_evaluation_options *options, size_t size) {
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults,
                             "dm_evaluation_options");
}

/* One picture's sums; the bound's terms in nats of the whole picture. */
typedef struct picture_sums {
    double prior, decoder, steps, squares[QUARTERS],
        asked[QUARTERS]; /* the timesteps that the questions stand for */
} picture_sums;

typedef struct evaluation {
    dm_context *context;
    dm_unet *unet;
    const dm_schedule *schedule;
    const dm_dataset *dataset;
    dm_evaluation_options o;
    size_t n, channels, wide_in, wide_out; /* values and channels of a picture; of the network's
                                              input and output, in pictures */
    int32_t questions; /* of each picture: the first timestep's and `timesteps` */
    bool has_bound;
    size_t first; /* of the batch: its first picture, its pictures */
    int32_t count, question;
    /* [batch_size, ...] */
    uint8_t *pixels;
    float *x_0, *x_t, *noise, *target, *input, *output, *eps, *gradient, *time;
    double *wide, *other; /* x_0 and eps in double */
    int32_t *labels, *timesteps, *statuses;
    picture_sums *sums;
    double sum, squares; /* of pictures' bits */
    picture_sums all;
} evaluation;

/* ---- one picture ---- */

static void read_task(void *data, int32_t i, int32_t worker) {
    evaluation *e = data;
    const dmi_kernels *kernels = e->context->kernels;
    const dm_unet_options *u = &e->unet->options;
    size_t at = (size_t)i * e->n;
    (void)worker;
    if (e->dataset->concurrent)
        e->statuses[i] = e->dataset->read(e->dataset, e->o.first + e->first + (size_t)i,
                                          e->pixels + at, &e->labels[i]);
    kernels->from_u8(e->x_0 + at, e->pixels + at, u->height, u->width, u->in_channels, false);
    e->sums[i] = (picture_sums){0};
    if (!e->has_bound) return;
    /* KL of q(x_T | x_0) and the standard normal. */
    dmi_level last = dmi_schedule_level(e->schedule, e->schedule->steps - 1);
    double variance = last.noise * last.noise, values = (double)e->n;
    e->sums[i].prior = 0.5 * (values * (variance - 1 - log(variance)) +
                              last.signal * last.signal * kernels->sum_squares(e->x_0 + at, e->n));
}

/* Question 0 is of the first timestep, whose term the estimate would miss most; question k of one
 * of the k-th stretch. Gives how many timesteps it stands for, from *low on: stretches may differ
 * by one. */
static int32_t stretch(const evaluation *e, int32_t *low) {
    int64_t others = e->schedule->steps - 1, stretches = e->questions - 1, k = e->question - 1;
    *low = e->question ? (int32_t)(1 + others * k / stretches) : 0;
    return e->question ? (int32_t)(1 + others * (k + 1) / stretches) - *low : 1;
}

static int32_t timestep_of(const evaluation *e, int32_t i) {
    int32_t low, size = stretch(e, &low);
    dmi_random at = dmi_random_at(e->o.seed, DMI_STREAM_EVALUATION_TIMESTEP, e->o.first + e->first + (size_t)i);
    return low + (int32_t)dmi_random_below(&at, (uint64_t)e->question, (uint32_t)size);
}

static void ask_task(void *data, int32_t i, int32_t worker) {
    evaluation *e = data;
    const dmi_kernels *kernels = e->context->kernels;
    const dm_unet_options *u = &e->unet->options;
    size_t n = e->n, at = (size_t)i * n, c = e->channels;
    int32_t t = e->timesteps[i] = timestep_of(e, i);
    dmi_level level = dmi_schedule_level(e->schedule, t);
    dmi_mixture target = dmi_loss_target(level, u->prediction, u->sigma_data);
    dmi_reading r = dmi_reading_at(level, u->prediction, u->sigma_data);
    float *noise = e->noise + at, *input = e->input + at * e->wide_in;
    (void)worker;
    /* A sequence of its own for each question of each picture. */
    uint64_t place =
        (e->o.first + e->first + (size_t)i) * (uint64_t)e->questions + (uint64_t)e->question;
    dmi_random from = dmi_random_at(e->o.seed, DMI_STREAM_EVALUATION_NOISE, place & ((UINT64_C(1) << 56) - 1));
    dmi_random_normal(&from, noise, n);
    kernels->combine(e->x_t + at, (float)level.signal, e->x_0 + at, (float)level.noise, noise, n);
    kernels->combine(e->target + at, (float)target.image, e->x_0 + at, (float)target.noise, noise,
                     n);
    memset(input, 0,
           n * e->wide_in *
               sizeof *input); /* what a self-conditioned network saw before: nothing */
    kernels->copy_rows(input, e->wide_in * c, e->x_t + at, c, n / c, c, false);
    if (r.input != 1) kernels->scale(input, input, (float)r.input, n * e->wide_in);
    e->time[i] = (float)level.time;
}

/* The x_0 that the network sees, clipped where asked, or the eps that follows from it, beside where
 * the variance lies: [pixels, 2 channels]. */
static void read_guess(evaluation *e, size_t i, const float *prediction, dmi_level level,
                       bool as_x_0) {
    const dmi_kernels *kernels = e->context->kernels;
    size_t n = e->n, at = i * n, c = e->channels;
    double *x_0 = e->wide + at, *x = e->other + at;
    dmi_reading r = dmi_reading_at(level, e->unet->options.prediction, e->unet->options.sigma_data);
    dmi_reading again = dmi_reading_at(level, DM_PREDICT_X0, 1);
    kernels->solver_weighted_sum(x, NULL, NULL, 0, e->x_t + at, 1, n);
    kernels->solver_axpby_clamp(x_0, r.x0_x, x, r.x0_output, prediction, e->o.clip ? 1 : INFINITY, n);
    const double *terms[] = {x, x_0}, factors[] = {again.eps_x, again.eps_output};
    if (!as_x_0) kernels->solver_weighted_sum(x, terms, factors, 2, NULL, 0, n);
    kernels->solver_to_f32(e->gradient + 2 * at, 1, as_x_0 ? x_0 : x,
                          n); /* which is written over below */
    kernels->copy_rows(e->eps + 2 * at, 2 * c, e->gradient + 2 * at, c, n / c, c, false);
}

static void add_bound(evaluation *e, size_t i, const float *prediction, int32_t t,
                      double stands_for) {
    dmi_bound bound = dmi_loss_bound(e->schedule, t);
    dmi_level level = dmi_schedule_level(e->schedule, t);
    size_t n = e->n, at = i * n;
    /* Where x_t is noise alone no eps follows from x_0, and the mean's error is that of x_0 times
     * its share (eq. 7). */
    bool as_x_0 = t > 0 && !dmi_level_has_signal(level);
    const float *truth = as_x_0 ? e->x_0 : e->noise;
    if (as_x_0) bound.error = dmi_schedule_value(e->schedule, DM_SERIES_POSTERIOR_MEAN_X0, t);
    bound.factor = 0;
    /* The last step's variance is never beta, which would blur what the bytes are read from, but
     * the posterior's, as Ho et al. and Nichol and Dhariwal compute their figures. */
    if (t == 0 && e->o.variance == DM_VARIANCE_FIXED_LARGE) bound.high = bound.low;
    read_guess(e, i, prediction, level, as_x_0);
    double nats =
        e->context->kernels->bound(e->gradient + 2 * at, e->eps + 2 * at, truth + at, e->x_t + at,
                                   e->channels, &bound, n / e->channels, e->channels);
    if (e->question == 0) e->sums[i].decoder = nats;
    else e->sums[i].steps += stands_for * nats;
}

static void answer_task(void *data, int32_t task, int32_t worker) {
    evaluation *e = data;
    const dmi_kernels *kernels = e->context->kernels;
    size_t i = (size_t)task, n = e->n, at = i * n, c = e->channels;
    int32_t t = e->timesteps[i], low;
    double stands_for = stretch(e, &low);
    const float *output = e->output + at * e->wide_out;
    float *prediction = e->input + at * e->wide_in; /* the network has read it */
    (void)worker;
    kernels->copy_rows(prediction, c, output, e->wide_out * c, n / c, c, false);
    if (e->o.variance == DM_VARIANCE_LEARNED)
        kernels->copy_rows(e->eps + 2 * at + c, 2 * c, output + c, 2 * c, n / c, c, false);
    e->statuses[i] = kernels->all_finite(output, n * e->wide_out) ? DM_OK : DM_ERROR_NOT_FINITE;
    int32_t quarter = (int32_t)((int64_t)t * QUARTERS / e->schedule->steps);
    e->sums[i].squares[quarter] +=
        stands_for * kernels->mse(e->gradient + 2 * at, prediction, e->target + at, 0, n) /
        (double)n;
    e->sums[i].asked[quarter] += stands_for;
    if (e->has_bound) add_bound(e, i, prediction, t, stands_for);
}

/* ---- batches ---- */

static int32_t read_batch(evaluation *e) {
    dmi_host *host = &e->context->host;
    for (int32_t i = 0; !e->dataset->concurrent && i < e->count; i++) {
        int32_t status = e->dataset->read(e->dataset, e->o.first + e->first + (size_t)i,
                                          e->pixels + (size_t)i * e->n, &e->labels[i]);
        if (status) return status;
    }
    memset(e->statuses, 0, (size_t)e->count * sizeof *e->statuses);
    dmi_parallel(host->pool, e->count, read_task, e);
    for (int32_t i = 0; i < e->count; i++) {
        int32_t classes = e->unet->options.classes;
        if (e->statuses[i]) return e->statuses[i];
        if (!classes || !e->o.use_labels) e->labels[i] = -1;
        if (e->labels[i] >= -1 && (e->labels[i] < classes || classes == 0)) continue;
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "evaluate: picture %zu of the dataset has label %d; the network has %d classes",
            (size_t)e->o.first + e->first + (size_t)i, (int)e->labels[i], (int)classes);
    }
    return DM_OK;
}

static int32_t ask(evaluation *e) {
    dmi_pool *pool = e->context->host.pool;
    dmi_parallel(pool, e->count, ask_task, e);
    const int32_t *labels = e->unet->options.classes ? e->labels : NULL;
    /* The last batch may be smaller; its other pictures are asked again, for the network is planned
     * for one size. */
    int32_t status =
        dm_unet_forward(e->unet, e->output, e->input, e->time, labels, (size_t)e->o.batch_size);
    if (status) return status;
    dmi_parallel(pool, e->count, answer_task, e);
    for (int32_t i = 0; i < e->count; i++)
        if (e->statuses[i])
            return dmi_fail(&e->context->host, DM_ERROR_NOT_FINITE,
                            "evaluate: the network's output is infinite or not a number for "
                            "picture %zu at timestep %d",
                            (size_t)e->o.first + e->first + (size_t)i, (int)e->timesteps[i]);
    return DM_OK;
}

/* The batch's pictures, in order. */
static void gather(evaluation *e) {
    for (int32_t i = 0; i < e->count; i++) {
        picture_sums *s = &e->sums[i];
        double bits = (s->prior + s->steps + s->decoder) / (log(2) * (double)e->n);
        e->sum += bits;
        e->squares += bits * bits;
        e->all.prior += s->prior, e->all.steps += s->steps, e->all.decoder += s->decoder;
        for (int32_t q = 0; q < QUARTERS; q++)
            e->all.squares[q] += s->squares[q], e->all.asked[q] += s->asked[q];
    }
}

static void write_result(const evaluation *e, dm_evaluation *r) {
    double count = (double)e->o.count,
           unit = e->has_bound ? 1 / (log(2) * (double)e->n * count) : NAN;
    double mean = e->sum / count,
           variance = count > 1 ? (e->squares - count * mean * mean) / (count - 1) : 0;
    *r = (dm_evaluation){.struct_size = sizeof *r,
                         .pictures = e->o.count,
                         .prior_bits = unit * e->all.prior,
                         .step_bits = unit * e->all.steps,
                         .decoder_bits = unit * e->all.decoder};
    r->bits = r->prior_bits + r->step_bits + r->decoder_bits;
    r->standard_error = e->has_bound ? sqrt((variance > 0 ? variance : 0) / count) : NAN;
    for (int32_t q = 0; q < QUARTERS; q++)
        r->loss[q] = e->all.asked[q] > 0 ? e->all.squares[q] / e->all.asked[q] : NAN;
}

static int32_t run(evaluation *e, dm_evaluation_progress progress, void *user) {
    uint64_t done = 0, all = e->o.count * (uint64_t)e->questions;
    int32_t status = DM_OK;
    for (e->first = 0; !status && e->first < e->o.count; e->first += (size_t)e->count) {
        e->count = e->o.count - e->first < (uint64_t)e->o.batch_size
                       ? (int32_t)(e->o.count - e->first)
                       : e->o.batch_size;
        status = read_batch(e);
        for (e->question = 0; !status && e->question < e->questions; e->question++) {
            status = ask(e);
            done += (uint64_t)e->count;
            int32_t answer = !status && progress ? progress(user, done, all) : 0;
            if (answer)
                status = dmi_fail(
                    &e->context->host, DM_ERROR_CANCELLED,
                    "evaluate: the progress callback returned %d after %llu of %llu questions",
                    (int)answer, (unsigned long long)done, (unsigned long long)all);
        }
        if (!status) gather(e);
    }
    return status;
}

/* ---- before and after ---- */

static int32_t check(evaluation *e) {
    dmi_host *host = &e->context->host;
    const dm_unet_options *u = &e->unet->options;
    dm_evaluation_options *o = &e->o;
    int32_t most = e->schedule->steps - 1;
    int32_t status = dmi_check_range(host, "evaluate", "batch_size", o->batch_size, 1, BATCH_MOST);
    if (!status)
        status = dmi_check_range(host, "evaluate", "timesteps", o->timesteps, 0, TIMESTEPS_MOST);
    if (!status)
        status = dmi_check_range(host, "evaluate", "variance", o->variance, DM_VARIANCE_FIXED_SMALL,
                                 DM_VARIANCE_LEARNED);
    if (!status) status = dmi_check_range(host, "evaluate", "clip", o->clip, 0, 1);
    if (!status) status = dmi_check_range(host, "evaluate", "use_labels", o->use_labels, 0, 1);
    if (!status)
        status = dmi_schedule_check_prediction(host, "evaluate", e->schedule, u->prediction);
    if (status) return status;
    if (o->variance == DM_VARIANCE_LEARNED && !u->learned_variance)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "evaluate: 'variance' 2 (learned) and the network don't go together: it "
                        "was made without "
                        "'learned_variance'");
    if (e->dataset->height != u->height || e->dataset->width != u->width ||
        e->dataset->channels != u->in_channels || u->in_channels != u->out_channels)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "evaluate: the dataset's pictures are %d x %d x %d, the network's %d x %d "
                        "x %d in and %d out",
                        (int)e->dataset->height, (int)e->dataset->width, (int)e->dataset->channels,
                        (int)u->height, (int)u->width, (int)u->in_channels, (int)u->out_channels);
    if (o->first >= e->dataset->count)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "evaluate: 'first' is %llu; the dataset has %llu pictures",
                        (unsigned long long)o->first, (unsigned long long)e->dataset->count);
    if (o->count == 0 || o->count > e->dataset->count - o->first)
        o->count = e->dataset->count - o->first;
    if (o->count < (uint64_t)o->batch_size) o->batch_size = (int32_t)o->count;
    e->questions = 1 + (o->timesteps && o->timesteps < most ? o->timesteps : most);
    e->has_bound = dmi_schedule_has_betas(e->schedule);
    return DM_OK;
}

static int32_t allocate(evaluation *e) {
    dmi_host *host = &e->context->host;
    size_t size = (size_t)e->o.batch_size, n = e->n;
    const struct {
        void *block; /* the address of the pointer */
        size_t each, size;
    } all[] = {
        {&e->pixels, n, 1},
        {&e->x_0, n, sizeof(float)},
        {&e->x_t, n, sizeof(float)},
        {&e->noise, n, sizeof(float)},
        {&e->target, n, sizeof(float)},
        {&e->input, n * e->wide_in, sizeof(float)},
        {&e->output, n * e->wide_out, sizeof(float)},
        {&e->eps, 2 * n, sizeof(float)},
        {&e->gradient, 2 * n, sizeof(float)},
        {&e->time, 1, sizeof(float)},
        {&e->wide, n, sizeof(double)},
        {&e->other, n, sizeof(double)},
        {&e->labels, 1, sizeof(int32_t)},
        {&e->timesteps, 1, sizeof(int32_t)},
        {&e->statuses, 1, sizeof(int32_t)},
        {&e->sums, 1, sizeof(picture_sums)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int32_t status = dmi_alloc_zero(host, all[i].block, size * all[i].each, all[i].size,
                                        "evaluate: pictures");
        if (status) return status;
    }
    /* Where the variance of the steps lies: at beta, or at the posterior's. */
    for (size_t k = 0; k < 2 * n * size; k++)
        e->eps[k] = e->o.variance == DM_VARIANCE_FIXED_LARGE ? 1 : -1;
    return DM_OK;
}

static void release(evaluation *e) {
    dmi_host *host = &e->context->host;
    void *const blocks[] = {e->pixels, e->x_0,       e->x_t,      e->noise, e->target, e->input,
                            e->output, e->eps,       e->gradient, e->time,  e->wide,   e->other,
                            e->labels, e->timesteps, e->statuses, e->sums};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dmi_free(host, blocks[i]);
}

int32_t dm_unet_evaluate(dm_unet *unet, const dm_schedule *schedule, const dm_dataset *dataset,
                         const dm_evaluation_options *options, dm_evaluation_progress progress,
                         void *user, dm_evaluation *result) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!schedule || !dataset || !result)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "evaluate: '%s' is NULL",
                        !schedule  ? "schedule"
                        : !dataset ? "dataset"
                                   : "result");
    if (dataset->context != unet->context)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "evaluate: the dataset is of another context than the network");
    const dm_unet_options *u = &unet->options;
    evaluation e = {.context = unet->context,
                    .unet = unet,
                    .schedule = schedule,
                    .dataset = dataset,
                    .o = defaults,
                    .n = (size_t)u->height * (size_t)u->width * (size_t)u->in_channels,
                    .channels = (size_t)u->in_channels,
                    .wide_in = 1 + (size_t)u->self_conditioning,
                    .wide_out = 1 + (size_t)u->learned_variance};
    dm_evaluation full = {0};
    int32_t status =
        dmi_options_write(host, result, result->struct_size, &full, sizeof full, "dm_evaluation");
    if (!status)
        status = dmi_options_read(host, &e.o, sizeof e.o, options, "dm_evaluation_options");
    if (!status) status = check(&e);
    if (status) return status;
    status = allocate(&e);
    if (!status) status = run(&e, progress, user);
    release(&e);
    if (status) return status;
    write_result(&e, &full);
    return dmi_options_write(host, result, result->struct_size, &full, sizeof full,
                             "dm_evaluation");
}
