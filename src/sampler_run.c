/* The run: noise to pictures, batch by batch. A picture depends on its own seed, label and start alone, so neither the
 * batch that it is in nor the number of threads changes a bit of it. */
#include <string.h>

#include "base/random.h"
#include "sampler.h"

enum { COUNT_MOST = 65536 };

/* What a task can find wrong with its picture. */
enum { FAULT_NONE = 0, FAULT_OUTPUT = 1, FAULT_NOISE = 2, FAULT_PICTURE = 3 };

static const dm_sampler_request request_defaults = {.struct_size = sizeof(dm_sampler_request), .count = 1};

int32_t dm_sampler_request_init(dm_sampler_request *request, size_t size) {
    return dmi_options_write(NULL, request, size, &request_defaults, sizeof request_defaults, "dm_sampler_request");
}

/* ---- before the run ---- */

static int32_t check_labels(const dm_sampler *s, const dm_sampler_request *r) {
    dmi_host *host = &s->context->host;
    if (!r->labels || !s->unet) return DM_OK;
    int32_t classes = s->unet->options.classes;
    if (classes == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: labels were given, but the network has no classes");
    for (uint64_t i = 0; i < r->count; i++)
        if (r->labels[i] < -1 || r->labels[i] > classes)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "sampler: the label of picture %llu is %d; it must be 0 to %d, or -1 for none",
                            (unsigned long long)i, (int)r->labels[i], (int)classes - 1);
    return DM_OK;
}

static int32_t check_request(const dm_sampler *s, const dm_sampler_request *r, const float *images, size_t elements) {
    dmi_host *host = &s->context->host;
    if (r->reserved != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: the request's 'reserved' is %d; it must be 0",
                        (int)r->reserved);
    if (r->count < 1 || r->count > COUNT_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: the request's 'count' is %llu; it must be 1 to %d",
                        (unsigned long long)r->count, (int)COUNT_MOST);
    if (!images) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'images' is NULL");
    size_t total;
    if (!dmi_mul((size_t)r->count, s->elements, &total) || elements != total)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "sampler: 'elements' is %zu; %llu pictures of %d x %d x %d have another number", elements,
                        (unsigned long long)r->count, (int)s->height, (int)s->width, (int)s->channels);
    if (r->start)
        for (uint64_t i = 0; i < r->count; i++)
            if (!s->context->kernels->all_finite(r->start + i * s->elements, s->elements))
                return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: 'start' of picture %llu has infinities or NaN",
                                (unsigned long long)i);
    return check_labels(s, r);
}

void dmi_sampler_release(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    dmi_free(host, s->x);
    dmi_free(host, s->x_0);
    dmi_free(host, s->output);
    dmi_free(host, s->noise);
    dmi_free(host, s->labels);
    dmi_free(host, s->faults);
    s->x = s->x_0 = s->output = s->noise = NULL;
    s->labels = NULL;
    s->faults = NULL;
    s->capacity = 0;
}

/* Room for `size` pictures at once, and the network's own for so many: the steps then allocate nothing. */
static int32_t reserve(dm_sampler *s, size_t size) {
    dmi_host *host = &s->context->host;
    int32_t status = DM_OK;
    if (s->capacity < size) {
        dmi_sampler_release(s);
        size_t picture = s->elements * sizeof(float);
        status = dmi_alloc_array(host, (void **)&s->x, size, picture, "sampler: x_t");
        if (!status) status = dmi_alloc_array(host, (void **)&s->x_0, size, picture, "sampler: x_0");
        if (!status) status = dmi_alloc_array(host, (void **)&s->output, size, picture, "sampler: the network's output");
        if (!status) status = dmi_alloc_array(host, (void **)&s->noise, size, picture, "sampler: noise");
        if (!status) status = dmi_alloc_array(host, (void **)&s->labels, size, sizeof *s->labels, "sampler: labels");
        if (!status) status = dmi_alloc_array(host, (void **)&s->faults, size, sizeof *s->faults, "sampler: faults");
        if (status) {
            dmi_sampler_release(s);
            return status;
        }
        s->capacity = size;
    }
    dmi_unet_graph *graph;
    if (s->unet) status = dmi_unet_forward_graph(s->unet, &graph, size);
    return status;
}

/* ---- one batch ---- */

typedef struct batch {
    dm_sampler *sampler;
    const dm_sampler_request *request;
    size_t first;  /* its first picture */
    size_t count;  /* pictures that are wanted of it */
    size_t size;   /* pictures that go through the network: those after `count` repeat earlier ones, for its sake */
    int32_t step;  /* 0 is the noise that sampling starts from, then 1 to steps */
} batch;

static void draw(const batch *b, size_t i, float *noise) {
    const dm_sampler_request *r = b->request;
    uint64_t seed = r->seeds ? r->seeds[b->first + i] : r->seed + b->first + i;
    dmi_random at = dmi_random_at(seed, DMI_STREAM_SAMPLE, (uint64_t)b->step);
    dmi_random_normal(&at, noise, b->sampler->elements);
}

static void draw_start_task(void *data, int32_t task, int32_t worker) {
    (void)worker;
    const batch *b = data;
    draw(b, (size_t)task, b->sampler->x + (size_t)task * b->sampler->elements);
}

static void update_task(void *data, int32_t task, int32_t worker) {
    (void)worker;
    const batch *b = data;
    dm_sampler *s = b->sampler;
    const dmi_kernels *kernels = s->context->kernels;
    const dmi_solver_update *update = &s->updates[b->step - 1];
    size_t i = (size_t)task, n = s->elements;
    float *x = s->x + i * n, *noise = s->noise + i * n;
    const float *output = s->output + i * n;
    bool noisy = update->noise != 0;
    if (noisy && !b->request->noise) draw(b, i, noise);
    s->faults[i] = FAULT_NONE;
    if (!kernels->all_finite(output, n)) {
        s->faults[i] = FAULT_OUTPUT;
    } else if (noisy && b->request->noise && !kernels->all_finite(noise, n)) {
        s->faults[i] = FAULT_NOISE;
    } else {
        kernels->solver_update(x, s->x_0 + i * n, output, noisy ? noise : NULL, update, n);
        if (!kernels->all_finite(x, n)) s->faults[i] = FAULT_PICTURE;
    }
}

static int32_t first_fault(const batch *b) {
    static const char *const what[] = {
        [FAULT_OUTPUT] = "the network's output", [FAULT_NOISE] = "the noise", [FAULT_PICTURE] = "the picture"};
    const dm_sampler *s = b->sampler;
    for (size_t i = 0; i < b->count; i++)
        if (s->faults[i] != FAULT_NONE)
            return dmi_fail(&s->context->host, DM_ERROR_NOT_FINITE,
                            "sampler: %s is infinite or not a number in picture %zu at step %d of %d (timestep %d)",
                            what[s->faults[i]], b->first + i, (int)b->step, (int)s->options.steps,
                            (int)s->timesteps[b->step - 1]);
    return DM_OK;
}

static int32_t ask_noise(const batch *b, float *noise) {
    const dm_sampler *s = b->sampler;
    int32_t answer = b->request->noise(b->request->noise_user, b->step, noise, b->first, b->count, s->elements);
    if (!answer) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CALLBACK_FAILED, "sampler: the noise source returned %d at step %d of %d",
                    (int)answer, (int)b->step, (int)s->options.steps);
}

/* x_T and the labels. */
static int32_t begin(batch *b) {
    dm_sampler *s = b->sampler;
    const dm_sampler_request *r = b->request;
    size_t n = s->elements;
    int32_t status = DM_OK;
    b->step = 0;
    if (r->start) memcpy(s->x, r->start + b->first * n, b->count * n * sizeof(float));
    else if (r->noise) status = ask_noise(b, s->x);
    else dmi_parallel(s->context->host.pool, (int32_t)b->count, draw_start_task, b);
    if (status) return status;
    if (!s->context->kernels->all_finite(s->x, b->count * n))
        return dmi_fail(&s->context->host, DM_ERROR_NOT_FINITE,
                        "sampler: the noise to start from is infinite or not a number in pictures %zu to %zu", b->first,
                        b->first + b->count - 1);
    if (r->labels) memcpy(s->labels, r->labels + b->first, b->count * sizeof(int32_t));
    for (size_t i = b->count; i < b->size; i++) {
        memcpy(s->x + i * n, s->x + (i - b->count) * n, n * sizeof(float));
        if (r->labels) s->labels[i] = s->labels[i - b->count];
    }
    return DM_OK;
}

static int32_t predict(const batch *b, int32_t timestep) {
    dm_sampler *s = b->sampler;
    const int32_t *labels = b->request->labels ? s->labels : NULL;
    if (s->unet) return dmi_unet_denoise(s->unet, s->output, s->x, (float)timestep, labels, b->size);
    int32_t answer = s->denoiser(s->denoiser_user, s->output, s->x, (float)timestep, labels, b->count, s->elements);
    if (!answer) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CALLBACK_FAILED, "sampler: the denoiser returned %d at step %d of %d",
                    (int)answer, (int)b->step, (int)s->options.steps);
}

static int32_t check_cancelled(const batch *b) {
    dm_sampler *s = b->sampler;
    if (!atomic_load(&s->cancelled)) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CANCELLED, "sampler: cancelled after step %d of %d, at picture %zu",
                    (int)b->step, (int)s->options.steps, b->first);
}

static int32_t run_step(batch *b) {
    dm_sampler *s = b->sampler;
    const dm_sampler_request *r = b->request;
    int32_t status = predict(b, s->timesteps[b->step - 1]);
    if (!status && r->noise && s->updates[b->step - 1].noise != 0) status = ask_noise(b, s->noise);
    if (status) return status;
    dmi_parallel(s->context->host.pool, (int32_t)b->count, update_task, b);
    status = first_fault(b);
    if (status || !r->progress) return status;
    int32_t answer = r->progress(r->progress_user, b->step, s->options.steps, s->x, s->x_0, b->first, b->count);
    if (!answer) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_CANCELLED, "sampler: the progress callback returned %d after step %d of %d",
                    (int)answer, (int)b->step, (int)s->options.steps);
}

static int32_t run_batch(batch *b, float *images) {
    dm_sampler *s = b->sampler;
    int32_t status = begin(b);
    if (!status) status = check_cancelled(b);
    while (!status && b->step < s->options.steps) {
        b->step++;
        status = run_step(b);
        if (!status) status = check_cancelled(b);
    }
    if (!status) memcpy(images + b->first * s->elements, s->x, b->count * s->elements * sizeof(float));
    return status;
}

static int32_t run(dm_sampler *s, const dm_sampler_request *request, float *images, size_t elements) {
    dm_sampler_request r = request_defaults;
    int32_t status = dmi_options_read(&s->context->host, &r, sizeof r, request, "dm_sampler_request");
    if (!status) status = check_request(s, &r, images, elements);
    if (status) return status;
    /* Batches of one size, since the network is planned for one. */
    size_t count = (size_t)r.count, most = (size_t)s->options.batch_size;
    size_t batches = (count + most - 1) / most, size = (count + batches - 1) / batches;
    status = reserve(s, size);
    for (size_t first = 0; !status && first < count; first += size) {
        batch b = {.sampler = s, .request = &r, .first = first, .size = size};
        b.count = count - first < size ? count - first : size;
        status = run_batch(&b, images);
    }
    return status;
}

int32_t dm_sampler_run(dm_sampler *sampler, const dm_sampler_request *request, float *images, size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    int32_t status = run(sampler, request, images, elements);
    if (status == DM_ERROR_CANCELLED) atomic_store(&sampler->cancelled, 0);
    return status;
}
