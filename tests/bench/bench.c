/* Speed of DDPM's U-Net: a training step, a forward pass and peak memory, beside the machine's SGEMM rate and, where
 * python3 has it, beside PyTorch, measured in turn in the same run.
 *
 *     bench [base [batch [size [threads [runs [peer command]]]]]]      64 16 32 0 7
 *
 * FLOP are counted as two for each multiplication of a convolution or linear layer computed directly, attention's products
 * not counted, three times the forward pass for a training step: the same for both sides. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "autograd/graph.h"
#include "base/pool.h"
#include "diffusion.h"
#include "kernels/gemm.h"
#include "unet.h"

enum { MAX_RUNS = 64 };

typedef struct setting {
    int base, batch, size, threads, runs;
} setting;

typedef struct figures {
    double step, forward;   /* seconds, medians */
    double step_low, step_high, forward_low, forward_high;
    double memory_mb;       /* peak resident */
} figures;

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, int count, double *low, double *high) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    *low = values[0];
    *high = values[count - 1];
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static void check(int32_t status, const dm_context *context) {
    if (!status) return;
    fprintf(stderr, "bench: %s: %s\n", dm_status_name(status), context ? dm_context_error(context) : "");
    exit(1);
}

/* ---- the machine ---- */

typedef struct products {
    float *a, *b, *c;
} products;

enum { SIDE = 768 };

static void product(void *data, int32_t task, int32_t worker) {
    products *p = data;
    (void)worker;
    dmi_gemm(false, false, SIDE, SIDE, SIDE, p->a, SIDE, p->b, SIDE, false, p->c + (size_t)task * SIDE * SIDE, SIDE);
}

/* SGEMM's rate with one product on each thread, the best of several: the limit of what is computed directly. */
static double sgemm_gflops(dm_context *context) {
    int32_t threads = dm_context_threads(context);
    size_t n = (size_t)SIDE * SIDE;
    products p = {calloc(n, sizeof(float)), calloc(n, sizeof(float)), calloc(n * (size_t)threads, sizeof(float))};
    double best = 0;
    if (!p.a || !p.b || !p.c) exit(1);
    for (size_t i = 0; i < n; i++) p.a[i] = p.b[i] = (float)(i % 17) * 0.1f;
    dmi_gemm_begin();
    for (int run = 0; run < 20; run++) {
        double start = dmi_seconds();
        dmi_parallel(context->host.pool, threads, product, &p);
        double rate = 2e-9 * (double)n * SIDE * threads / (dmi_seconds() - start);
        if (rate > best) best = rate;
    }
    dmi_gemm_end();
    free(p.a), free(p.b), free(p.c);
    return best;
}

/* ---- ours ---- */

static dm_unet_options network(const setting *s) {
    dm_unet_options o;
    dm_unet_options_init(&o, sizeof o);
    o.height = o.width = s->size;
    o.channels[0] = s->base;
    for (int i = 1; i < 4; i++) o.channels[i] = 2 * s->base;
    return o;
}

static double forward_gflop(dm_unet *unet, int batch) {
    dmi_unet_graph *f;
    double flop = 0;
    check(dmi_unet_forward_graph(unet, &f, (size_t)batch), unet->context);
    for (int32_t i = 0; i < f->graph->node_count; i++) {
        const dmi_node *n = &f->graph->nodes[i];
        if (strcmp(n->op->name, "conv") && strcmp(n->op->name, "linear")) continue;
        dmi_shape w = dmi_graph_shape(f->graph, n->inputs[1]);
        flop += 2.0 * (double)dmi_shape_count(dmi_graph_shape(f->graph, n->output)) * w.n * w.h * w.w;
    }
    return 1e-9 * flop;
}

static double peak_mb(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static void measure(dm_context *context, const setting *s, figures *out, double *gflop, uint64_t *parameters) {
    dm_unet_options o = network(s);
    dm_trainer_options t;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_trainer *trainer;
    double seconds[MAX_RUNS];
    size_t elements = (size_t)s->batch * (size_t)s->size * (size_t)s->size * 3;
    float *images = calloc(elements, sizeof *images), *answer = calloc(elements, sizeof *answer), *when = calloc((size_t)s->batch, sizeof *when);
    if (!images || !answer || !when) exit(1);
    for (size_t i = 0; i < elements; i++) images[i] = (float)(i % 255) / 127.5f - 1;
    dm_train_batch batch = {.struct_size = sizeof batch, .count = (uint64_t)s->batch, .images = images};
    dm_trainer_options_init(&t, sizeof t);
    t.batch_size = s->batch;
    t.average_decay = 0; /* as the peer: no moving average */
    t.gradient_clip = 0;
    check(dm_unet_create(&unet, context, &o, 1), context);
    check(dm_schedule_create(&schedule, context, NULL), context);
    check(dm_trainer_create(&trainer, unet, schedule, NULL, &t), context);
    for (int i = -2; i < s->runs; i++) {
        double start = dmi_seconds();
        check(dm_trainer_step_batch(trainer, &batch, NULL), context);
        if (i >= 0) seconds[i] = dmi_seconds() - start;
    }
    out->step = median(seconds, s->runs, &out->step_low, &out->step_high);
    out->memory_mb = peak_mb();
    dm_trainer_destroy(trainer);
    for (int i = -2; i < s->runs; i++) {
        double start = dmi_seconds();
        check(dm_unet_forward(unet, answer, images, when, NULL, (size_t)s->batch), context);
        if (i >= 0) seconds[i] = dmi_seconds() - start;
    }
    out->forward = median(seconds, s->runs, &out->forward_low, &out->forward_high);
    *gflop = forward_gflop(unet, s->batch);
    *parameters = dm_unet_parameter_count(unet);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(images), free(answer), free(when);
}

/* ---- theirs: one JSON object on the last line ---- */

static int measure_peer(const char *command, const setting *s, const char *mode, figures *out, char name[64]) {
    char line[4096], last[4096] = "";
    snprintf(line, sizeof line, "%s --base %d --batch %d --size %d --threads %d --steps %d --mode %s 2>/dev/null", command, s->base,
             s->batch, s->size, s->threads, s->runs, mode);
    FILE *pipe = popen(line, "r");
    if (!pipe) return 0;
    while (fgets(line, sizeof line, pipe)) strcpy(last, line);
    if (pclose(pipe)) return 0;
    json_t *root = json_loads(last, 0, NULL);
    const json_t *step = json_object_get(root, "train_step_s"), *forward = json_object_get(root, "forward_s");
    const char *peer = json_string_value(json_object_get(root, "peer"));
    if (root && step && forward && peer) {
        *out = (figures){json_number_value(json_object_get(step, "median")), json_number_value(json_object_get(forward, "median")),
                         json_number_value(json_object_get(step, "min")), json_number_value(json_object_get(step, "max")),
                         json_number_value(json_object_get(forward, "min")), json_number_value(json_object_get(forward, "max")),
                         json_number_value(json_object_get(root, "peak_rss_mb_train"))};
        snprintf(name, 64, "%s, %s", peer, mode);
    }
    json_decref(root);
    return step && forward && peer;
}

static void print_row(const char *name, const figures *f, double gflop) {
    printf("%-28s %7.4f s (%.4f to %.4f) %7.1f GFLOP/s   %7.4f s (%.4f to %.4f) %7.1f GFLOP/s   %6.0f MB\n", name, f->step, f->step_low,
           f->step_high, 3 * gflop / f->step, f->forward, f->forward_low, f->forward_high, gflop / f->forward, f->memory_mb);
}

int main(int argc, char **argv) {
    setting s = {64, 16, 32, 0, 7};
    int *values[] = {&s.base, &s.batch, &s.size, &s.threads, &s.runs};
    for (int i = 1; i < argc && i <= 5; i++) *values[i - 1] = atoi(argv[i]);
    const char *peer = argc > 6 ? argv[6] : "";
    if (s.runs < 1 || s.runs > MAX_RUNS) return 2;
    dm_context_options options;
    dm_context *context = NULL;
    dm_context_options_init(&options, sizeof options);
    options.threads = s.threads;
    check(dm_context_create(&context, &options), context);
    s.threads = dm_context_threads(context);

    figures ours, theirs;
    double gflop, sgemm = sgemm_gflops(context);
    uint64_t parameters;
    char name[64];
    measure(context, &s, &ours, &gflop, &parameters);
    printf("%s\nU-Net of base %d, %.2f million parameters, batch %d, %dx%d, %d threads: %.1f GFLOP a forward pass, %.1f a step; medians of %d\n",
           dm_build_info(), s.base, 1e-6 * (double)parameters, s.batch, s.size, s.size, s.threads, gflop, 3 * gflop, s.runs);
    printf("SGEMM, %d threads: %.1f GFLOP/s\n\n", s.threads, sgemm);
    printf("%-28s %-52s %-52s %s\n", "", "training step", "forward pass", "peak memory");
    print_row("libdiffusion", &ours, gflop);
    static const char *const modes[] = {"eager", "channels_last"};
    double best_step = 0, best_forward = 0, best_memory = 0;
    for (int i = 0; *peer && i < 2; i++) {
        if (!measure_peer(peer, &s, modes[i], &theirs, name)) continue;
        print_row(name, &theirs, gflop);
        if (!best_step || theirs.step < best_step) best_step = theirs.step;
        if (!best_forward || theirs.forward < best_forward) best_forward = theirs.forward;
        if (!best_memory || theirs.memory_mb < best_memory) best_memory = theirs.memory_mb;
    }
    if (best_step) {
        measure(context, &s, &theirs, &gflop, &parameters);
        print_row("libdiffusion again", &theirs, gflop);
        printf("\nours over the best of theirs: step %.2f, forward %.2f, memory %.2f\n", 0.5 * (ours.step + theirs.step) / best_step,
               0.5 * (ours.forward + theirs.forward) / best_forward, ours.memory_mb / best_memory);
    } else {
        printf("\n(no PyTorch: where python3 can import torch, it is measured in the same run)\n");
    }
    dm_context_destroy(context);
    return 0;
}
