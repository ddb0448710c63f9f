/* SPDX-License-Identifier: MIT */
/* The layers of a diffusion U-Net. A layer first declares its weights, in the order of the files,
 * then appends its operations. Shapes are NHWC; names are those of diffusers' state dict. */
#ifndef DMI_LAYERS_LAYERS_H
#define DMI_LAYERS_LAYERS_H

#include "layers/builder.h"

/* A weight and a bias (or gamma and beta) as values of the graph. */
typedef struct dmi_weights {
    dmi_value weight, bias;
} dmi_weights;

/* ---- weights.c: "<layer>.<part>.weight" and ".bias" ---- */
dmi_weights dmi_conv_weights(dmi_builder *b, const char *layer, const char *part, int32_t in,
                             int32_t out, int32_t kernel,
                             int32_t init); /* [out, in, kernel, kernel] */
dmi_weights dmi_linear_weights(dmi_builder *b, const char *layer, const char *part, int32_t in,
                               int32_t out, int32_t init); /* [out, in] */
dmi_weights dmi_norm_weights(dmi_builder *b, const char *layer, const char *part,
                             int32_t channels); /* [channels] */

/* ---- conv.c ---- */
/* 3x3, stride 1, same size; per_image [n, 1, 1, out] and residual may be DMI_NONE. */
dmi_value dmi_layer_conv3x3(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value per_image,
                            dmi_value residual);
/* Kernel 1: a linear layer on the channels of every pixel. */
dmi_value dmi_layer_conv1x1(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value residual);
/* The same of the concatenated channels [x, x2]; x2 may be DMI_NONE. */
dmi_value dmi_layer_conv1x1_pair(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value x2,
                                 dmi_value residual);
/* 3x3, stride 2: half the size. pad 0: zeros below and right only; 1: on all sides. */
dmi_value dmi_layer_downsample(dmi_builder *b, const char *name, dmi_value x, int32_t pad);
/* Nearest neighbour upsampling by 2, then 3x3: twice the size. */
dmi_value dmi_layer_upsample(dmi_builder *b, const char *name, dmi_value x);
dmi_value dmi_layer_linear(dmi_builder *b, dmi_weights w, dmi_value x);
dmi_value dmi_layer_silu(dmi_builder *b, dmi_value x);
dmi_value dmi_layer_add(dmi_builder *b, dmi_value x, dmi_value y);
dmi_value dmi_layer_concat(dmi_builder *b, dmi_value x, dmi_value y); /* [n, h, w, cx + cy] */

/* ---- norm.c ---- */
typedef struct dmi_norm_options {
    int32_t groups;
    float eps;
} dmi_norm_options;

dmi_value dmi_layer_norm(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value scale_shift,
                         dmi_norm_options options, int32_t activation);
/* The same of the concatenated channels [x, x2]; x2 may be DMI_NONE. */
dmi_value dmi_layer_norm_pair(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value x2,
                              dmi_value scale_shift, dmi_norm_options options, int32_t activation);

/* ---- resnet.c: the residual block ---- */
enum { DMI_TIME_ADD = 0, DMI_TIME_SCALE_SHIFT = 1, DMI_TIME_ADD_OUTPUT = 2 }; /* as DM_TIME_* */

typedef struct dmi_resnet_options {
    int32_t out;            /* channels */
    int32_t time_embedding; /* DMI_TIME_* */
    float dropout;
    dmi_norm_options norm;
} dmi_resnet_options;

/* time: SiLU(time embedding), [n, 1, 1, time_channels]. */
dmi_value dmi_layer_resnet(dmi_builder *b, const char *name, dmi_value x, dmi_value skip,
                           dmi_value time, const dmi_resnet_options *options);

/* ---- attention.c: x + to_out(attention(to_q(h), to_k(h), to_v(h))), h = norm(x); head_size 0: one
 * head ---- */
dmi_value dmi_layer_attention(dmi_builder *b, const char *name, dmi_value x, int32_t head_size,
                              dmi_norm_options norm);

/* ---- embedding.c ---- */
typedef struct dmi_time_options {
    int32_t sinusoids; /* channels of the sinusoidal embedding, even */
    int32_t channels;  /* of the result */
    float shift;       /* see dmi_timestep */
    int32_t cos_first;
    int32_t
        classes; /* 0: no labels; else an embedding of classes + 1 rows, the last for "no class" */
} dmi_time_options;

/* SiLU(embedding of t [n, 1, 1, 1] + embedding of labels [n, 1, 1, 1]): [n, 1, 1, channels]. */
dmi_value dmi_layer_time_embedding(dmi_builder *b, dmi_value t, dmi_value labels,
                                   const dmi_time_options *options);

/* ---- init.c ---- */
/* Draws every parameter from (seed, its index) as its `init` says, and changes the version. */
void dmi_params_draw(dmi_params *params, dmi_pool *pool, const dmi_kernels *kernels, uint64_t seed);

#endif
