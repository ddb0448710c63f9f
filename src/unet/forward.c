/* SPDX-License-Identifier: MIT */
/* Forward passes: the graphs of a network that are kept for them, and dm_unet_forward. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/schedule.h"
#include "unet/build.h"
#include "unet/options.h"
#include "unet/unet.h"

enum { COUNT_MAX = 65536 };

/* ---- graphs ---- */

/* What a graph computes. */
typedef enum purpose { FORWARD, TRAINING, INPUT_GRADIENT } purpose;

static dm_status create_graph(dm_unet *unet, dmi_unet_graph *out, int32_t batch, purpose what,
                              dm_recompute recompute, dm_precision precision) {
    dmi_graph *graph;
    memset(out, 0, sizeof *out);
    dm_status status = dmi_graph_create(&unet->context->host, &graph, unet->context->kernels,
                                        &unet->weights->params);
    if (status) return status;
    graph->recompute = recompute;
    graph->wrap = unet->wrap;
    graph->latency = unet->context->latency;
    graph->bf16 = precision == DM_PRECISION_BF16;
    /* Not before: this may request a permission for the whole process. */
    if (graph->bf16 && !unet->context->bf16_product)
        unet->context->bf16_product = dmi_bf16_product_best();
    if (graph->bf16) graph->bf16_product = unet->context->bf16_product;
    graph->only_inputs = what == INPUT_GRADIENT;
    status = dmi_unet_build(graph, &unet->options, batch, what == TRAINING, out);
    if (!status) status = dmi_graph_plan(graph, &out->output, 1, what != FORWARD);
    if (!status) return DM_OK;
    dmi_graph_destroy(graph);
    memset(out, 0, sizeof *out);
    return status;
}

dm_status dmi_unet_graph_create(dm_unet *unet, dmi_unet_graph *out, int32_t batch, bool train,
                                dm_recompute recompute) {
    return create_graph(unet, out, batch, train ? TRAINING : FORWARD, recompute,
                        unet->options.precision);
}

dm_status dmi_unet_training_graph(dm_unet *unet, dmi_unet_graph *out, int32_t batch,
                                  dm_recompute recompute, dm_precision precision) {
    return create_graph(unet, out, batch, TRAINING, recompute, precision);
}

void dmi_unet_graph_destroy(dmi_unet_graph *graph) {
    dmi_graph_destroy(graph->graph);
    memset(graph, 0, sizeof *graph);
}

dm_status dmi_unet_forward_graph(dm_unet *unet, dmi_unet_graph **out, size_t count) {
    *out = NULL;
    if (count < 1 || count > COUNT_MAX)
        return dmi_fail(&unet->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: a batch of %zu images; it must be from 1 to %d", count, COUNT_MAX);
    if (unet->second.batch == (int32_t)count) {
        *out = &unet->second;
        return DM_OK;
    }
    if (unet->forward.batch != (int32_t)count) {
        dmi_unet_graph_destroy(&unet->second);
        dmi_unet_graph_destroy(&unet->forward);
        dm_status status =
            dmi_unet_graph_create(unet, &unet->forward, (int32_t)count, false, DM_RECOMPUTE_NONE);
        if (status) return status;
    }
    *out = &unet->forward;
    return DM_OK;
}

dm_status dmi_unet_forward_graphs(dm_unet *unet, size_t count, size_t second) {
    dmi_unet_graph *graph;
    if (unet->second.batch == (int32_t)second && unet->forward.batch == (int32_t)count)
        return DM_OK;
    dmi_unet_graph_destroy(&unet->second);
    dm_status status = dmi_unet_forward_graph(unet, &graph, count);
    if (status) return status;
    return dmi_unet_graph_create(unet, &unet->second, (int32_t)second, false, DM_RECOMPUTE_NONE);
}

dm_status dmi_unet_gradient_graph(dm_unet *unet, dmi_unet_graph **out, size_t count) {
    *out = &unet->gradient;
    if (unet->gradient.batch == (int32_t)count) return DM_OK;
    dmi_unet_graph_destroy(&unet->gradient);
    return create_graph(unet, &unet->gradient, (int32_t)count, INPUT_GRADIENT, DM_RECOMPUTE_NONE,
                        unet->options.precision);
}

void dmi_unet_drop_graphs(dm_unet *unet) {
    dmi_unet_graph_destroy(&unet->second);
    dmi_unet_graph_destroy(&unet->forward);
    dmi_unet_graph_destroy(&unet->gradient);
}

/* ---- passes ---- */

static void set_input(const dmi_unet_graph *graph, dmi_value value, const float *from) {
    float *to = dmi_graph_data(graph->graph, value);
    if (!to) return;
    size_t bytes = dmi_shape_count(dmi_graph_shape(graph->graph, value)) * sizeof *to;
    if (from) memcpy(to, from, bytes);
    else memset(to, 0, bytes);
}

void dmi_unet_set_conditions(const dmi_unet_graph *graph, const float *image, const float *vector) {
    set_input(graph, graph->condition_image, image);
    set_input(graph, graph->condition_vector, vector);
}

void dmi_unet_fill(const dm_unet *unet, const dmi_unet_graph *f, const dmi_unet_pass *pass) {
    float *t = dmi_graph_data(f->graph, f->t), *rows = dmi_graph_data(f->graph, f->labels);
    for (size_t i = 0; i < pass->count; i++) {
        t[i] = (float)pass->times[i * pass->time_stride];
        if (rows)
            rows[i] =
                dmi_unet_label_row(pass->labels ? pass->labels[i] : -1, unet->options.classes);
    }
    set_input(f, f->x, pass->x);
    dmi_unet_set_conditions(f, pass->condition_image, pass->condition_vector);
}

dm_status dmi_unet_forward(dm_unet *unet, float *output, const dmi_unet_pass *pass) {
    dmi_unet_graph *f;
    dm_status status = dmi_unet_forward_graph(unet, &f, pass->count);
    if (!status)
        status = dmi_unet_check_labels(&unet->context->host, "unet", pass->labels, pass->count,
                                       dmi_unet_label_range(&unet->options));
    if (status) return status;
    dmi_unet_fill(unet, f, pass);
    dmi_graph_forward(f->graph);
    size_t n = dmi_shape_count(dmi_graph_shape(f->graph, f->output));
    memcpy(output, dmi_graph_data(f->graph, f->output), n * sizeof(float));
    return DM_OK;
}

dm_status dmi_unet_check_schedule(const dm_unet *unet, const char *owner,
                                  const dm_schedule *schedule) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *o = &unet->options;
    if (o->time_features == DM_TIME_LEARNED && schedule->steps > o->time_steps)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: the schedule has %d timesteps; the network's table of times has %d",
                        owner, (int)schedule->steps, (int)o->time_steps);
    double least = dmi_schedule_level(schedule, 0).time;
    if (o->time_features == DM_TIME_LEARNED && least != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: the time inputs of schedule '%s' are not whole; the network's "
                        "'time_features' learned needs timesteps",
                        owner, dmi_schedule_name(schedule));
    if (o->time_features == DM_TIME_FOURIER && !(least > 0))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: the schedule's first time input is %g; the network's 'time_features' "
                        "fourier needs times above 0",
                        owner, least);
    return DM_OK;
}

dmi_label_range dmi_unet_label_range(const dm_unet_options *options) {
    return (dmi_label_range){.classes = options->classes,
                             .minimum = options->classes && !options->null_row ? 0 : -1};
}

dm_status dmi_unet_check_labels(dmi_host *host, const char *owner, const int32_t *labels,
                                uint64_t count, dmi_label_range range) {
    if (!labels && range.minimum < 0) return DM_OK;
    if (!labels)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: 'labels' is NULL; a network with 'null_row' 0 needs them", owner);
    if (!range.classes)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: 'labels' are given, but the network has no classes", owner);
    for (uint64_t i = 0; i < count; i++)
        if (labels[i] < range.minimum || labels[i] >= range.classes)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "%s: label %llu is %d; it must be from %s to %d", owner,
                            (unsigned long long)i, (int)labels[i],
                            range.minimum ? "-1 (no class)" : "0", (int)range.classes - 1);
    return DM_OK;
}

/* ---- the public function ---- */

dm_status dmi_unet_check_size(const dm_unet *unet, const char *name, uint64_t value,
                              uint64_t want) {
    if (value == want) return DM_OK;
    return dmi_fail(&unet->context->host, DM_ERROR_SHAPE_MISMATCH,
                    "unet: '%s' is %llu; it must be %llu", name, (unsigned long long)value,
                    (unsigned long long)want);
}

/* A time that is embedded, `name` number i. */
static dm_status check_time(const dm_unet *unet, const char *owner, const char *name, uint64_t i,
                            double time) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *o = &unet->options;
    unsigned long long number = i;
    if (!isfinite((float)time))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: %s %llu is %g; it must be a finite float", owner, name, number, time);
    if (o->time_features == DM_TIME_LEARNED &&
        (time < 0 || time >= o->time_steps || time != floor(time)))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: %s %llu is %g; with 'time_features' learned it must be a whole number "
                        "from 0 to %d",
                        owner, name, number, time, (int)o->time_steps - 1);
    if (o->time_features == DM_TIME_FOURIER && time <= 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: %s %llu is %g; with 'time_features' fourier it must be above 0", owner,
                        name, number, time);
    return DM_OK;
}

dm_status dmi_unet_check_condition_times(const dm_unet *unet, const char *owner,
                                         const float *vector, uint64_t count) {
    const dm_unet_options *o = &unet->options;
    dm_status status = DM_OK;
    if (!o->condition_size || o->condition_embedding != DM_CONDITION_TIME) return DM_OK;
    for (uint64_t i = 0; !status && i < count; i++)
        status = check_time(unet, owner, "condition", i, vector ? (double)vector[i] : 0);
    return status;
}

dm_status dmi_unet_check_condition_of_image(const dm_unet *unet, const char *owner, uint64_t index,
                                            const float *vector) {
    char image[64];
    if (unet->options.condition_embedding != DM_CONDITION_TIME) return DM_OK;
    snprintf(image, sizeof image, "%s: image %llu of the dataset", owner,
             (unsigned long long)index);
    return dmi_unet_check_condition_times(unet, image, vector, 1);
}

static dm_status check_input(const dm_unet *unet, const dm_unet_input *input) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *o = &unet->options;
    if (!input->x || !input->times)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        !input->x ? "x" : "times");
    if (input->count < 1 || input->count > COUNT_MAX)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'count' is %llu; it must be from 1 to %d",
                        (unsigned long long)input->count, COUNT_MAX);
    uint64_t pixels = input->count * (uint64_t)o->height * (uint64_t)o->width;
    dm_status status = dmi_unet_check_size(unet, "x_elements", input->x_elements,
                                           pixels * (uint64_t)dmi_unet_channels_in(o));
    if (!status) status = dmi_unet_check_size(unet, "time_count", input->time_count, input->count);
    if (!status)
        status = dmi_unet_check_size(unet, "label_count", input->label_count,
                                     input->labels ? input->count : 0);
    if (!status)
        status =
            dmi_unet_check_size(unet, "condition_image_elements", input->condition_image_elements,
                                input->condition_image ? pixels * (uint64_t)o->condition_channels
                                                       : 0);
    if (!status)
        status =
            dmi_unet_check_size(unet, "condition_vector_elements", input->condition_vector_elements,
                                input->condition_vector ? input->count * (uint64_t)o->condition_size
                                                        : 0);
    for (uint64_t i = 0; !status && i < input->count; i++)
        status = check_time(unet, "unet", "time", i, input->times[i]);
    if (status) return status;
    return dmi_unet_check_condition_times(unet, "unet", input->condition_vector, input->count);
}

dm_status dmi_unet_read_input(const dm_unet *unet, dm_unet_input *full,
                              const dm_unet_input *input) {
    dmi_host *host = &unet->context->host;
    if (!input) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'input' is NULL");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_unet_input, full, input);
    return status ? status : check_input(unet, full);
}

uint64_t dmi_unet_outputs(const dm_unet *unet, uint64_t count) {
    const dm_unet_options *o = &unet->options;
    return count * (uint64_t)o->height * (uint64_t)o->width * (uint64_t)dmi_unet_channels_out(o);
}

static dm_status forward(dm_unet *unet, const dm_unet_input *input, float *output,
                         size_t elements) {
    dmi_host *host = &unet->context->host;
    dm_unet_input full;
    if (!output) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'output' is NULL");
    dm_status status = dmi_unet_read_input(unet, &full, input);
    if (!status)
        status =
            dmi_unet_check_size(unet, "elements", elements, dmi_unet_outputs(unet, full.count));
    if (status) return status;
    const dmi_unet_pass pass = {.count = (size_t)full.count,
                                .x = full.x,
                                .times = full.times,
                                .time_stride = 1,
                                .labels = full.labels,
                                .condition_image = full.condition_image,
                                .condition_vector = full.condition_vector};
    return dmi_unet_forward(unet, output, &pass);
}

dm_status dm_unet_forward(dm_unet *unet, const dm_unet_input *input, float *output,
                          size_t elements) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, forward(unet, input, output, elements));
}

dm_status dm_unet_input_init(dm_unet_input *input, size_t size) {
    return dmi_struct_init(&dmi_struct_unet_input, input, size);
}
