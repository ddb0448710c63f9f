/* The error of Winograd's convolution, and of the direct one through BLAS, in every 3x3 layer of
 * DDPM's CIFAR-10 network (35,746,307 parameters), in all three directions, against plain loops in
 * double precision; as tables in Markdown.
 *
 *     winograd_error [network.safetensors]
 *
 * Each layer is measured amid a step of training on two of the built-in pictures, as its backward
 * pass comes by: its input, its weights and the gradient of its output are then those of the step.
 * Without a file the network has DDPM's initialisation, but what begins as practically zero (1e-5
 * times the usual) is brought to the usual size, so that all branches count. Biases and what else
 * is added to an output are left out: they would only make errors look smaller. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error/convolve.h"
#include "train/trainer.h"

enum { BATCH = 2, SIZE = 32, MAX_LAYERS = 128 };
enum { WINOGRAD, DIRECT, WAYS };

static const dmi_conv_algorithm *const ways[WAYS] = {&dmi_conv_winograd, &dmi_conv_im2col};
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
    bool taken; /* the step's own weight gradient has the bits of Winograd's */
    error errors[DIRECTIONS][WAYS];
} layer;

/* What the hooked operation fills: operations have no place for more. */
static struct {
    layer layers[MAX_LAYERS];
    int32_t count;
    dmi_op hook;
    void (*backward)(dmi_graph *graph, dmi_node *node);
} report;

static void require(bool good, const char *what, const char *why) {
    if (good) return;
    fprintf(stderr, "winograd_error: %s: %s\n", what, why);
    exit(1);
}

static void accept(int32_t status, const dm_context *context) {
    require(status == DM_OK, dm_status_name(status), context ? dm_context_error(context) : "");
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
static double *turned(const float *w, size_t ci, size_t co) {
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

static void run_way(const dmi_graph *g, const dmi_conv_algorithm *way, const dmi_conv_shape *s,
                    int direction, float *to, const operands *given) {
    int32_t threads = dmi_pool_threads(g->host->pool);
    float *work = block(direction == FORWARD ? way->forward_work(g->kernels, s, threads)
                                             : way->backward_work(g->kernels, s, threads),
                        sizeof *work);
    const dmi_epilogue nothing = {0};
    if (direction == FORWARD) {
        float *prepared = block(way->weight_floats(g->kernels, s), sizeof *prepared);
        way->prepare(g, s, prepared, given->w);
        way->forward(g, s, to, given->x, given->w, prepared, &nothing, work);
        free(prepared);
    } else if (direction == DATA) {
        way->backward_data(g, s, to, given->dy, given->w, false, work);
    } else {
        way->backward_weight(g, s, to, given->x, given->dy, false, work);
    }
    free(work);
}

static void measure(const dmi_graph *g, layer *l, const operands *given, const float *own_dw) {
    const dmi_conv_shape *s = &l->shape;
    const size_t counts[DIRECTIONS] = {y_count(s), x_count(s), w_count(s)};
    double *x = widened(given->x, x_count(s)), *dy = widened(given->dy, y_count(s)),
           *w = widened(given->w, w_count(s));
    double *back = turned(given->w, (size_t)s->ci, (size_t)s->co);
    for (int d = 0; d < DIRECTIONS; d++) {
        if (!l->measured[d]) continue;
        double *want = block(counts[d], sizeof *want);
        float *got = block(counts[d], sizeof *got);
        convolve(g->host->pool, s, d, want, x, dy, d == DATA ? back : w);
        for (int way = 0; way < WAYS; way++) {
            run_way(g, ways[way], s, d, got, given);
            l->errors[d][way] = error_of(got, want, counts[d]);
            if (d == WEIGHT && way == WINOGRAD)
                l->taken = !memcmp(got, own_dw, counts[d] * sizeof *got);
        }
        free(got);
        free(want);
    }
    free(back);
    free(w);
    free(dy);
    free(x);
}

/* In place of the convolution's own backward, which it calls first: that leaves operands as they
 * are. */
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
        block(y_count(&l->shape), sizeof *dy); /* the gradient of a residual may take its place */
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
        require(hooked++ < MAX_LAYERS, "the network", "it has too many layers");
        report.hook = *node->op;
        report.backward = node->op->backward;
        report.hook.backward = measuring_backward;
        node->op = &report.hook;
    }
}

/* ---- tables ---- */

/* Layers from the first to the last: they were met from the last. */
static const layer *at(int32_t i) { return &report.layers[report.count - 1 - i]; }

/* Without ".weight". */
static int short_name(const layer *l) { return (int)(strlen(l->name) - strlen(".weight")); }

static void print_layers(int direction) {
    printf("### %s\n\n| layer | map | channels | way | Winograd | direct | ratio | Winograd, "
           "largest | direct, largest |\n"
           "|---|---|---|---|---|---|---|---|---|\n",
           titles[direction]);
    for (int32_t i = 0; i < report.count; i++) {
        const layer *l = at(i);
        if (!l->measured[direction]) continue;
        const error *e = l->errors[direction];
        printf("| %.*s | %dx%d | %d to %d | %s | %.2e | %.2e | %.1f | %.1e | %.1e |\n",
               short_name(l), l->name, (int)l->shape.oh, (int)l->shape.ow, (int)l->shape.ci,
               (int)l->shape.co, l->taken ? "Winograd" : "other", e[WINOGRAD].norm, e[DIRECT].norm,
               e[WINOGRAD].norm / e[DIRECT].norm, e[WINOGRAD].largest, e[DIRECT].largest);
    }
    puts("");
}

/* How many products make one value: what an error grows with. */
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
        double sum[WAYS] = {0}, worst[WAYS] = {0};
        int32_t count = 0;
        for (int32_t i = 0; i < report.count; i++) {
            if (!at(i)->measured[direction] || summed(at(i), direction) != group) continue;
            count++;
            for (int way = 0; way < WAYS; way++) {
                double norm = at(i)->errors[direction][way].norm;
                sum[way] += norm;
                worst[way] = norm > worst[way] ? norm : worst[way];
            }
        }
        printf("| %d | %d | %.2e | %.2e | %.2e | %.2e |\n", (int)group, (int)count,
               sum[WINOGRAD] / count, worst[WINOGRAD], sum[DIRECT] / count, worst[DIRECT]);
    }
    puts("");
}

static const layer *worst_of(int direction, int way) {
    const layer *worst = NULL;
    for (int32_t i = 0; i < report.count; i++)
        if (at(i)->measured[direction] &&
            (!worst || at(i)->errors[direction][way].norm > worst->errors[direction][way].norm))
            worst = at(i);
    return worst;
}

static void print_summary(void) {
    double most = 0, largest = 0;
    puts("### Worst\n\n| direction | Winograd | where | direct | where |\n|---|---|---|---|---|");
    for (int d = 0; d < DIRECTIONS; d++) {
        const layer *w = worst_of(d, WINOGRAD), *direct = worst_of(d, DIRECT);
        printf("| %s | %.2e | %.*s | %.2e | %.*s |\n", titles[d], w->errors[d][WINOGRAD].norm,
               short_name(w), w->name, direct->errors[d][DIRECT].norm, short_name(direct),
               direct->name);
        for (int32_t i = 0; i < report.count; i++) {
            const error *e = &at(i)->errors[d][WINOGRAD];
            most = e->norm > most ? e->norm : most;
            largest = e->largest > largest ? e->largest : largest;
        }
    }
    printf("\nWorst of all: %.2e of the norm, that is %.0f roundings (2^-24); the largest single "
           "error is %.1e of the root "
           "mean square of its layer's result.\n",
           most, most / (FLT_EPSILON / 2), largest);
}

/* ---- the step ---- */

/* What starts as practically zero, at the size of the other weights. */
static void enlarge(dm_unet *unet) {
    for (int32_t i = 0; i < unet->params.count; i++) {
        const dmi_param *p = &unet->params.items[i];
        float *values = unet->params.data + p->offset;
        for (size_t k = 0; p->init == DMI_INIT_PRACTICALLY_ZERO && k < p->count; k++)
            values[k] *= 1e5f;
    }
    unet->params.version++;
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

int main(int argc, char **argv) {
    dm_context *context;
    dm_schedule *schedule;
    dm_dataset *dataset;
    dm_trainer *trainer;
    dm_trainer_options o;
    accept(dm_context_create(&context, NULL), NULL);
    accept(dm_schedule_create(&schedule, context, NULL), context);
    accept(dm_dataset_open_builtin(&dataset, context, SIZE, 1000, 1), context);
    dm_unet *unet = network(context, argc > 1 ? argv[1] : NULL);
    accept(dm_trainer_options_init(&o, sizeof o), context);
    o.batch_size = BATCH;
    o.average_decay = 0;
    accept(dm_trainer_create(&trainer, unet, schedule, dataset, &o), context);
    hook(trainer->train.graph);
    accept(dm_trainer_step(trainer, NULL), context);
    printf("## Error of 3x3 convolutions against double precision\n\n%s\n\n%llu parameters, %s, %d "
           "pictures; %d layers. "
           "Errors are norms of differences over norms of results; \"largest\" is the largest "
           "single difference over the root "
           "mean square of the results.\n\n",
           dm_build_info(), (unsigned long long)dm_unet_parameter_count(unet),
           argc > 1 ? argv[1] : "initialised weights, none practically zero", (int)BATCH,
           (int)report.count);
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
