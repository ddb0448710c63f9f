/* Winograd's convolution F(4x4, 3x3) (Lavin and Gray 2016) for 3x3 kernels of stride 1 with one
 * pixel of zeros around, in all three directions. Work is cut into blocks of a fixed number of
 * tiles of 4x4 output pixels; a tile's arithmetic is the same wherever it falls, so a picture's
 * result does not depend on its batch. */
#ifndef DMI_KERNELS_WINOGRAD_H
#define DMI_KERNELS_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The shape of one convolution; in backward_data the roles of in and out are already swapped by the
 * caller. */
typedef struct dmi_winograd_shape {
    int32_t n, h, w; /* of the output, and of the input after upsampling */
    int32_t ci, co;
    bool upsample;   /* x is [n, h/2, w/2, ci], each pixel doubled both ways */
    bool sum2x2;     /* backward of upsample: y is [n, h/2, w/2, co], each pixel the sum of four */
    bool read_late;  /* y is not read soon: where it is large, it is written past the caches */
    int32_t workers; /* that forward should have tasks for; where blocks are too few, each is cut by
                        channels of y, at the price of transforming its input again. No result
                        depends on it */
} dmi_winograd_shape;

/* Added to the result as it is written; each may be NULL. */
typedef struct dmi_epilogue {
    const float *bias;      /* [co] */
    const float *per_image; /* [n, co] */
    const float *residual;  /* like y */
    bool add;               /* y += instead of y = */
} dmi_epilogue;

typedef struct dmi_winograd {
    /* ---- transformed weights: U, in panels that the products read in order ---- */
    size_t (*weight_floats)(int32_t ci, int32_t co);
    int32_t (*weight_tasks)(int32_t ci, int32_t co); /* of w [3, 3, ci, co] */
    int32_t (*turned_tasks)(int32_t ci, int32_t co);
    /* One task of U from w [3, 3, ci, co]. */
    void (*weight_transform)(float *u, const float *w, int32_t ci, int32_t co, int32_t task);
    /* The same for the data gradient: the convolution of dy [.., co] to dx [.., ci], from the same
     * w [3, 3, ci, co] turned by 180 degrees and transposed: U of a (co -> ci) convolution. */
    void (*weight_transform_turned)(float *u, const float *w, int32_t ci, int32_t co, int32_t task);

    /* ---- forward; backward_data is the same with turned weights ---- */
    int32_t (*blocks)(const dmi_winograd_shape *shape);
    size_t (*block_floats)(const dmi_winograd_shape *shape); /* scratch of one worker */
    void (*forward)(const dmi_winograd_shape *shape, float *y, const float *x, const float *u,
                    const dmi_epilogue *epilogue, int32_t block, float *scratch);

    /* ---- weight gradient: dw [3, 3, ci, co] = (+=) ..., x as in forward, dy [n, h, w, co] ----
     * Tasks, cut by the shape alone; those of one group of tiles, `tasks / groups` in a row, make
     * one dw together. */
    int32_t (*gradient_groups)(const dmi_winograd_shape *shape);
    int32_t (*gradient_tasks)(const dmi_winograd_shape *shape);
    size_t (*gradient_floats)(const dmi_winograd_shape *shape); /* scratch of one worker */
    void (*gradient)(const dmi_winograd_shape *shape, float *dw, const float *x, const float *dy,
                     bool add, int32_t task, float *scratch);
} dmi_winograd;

#endif
