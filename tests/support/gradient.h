/* SPDX-License-Identifier: MIT */
/* How operations are checked. A case builds a small graph and gives the same function as a naive
 * loop in double precision. From these two: forward against the loop; every gradient against
 * differences of the loop, which have nothing of the derivation in them; and the gradients against
 * differences of the graph's own forward pass. */
#ifndef DM_TESTS_GRADIENT_H
#define DM_TESTS_GRADIENT_H

#include "autograd/ops.h"
#include "support/activation.h"
#include "support/support.h"

enum { TEST_VALUES_MAX = 8, TEST_SAMPLES = 150 };

struct test_op;

/* How a network is made and run. */
typedef struct test_setup {
    int32_t n;       /* images; 0: the case's own number */
    int32_t threads; /* 0: 1 */
    int32_t isa;
    bool inference;  /* no backward */
    bool adding;     /* gradients are added to existing ones: test_net_fill_prior */
    bool interior;   /* nodes lie before and after the operation, so that its inputs and output are
                      activations */
    uint32_t frozen; /* bit i: value i gets no gradient */
} test_setup;

/* An input or parameter of the network under test. */
typedef struct test_value {
    dmi_value value;
    bool batch; /* has the network's n; else it is a parameter */
    bool gradient;
    float scale;   /* filled with [-scale, scale) */
    int32_t whole; /* or, where above 0, with the whole numbers 0 to whole-1 */
} test_value;

typedef struct test_net {
    const struct test_op *op;
    dmi_host *host;
    dmi_params params;
    dmi_graph *graph;
    int32_t n;
    test_setup setup;
    test_value values[TEST_VALUES_MAX];
    int32_t count;
    dmi_value output;
    dmi_value zeros[TEST_VALUES_MAX + 1]; /* interior: what is added before and after */
    int32_t zero_count;
} test_net;

/* A case: the operation, its sizes and its reference. */
typedef struct test_op {
    const char *name;
    void (*build)(test_net *net); /* declares the values, appends the operation, sets net->output */
    /* y from the values, in the order of their declaration, shaped as in the graph. */
    void (*reference)(const test_net *net, double *const *values, double *y);
    int32_t n, h, w, c;
    int32_t c2;                       /* channels of a second tensor beside the first */
    int32_t out, kernel, stride, pad; /* convolution; linear and embedding: out */
    int32_t wrap;                     /* of a convolution, DMI_WRAP_* */
    int32_t groups;                   /* groups; heads of attention; rows of a table */
    bool upsample, bias, residual;
    bool modulation;    /* per_image of a convolution, scale_shift of a norm */
    int32_t activation; /* DMI_ACTIVATION_* */
    bool random;     /* depends on an image's position in the batch and on whether it is trained */
    int32_t samples; /* elements whose gradients are compared with the loop's, of each value; 0:
                        TEST_SAMPLES */
    double bound; /* of the relative error against the loop, twice that for gradients; 0: 1e-6, some
                     ten roundings */
} test_op;

/* For build. Shapes as in the graph; an input's n is the network's. */
dmi_value test_net_input(test_net *net, int32_t h, int32_t w, int32_t c, float scale);
dmi_value test_net_whole(test_net *net,
                         int32_t bound); /* [n, 1, 1, 1], whole numbers below bound, no gradient */
dmi_value test_net_param(test_net *net, dmi_shape shape, float scale);
dmi_shape test_net_shape(const test_net *net,
                         int32_t value); /* of the value declared as number `value` */

/* A planned network with its data filled. All else holds NaN, so that what is read before it is
 * written shows. */
test_net *test_net_new(const test_op *op, test_setup setup);
void test_net_end(test_net *net);
float *test_net_data(const test_net *net, int32_t value);
float *test_net_gradient(const test_net *net, int32_t value);
size_t test_net_count(const test_net *net, int32_t value);
/* Forward and, unless for inference, backward from the loss L = sum w y with test_fill's w. */
void test_net_run(test_net *net);

/* All checks of a case: against its loop under every instruction set of this machine, against
 * differences, with gradients added to others, with the gradient of each value left out, with all
 * overwritten with NaN that backward does not request, an image alone and in a batch of three, with
 * one to three threads, and planned without backward. A failure's text names the case and the value
 * by number. */
void test_check_op(const test_op *op);
/* The first image of two has the bits, forward and of value 0's gradient, that it has alone: for
 * sizes at which one image is small enough for an algorithm that two are too large for. */
void test_check_op_alone(const test_op *op);

#endif
