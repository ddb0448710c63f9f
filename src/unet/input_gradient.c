/* SPDX-License-Identifier: MIT */
/* dm_unet_input_gradient: reverse-mode differentiation of a forward pass to its input. */
#include <string.h>

#include "unet/options.h"
#include "unet/unet.h"

/* The caller's arrays; all are read before any is written, so that `output` may be
 * `output_gradient`. */
typedef struct arrays {
    const float *output_gradient;
    size_t output_elements;
    float *output; /* or NULL */
    float *input_gradient;
    size_t input_elements;
} arrays;

static dm_status check_arrays(const dm_unet *unet, const dm_unet_input *input, const arrays *a) {
    dm_status status = dmi_unet_check_size(unet, "output_elements", a->output_elements,
                                           dmi_unet_outputs(unet, input->count));
    if (!status)
        status = dmi_unet_check_size(unet, "input_elements", a->input_elements, input->x_elements);
    if (!status)
        status = dmi_unet_check_labels(&unet->context->host, "unet", input->labels, input->count,
                                       dmi_unet_label_range(&unet->options));
    return status;
}

static dm_status differentiate(dm_unet *unet, const dm_unet_input *input, const arrays *a) {
    dmi_host *host = &unet->context->host;
    dm_unet_input full;
    dmi_unet_graph *g;
    if (!a->output_gradient || !a->input_gradient)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        a->output_gradient ? "input_gradient" : "output_gradient");
    dm_status status = dmi_unet_read_input(unet, &full, input);
    if (!status) status = check_arrays(unet, &full, a);
    if (!status) status = dmi_unet_gradient_graph(unet, &g, (size_t)full.count);
    if (status) return status;
    const dmi_unet_pass pass = {.count = (size_t)full.count,
                                .x = full.x,
                                .times = full.times,
                                .time_stride = 1,
                                .labels = full.labels,
                                .condition_image = full.condition_image,
                                .condition_vector = full.condition_vector};
    dmi_unet_fill(unet, g, &pass);
    dmi_graph_forward(g->graph);
    memcpy(dmi_graph_gradient(g->graph, g->output), a->output_gradient,
           a->output_elements * sizeof *a->output_gradient);
    dmi_graph_backward(g->graph); /* the output's data stays */
    if (a->output)
        memcpy(a->output, dmi_graph_data(g->graph, g->output),
               a->output_elements * sizeof *a->output);
    memcpy(a->input_gradient, dmi_graph_gradient(g->graph, g->x),
           a->input_elements * sizeof *a->input_gradient);
    return DM_OK;
}

dm_status dm_unet_input_gradient(dm_unet *unet, const dm_unet_input *input,
                                 const float *output_gradient, size_t output_elements,
                                 float *output, float *input_gradient, size_t input_elements) {
    const arrays a = {output_gradient, output_elements, output, input_gradient, input_elements};
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, differentiate(unet, input, &a));
}
