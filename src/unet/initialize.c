/* SPDX-License-Identifier: MIT */
/* New weights for a network: DDPM's, or PyTorch's default from PyTorch's generator. */
#include <math.h>

#include "base/torch_random.h"
#include "layers/layers.h"
#include "unet/unet.h"

/* PyTorch's uniform_(-bound, bound). */
static void draw_uniform(dmi_torch *g, float *values, size_t count, double bound) {
    dmi_torch_uniform(g, values, count, (float)-bound, (float)bound);
}

/* 1 / sqrt(fan in); kaiming_uniform_ with a = sqrt(5) is computed as PyTorch does, in double. */
static double weight_bound(double fan_in) {
    return sqrt(3.0) * (sqrt(2.0 / (1 + 5.0)) / sqrt(fan_in));
}

/* The kernel of a channel gate, PyTorch's weight [1, 1, taps] of a convolution without bias. */
static bool is_gate(const dmi_param *p) { return p->rank == 1 && p->init == DMI_INIT_FAN_IN; }

/* A table [rows, n] as torch.nn.Linear(rows, n, bias=False), whose weight is [n, rows]. */
static void draw_rows(dmi_torch *g, const dmi_param *p, float *values) {
    size_t rows = (size_t)p->shape[0], n = (size_t)p->shape[1];
    double bound = weight_bound((double)rows);
    for (size_t i = 0; i < n; i++)
        for (size_t row = 0; row < rows; row++) draw_uniform(g, values + row * n + i, 1, bound);
}

/* The values of one parameter in PyTorch's layout; *fan_in is that of the last weight, which its
 * bias follows; 0 after others. Modules draw in the order in which they are made, which is that of
 * the parameters. */
static void draw(dmi_torch *g, const dmi_param *p, float *values, double *fan_in) {
    bool bias = p->init == DMI_INIT_ZEROS || p->init == DMI_INIT_FAN_IN_BIAS;
    if (p->init == DMI_INIT_FREQUENCIES) { /* drawn twice; the first draw is discarded */
        for (int32_t i = 0; i < 2; i++) dmi_torch_randn(g, values, p->count);
        for (size_t i = 0; i < p->count; i++) values[i] *= 16;
    } else if (p->init == DMI_INIT_NORMAL) {
        dmi_torch_randn(g, values, p->count);
    } else if (p->init == DMI_INIT_ROWS) {
        draw_rows(g, p, values);
    } else if (p->rank > 1 || is_gate(p)) {
        *fan_in = is_gate(p) ? (double)p->count : (double)(p->shape[1] * p->shape[2] * p->shape[3]);
        draw_uniform(g, values, p->count, weight_bound(*fan_in));
    } else if (bias && *fan_in > 0) {
        draw_uniform(g, values, p->count, 1 / sqrt(*fan_in));
    } else { /* of a norm, whose bias does not follow a drawn weight */
        *fan_in = 0;
        for (size_t i = 0; i < p->count; i++) values[i] = p->init == DMI_INIT_ONES ? 1 : 0;
    }
}

static dm_status draw_torch(dm_unet *unet, uint64_t seed) {
    dmi_host *host = &unet->context->host;
    dmi_params *params = &unet->weights->params;
    size_t largest = 1;
    for (int32_t i = 0; i < params->count; i++)
        largest = dmi_max_size(largest, params->items[i].count);
    float *values;
    dmi_torch *g;
    dm_status status =
        dmi_alloc_array(host, &values, largest, sizeof *values, "unet: initial weights");
    if (status) return status;
    status = dmi_alloc(host, &g, sizeof *g, "unet: initial weights");
    if (!status) {
        double fan_in = 0;
        dmi_torch_seed(g, seed);
        for (int32_t i = 0; i < params->count; i++) {
            draw(g, &params->items[i], values, &fan_in);
            dmi_params_import(&params->items[i], params->data, values);
        }
        params->version++;
        dmi_free(host, g);
    }
    dmi_free(host, values);
    return status;
}

static dm_status initialize(dm_unet *unet, dm_initialization kind, uint64_t seed) {
    dmi_host *host = &unet->context->host;
    if (kind != DM_INITIALIZATION_DDPM && kind != DM_INITIALIZATION_TORCH)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'kind' is %d; it must be 0 (ddpm) or 1 (torch)", (int)kind);
    dm_status status = dmi_unet_lock(unet, "unet");
    if (status) return status;
    if (kind == DM_INITIALIZATION_TORCH) status = draw_torch(unet, seed);
    else dmi_params_draw(&unet->weights->params, host->pool, unet->context->kernels, seed);
    if (!status) unet->null_class = DMI_NULL_CLASS_UNKNOWN;
    dmi_unet_unlock(unet);
    return status;
}

dm_status dm_unet_initialize(dm_unet *unet, dm_initialization kind, uint64_t seed) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, initialize(unet, kind, seed));
}
