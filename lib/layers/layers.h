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
/* A linear layer "<name>.<part>" of an embedding [n, 1, 1, any], drawn as PyTorch does; DMI_NONE of
 * none. */
dmi_value dmi_layer_project(dmi_builder *b, const char *name, const char *part, dmi_value embedding,
                            int32_t out);
dmi_value dmi_layer_activate(dmi_builder *b, dmi_value x, int32_t activation);
dmi_value dmi_layer_add(dmi_builder *b, dmi_value x, dmi_value y);
enum { DMI_RESAMPLE_IDENTITY = -1 };
/* Half or twice the size: DMI_RESAMPLE_*. */
dmi_value dmi_layer_resample(dmi_builder *b, dmi_value x, int32_t kind);
dmi_value dmi_layer_affine(dmi_builder *b, dmi_value x, float factor, float offset);
dmi_value dmi_layer_concat(dmi_builder *b, dmi_value x, dmi_value y); /* [n, h, w, cx + cy] */
/* Channels first to first + count - 1. */
dmi_value dmi_layer_slice(dmi_builder *b, dmi_value x, int32_t first, int32_t count);

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

/* norm * factor + shift, [n, 1, 1, c] both; shift may be DMI_NONE, or both, for the norm alone. */
dmi_value dmi_layer_norm_factor(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value factor,
                                dmi_value shift, dmi_norm_options options, int32_t activation);

/* eps 1e-5, and channels / 4 groups, or one of at most four channels. */
static inline dmi_norm_options dmi_norm_quarter_groups(int32_t channels) {
    return (dmi_norm_options){.groups = channels > 4 ? channels / 4 : 1, .eps = 1e-5f};
}

/* ---- resnet.c: the residual block ---- */
enum { DMI_TIME_ADD = 0, DMI_TIME_SCALE_SHIFT = 1, DMI_TIME_ADD_OUTPUT = 2 }; /* as DM_TIME_* */

typedef struct dmi_resnet_options {
    int32_t out;            /* channels */
    int32_t time_embedding; /* DMI_TIME_* */
    int32_t activation;     /* DMI_ACTIVATION_* */
    int32_t resample;       /* DMI_RESAMPLE_*: before the first convolution and in the shortcut */
    int32_t groups, groups_out; /* of the first and the second norm */
    float eps;
    float dropout;
    float scale;             /* the sum with the shortcut is divided by it */
    bool convolves_shortcut; /* also where the numbers of channels are equal */
} dmi_resnet_options;

/* time: activation(time embedding), [n, 1, 1, time_channels]. The block's input is [x, skip]; skip
 * may be DMI_NONE, and must be with `resample`. */
dmi_value dmi_layer_resnet(dmi_builder *b, const char *name, dmi_value x, dmi_value skip,
                           dmi_value time, const dmi_resnet_options *options);

/* ---- attention.c: (x + to_out(attention(to_q(h), to_k(h), to_v(h)))) / scale, h = norm(x) ---- */
typedef struct dmi_attention_options {
    int32_t head_size;     /* 0: one head; where it does not divide the channels, the heads have
                              fewer channels together */
    dmi_norm_options norm; /* groups 0: none */
    float scale;
} dmi_attention_options;

dmi_value dmi_layer_attention(dmi_builder *b, const char *name, dmi_value x,
                              const dmi_attention_options *options);

/* ---- channel_gate.c: dmi_channel_gate with "<name>.weight" [taps], int(log2(channels) / 2 + 1/2)
 * of them, or one more where that is even ---- */
dmi_value dmi_layer_channel_gate(dmi_builder *b, const char *name, dmi_value x);

/* ---- class_attention.c: x + norm_out(to_out(dmi_channel_mixing of norm(x))), with q = to_q and k
 * = to_k of class_embedding [n, 1, 1, any]; norms: dmi_norm_quarter_groups ---- */
dmi_value dmi_layer_class_attention(dmi_builder *b, const char *name, dmi_value x,
                                    dmi_value class_embedding);

/* ---- window_attention.c: x + to_out(attention(to_q(h), to_k(h), to_v(h))) within windows of
 * `window` by `window` pixels, scale 1 / sqrt(window), h = norm(x), dmi_norm_quarter_groups.
 * Declared in the order k, q, v ---- */
dmi_value dmi_layer_window_attention(dmi_builder *b, const char *name, dmi_value x, int32_t window);

/* ---- wide_resnet.c: h = SiLU(norm(conv(x)) a + b), h = SiLU(norm(conv(h))), h + shortcut(x), with
 * 3x3 convolutions of standardized weights, a and b linear in SiLU(time) and SiLU(class) [n, 1, 1,
 * any]; class may be DMI_NONE. The shortcut is a 1x1 convolution where the widths differ. ---- */
dmi_value dmi_layer_wide_resnet(dmi_builder *b, const char *name, dmi_value x, dmi_value silu_time,
                                dmi_value silu_class, int32_t out);

/* ---- convnext.c: 1x1(GELU(1x1(norm(depthwise 7x7(x)) a + b))) + shortcut(x), the first
 * 1x1 to twice the channels, the norm dmi_norm_quarter_groups; a and b linear in time and class;
 * both may be DMI_NONE, but a class needs a time ---- */
dmi_value dmi_layer_convnext(dmi_builder *b, const char *name, dmi_value x, dmi_value time,
                             dmi_value class_embedding, int32_t out);

/* ---- embedding.c ---- */
enum { DMI_TIME_SINUSOIDAL = 0, DMI_TIME_FOURIER = 1, DMI_TIME_LEARNED = 2 }; /* as DM_TIME_* */
enum { DMI_CONDITION_LINEAR = 0, DMI_CONDITION_IDENTITY = 1, DMI_CONDITION_TIME = 2 };

typedef struct dmi_time_options {
    int32_t features;   /* DMI_TIME_SINUSOIDAL ... */
    int32_t width;      /* sines and cosines together, frequencies, or columns of the table */
    int32_t channels;   /* of the result */
    float shift;        /* see dmi_timestep */
    int32_t cos_first;  /* likewise */
    int32_t steps;      /* rows of the table of times */
    int32_t class_rows; /* of the table of classes; 0: no labels */
    int32_t condition;  /* of the vector: DMI_CONDITION_* */
    int32_t activation; /* of the result: DMI_ACTIVATION_* */
} dmi_time_options;

/* t and labels [n, 1, 1, 1], vector [n, 1, 1, size]; labels and vector may be DMI_NONE. */
typedef struct dmi_time_inputs {
    dmi_value t, labels, vector;
} dmi_time_inputs;

/* activation(embedding of t + embedding of labels + embedding of the vector), [n, 1, 1, channels].
 */
dmi_value dmi_layer_time_embedding(dmi_builder *b, dmi_time_inputs inputs,
                                   const dmi_time_options *options);

/* ---- init.c ---- */
/* Draws every parameter from (seed, its index) as its `init` says, and changes the version. */
void dmi_params_draw(dmi_params *params, dmi_pool *pool, const dmi_kernels *kernels, uint64_t seed);

#endif
