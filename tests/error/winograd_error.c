/* SPDX-License-Identifier: MIT */
/* The error of Winograd's convolution, and of the direct one through BLAS, in every 3x3 layer of
 * DDPM's CIFAR-10 network (35,746,307 parameters), in all three directions, against plain loops in
 * double precision; as tables in Markdown.
 *
 *     winograd_error [network.safetensors]
 *
 * Each layer is measured during a training step on two of the built-in images, in its backward
 * pass: its input, its weights and the gradient of its output are those of the step. Without a file
 * the network has DDPM's initialisation, but weights that are practically zero (1e-5 times the
 * usual) are scaled to the usual size, so that all branches count. Biases and residuals are left
 * out, since they would make the errors look smaller. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error/convolve.h"
#include "train/trainer.h"

enum { BATCH = 2, SIZE = 32, LAYERS_MAX = 128 };
enum { WINOGRAD, DIRECT, ALGORITHMS };

static const dmi_conv_algorithm *const algorithms[ALGORITHMS] = {&dmi_conv_winograd,
                                                                 &dmi_conv_im2col};
static const char *const titles[DIRECTIONS] = {"Forward", "Gradient of the input",
                                               "Gradient of the weights"};

typedef struct error {
    double norm;    /* of the difference over the norm of the result */
    double largest; /* difference over the root mean square of the result */
} error;

typedef struct layer {
    const char *name;
    dmi_conv_shape shape;
    bool measured[DIRECTIONS];
    bool selected; /* Winograd: the step's own weight gradient has the same bits */
    error errors[DIRECTIONS][ALGORITHMS];
} layer;

/* Filled by the hooked operation, which has no data of its own. */
static struct {
    layer layers[LAYERS_MAX];
    int32_t count;
    dmi_op hook;
    void (*backward)(dmi_graph *graph, dmi_node *node);
} report;

static void require(bool good, const char *what, const char *why) {
    if (good) return;
    fprintf(stderr, "winograd_error: %s: %s\n", what, why);
    exit(1);
}

static void accept(dm_status status, const dm_context *context) {
    require(status == DM_OK, dm_status_name(status), dm_context_error(context));
}

static void *block(size_t count, size_t element) {
    void *p = aligned_alloc(DMI_ALIGNMENT, (count * element / DMI_ALIGNMENT + 1) * DMI_ALIGNMENT);
    require(p != NULL, "memory", "there is not enough");
    return p;
}

static double *widened(const float *values, size_t count) {
    double *wide = block(count, sizeof *wide);
    for (size_t i = 0; i < count; i++) wide[i] = values[i];
    return wide;
}

/* w [9, co, ci] from [9, ci, co]. */
static double *transposed(const float *w, size_t ci, size_t co) {
    double *wide = block(9 * ci * co, sizeof *wide);
    for (size_t t = 0; t < 9; t++)
        for (size_t i = 0; i < ci; i++)
            for (size_t o = 0; o < co; o++) wide[(t * co + o) * ci + i] = w[(t * ci + i) * co + o];
    return wide;
}

/* ---- one layer ---- */

typedef struct operands {
    const float *x, *dy, *w;
} operands;

static error error_of(const float *got, const double *want, size_t count) {
    double wrong = 0, size = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs(got[i] - want[i]);
        wrong += difference * difference;
        size += want[i] * want[i];
        largest = difference > largest ? difference : largest;
    }
    require(size > 0 && isfinite(wrong), "a layer", "its result is all zero, or not finite");
    return (error){sqrt(wrong / size), largest / sqrt(size / (double)count)};
}

static void run_algorithm(const dmi_graph *g, const dmi_conv_algorithm *algorithm,
                          const dmi_conv_shape *s, int direction, float *to,
                          const operands *given) {
    int32_t threads = dmi_pool_threads(g->host->pool);
    float *work = block(direction == FORWARD ? algorithm->forward_work(g->kernels, s, threads)
                                             : algorithm->backward_work(g->kernels, s, threads),
                        sizeof *work);
    const dmi_epilogue nothing = {0};
    if (direction == FORWARD) {
        float *prepared = block(dmi_prepared_floats(algorithm, g->kernels, s), sizeof *prepared);
        if (algorithm->prepare) algorithm->prepare(g, s, prepared, given->w, false);
        algorithm->forward(g, s, to, given->x, given->w, prepared, &nothing, work);
        free(prepared);
    } else if (direction == DATA) {
        algorithm->backward_data(g, s, to, given->dy, given->w, false, work);
    } else {
        algorithm->backward_weight(g, s, to, given->x, given->dy, false, work);
    }
    free(work);
}

static void measure(const dmi_graph *g, layer *l, const operands *given, const float *own_dw) {
    const dmi_conv_shape *s = &l->shape;
    const size_t counts[DIRECTIONS] = {y_count(s), x_count(s), w_count(s)};
    double *x = widened(given->x, x_count(s)), *dy = widened(given->dy, y_count(s)),
           *w = widened(given->w, w_count(s));
    double *w_transposed = transposed(given->w, (size_t)s->ci, (size_t)s->co);
    for (int d = 0; d < DIRECTIONS; d++) {
        if (!l->measured[d]) continue;
        double *want = block(counts[d], sizeof *want);
        float *got = block(counts[d], sizeof *got);
        convolve(g->host->pool, s, d, want, x, dy, d == DATA ? w_transposed : w);
        for (int a = 0; a < ALGORITHMS; a++) {
            run_algorithm(g, algorithms[a], s, d, got, given);
            l->errors[d][a] = error_of(got, want, counts[d]);
            if (d == WEIGHT && a == WINOGRAD)
                l->selected = !memcmp(got, own_dw, counts[d] * sizeof *got);
        }
        free(got);
        free(want);
    }
    free(w_transposed);
    free(w);
    free(dy);
    free(x);
}

/* Replaces the convolution's own backward function, which it calls first. */
static void measuring_backward(dmi_graph *graph, dmi_node *node) {
    dmi_shape x = dmi_input_shape(graph, node, 0), y = dmi_graph_shape(graph, node->output);
    layer *l = &report.layers[report.count++];
    *l = (layer){.name = graph->params->items[graph->values[node->inputs[1]].param].name,
                 .measured = {true, false, true}};
    l->shape = (dmi_conv_shape){.n = x.n,
                                .ih = x.h,
                                .iw = x.w,
                                .ci = x.c,
                                .oh = y.h,
                                .ow = y.w,
                                .co = y.c,
                                .kernel = 3,
                                .stride = 1,
                                .pad = 1,
                                .upsample = node->attr.conv.upsample != 0};
    l->measured[DATA] = dmi_input_gradient(graph, node, 0) != NULL;
    operands given = {dmi_input(graph, node, 0), dmi_graph_gradient(graph, node->output),
                      dmi_input(graph, node, 1)};
    float *dy =
        block(y_count(&l->shape), sizeof *dy); /* a copy: a residual's gradient may overwrite it */
    memcpy(dy, given.dy, y_count(&l->shape) * sizeof *dy);
    given.dy = dy;
    report.backward(graph, node);
    measure(graph, l, &given, dmi_input_gradient(graph, node, 1));
    free(dy);
}

static void hook(dmi_graph *graph) {
    int32_t hooked = 0;
    for (int32_t i = 0; i < graph->node_count; i++) {
        dmi_node *node = &graph->nodes[i];
        if (strcmp(node->op->name, "conv") || node->attr.conv.kernel != 3 ||
            node->attr.conv.stride != 1)
            continue;
        require(hooked++ < LAYERS_MAX, "the network", "it has too many layers");
        report.hook = *node->op;
        report.backward = node->op->backward;
        report.hook.backward = measuring_backward;
        node->op = &report.hook;
    }
}

/* ---- tables ---- */

/* Layers from the first to the last; the backward pass met them in reverse. */
static const layer *at(int32_t i) { return &report.layers[report.count - 1 - i]; }

/* Without ".weight". */
static int short_name(const layer *l) { return (int)(strlen(l->name) - strlen(".weight")); }

static void print_layers(int direction) {
    printf("### %s\n\n| layer | map | channels | algorithm | Winograd | direct | ratio | Winograd, "
           "largest | direct, largest |\n"
           "|---|---|---|---|---|---|---|---|---|\n",
           titles[direction]);
    for (int32_t i = 0; i < report.count; i++) {
        const layer *l = at(i);
        if (!l->measured[direction]) continue;
        const error *e = l->errors[direction];
        printf("| %.*s | %dx%d | %d to %d | %s | %.2e | %.2e | %.1f | %.1e | %.1e |\n",
               short_name(l), l->name, (int)l->shape.oh, (int)l->shape.ow, (int)l->shape.ci,
               (int)l->shape.co, l->selected ? "Winograd" : "other", e[WINOGRAD].norm,
               e[DIRECT].norm, e[WINOGRAD].norm / e[DIRECT].norm, e[WINOGRAD].largest,
               e[DIRECT].largest);
    }
    puts("");
}

/* The number of products that a value sums, with which the error grows. */
static int32_t summed(const layer *l, int direction) {
    const dmi_conv_shape *s = &l->shape;
    return direction == FORWARD ? s->ci : direction == DATA ? s->co : s->n * s->oh * s->ow;
}

static int32_t next_summed(int direction, int32_t above) {
    int32_t next = INT32_MAX;
    for (int32_t i = 0; i < report.count; i++) {
        int32_t here = summed(at(i), direction);
        if (at(i)->measured[direction] && here > above && here < next) next = here;
    }
    return next;
}

static void print_growth(int direction) {
    const char *what = direction == WEIGHT ? "pixels" : "channels";
    printf("### %s: growth with the %s summed over\n\n| %s | layers | Winograd, mean | worst | "
           "direct, mean | worst |\n"
           "|---|---|---|---|---|---|\n",
           titles[direction], what, what);
    for (int32_t group = next_summed(direction, 0); group != INT32_MAX;
         group = next_summed(direction, group)) {
        double sum[ALGORITHMS] = {0}, worst[ALGORITHMS] = {0};
        int32_t count = 0;
        for (int32_t i = 0; i < report.count; i++) {
            if (!at(i)->measured[direction] || summed(at(i), direction) != group) continue;
            count++;
            for (int a = 0; a < ALGORITHMS; a++) {
                double norm = at(i)->errors[direction][a].norm;
                sum[a] += norm;
                worst[a] = norm > worst[a] ? norm : worst[a];
            }
        }
        printf("| %d | %d | %.2e | %.2e | %.2e | %.2e |\n", (int)group, (int)count,
               sum[WINOGRAD] / count, worst[WINOGRAD], sum[DIRECT] / count, worst[DIRECT]);
    }
    puts("");
}

static const layer *worst_of(int direction, int algorithm) {
    const layer *worst = NULL;
    for (int32_t i = 0; i < report.count; i++)
        if (at(i)->measured[direction] && (!worst || at(i)->errors[direction][algorithm].norm >
                                                         worst->errors[direction][algorithm].norm))
            worst = at(i);
    return worst;
}

static void print_summary(void) {
    double largest_norm = 0, largest = 0;
    puts("### Worst\n\n| direction | Winograd | where | direct | where |\n|---|---|---|---|---|");
    for (int d = 0; d < DIRECTIONS; d++) {
        const layer *w = worst_of(d, WINOGRAD), *direct = worst_of(d, DIRECT);
        printf("| %s | %.2e | %.*s | %.2e | %.*s |\n", titles[d], w->errors[d][WINOGRAD].norm,
               short_name(w), w->name, direct->errors[d][DIRECT].norm, short_name(direct),
               direct->name);
        for (int32_t i = 0; i < report.count; i++) {
            const error *e = &at(i)->errors[d][WINOGRAD];
            largest_norm = e->norm > largest_norm ? e->norm : largest_norm;
            largest = e->largest > largest ? e->largest : largest;
        }
    }
    printf("\nWorst of all: %.2e of the norm, that is %.0f roundings (2^-24); the largest single "
           "error is %.1e of the root "
           "mean square of its layer's result.\n",
           largest_norm, largest_norm / (FLT_EPSILON / 2), largest);
}

/* ---- the step ---- */

/* Scales weights that are practically zero to the size of the others. */
static void enlarge(dm_unet *unet) {
    dmi_params *params = &unet->weights->params;
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        float *values = params->data + p->offset;
        for (size_t k = 0; p->init == DMI_INIT_PRACTICALLY_ZERO && k < p->count; k++)
            values[k] *= 1e5f;
    }
    params->version++;
}

static dm_unet *network(dm_context *context, const char *path) {
    dm_unet_options o;
    dm_unet *unet;
    if (path) {
        accept(dm_unet_load(&unet, context, path, DM_WEIGHTS_TRAINED), context);
        return unet;
    }
    accept(dm_unet_options_preset(&o, sizeof o, DM_PRESET_DDPM_CIFAR10), context);
    accept(dm_unet_create(&unet, context, &o, 1), context);
    enlarge(unet);
    return unet;
}

static void print_title(const dm_unet *unet, const char *weights) {
    printf(
        "## Error of 3x3 convolutions against double precision\n\n%s\n\n%llu parameters, %s, %d "
        "images; %d layers. Errors are norms of differences over norms of results; \"largest\" is "
        "the largest single difference over the root mean square of the results.\n\n",
        dm_build_info(), (unsigned long long)dm_unet_parameter_count(unet), weights, (int)BATCH,
        (int)report.count);
}

int main(int argc, char **argv) {
    dm_context *context;
    dm_schedule *schedule;
    dm_dataset *dataset;
    dm_trainer *trainer;
    dm_trainer_options o;
    char reason[512];
    require(!dm_context_create(&context, NULL, reason, sizeof reason), "context", reason);
    dm_schedule_options linear;
    accept(dm_schedule_options_init(&linear, sizeof linear), context);
    linear.kind = DM_SCHEDULE_LINEAR;
    accept(dm_schedule_create(&schedule, context, &linear), context);
    accept(dm_dataset_create_shapes(&dataset, context, SIZE, 1000, 1), context);
    dm_unet *unet = network(context, argc > 1 ? argv[1] : NULL);
    accept(dm_trainer_options_init(&o, sizeof o), context);
    o.batch_size = BATCH;
    o.ema_decay[0] = 0;
    accept(dm_trainer_create(&trainer, unet, schedule, dataset, &o), context);
    hook(trainer->train.graph);
    accept(dm_trainer_step(trainer, NULL), context);
    print_title(unet, argc > 1 ? argv[1] : "initialised weights, none practically zero");
    for (int d = 0; d < DIRECTIONS; d++) print_layers(d);
    for (int d = 0; d < DIRECTIONS; d++) print_growth(d);
    print_summary();
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return 0;
}
