/* How operations are proven. A case builds a small graph and gives the same function as a naive loop in double precision.
 * From these two: forward against the loop; every gradient against differences of the loop, which have nothing of the
 * derivation in them; and the gradients against differences of the graph's own forward pass. */
#ifndef DM_TESTS_GRADIENT_H
#define DM_TESTS_GRADIENT_H

#include "autograd/ops.h"
#include "support/support.h"

enum { TEST_MAX_VALUES = 8 };

struct test_op;

/* An input or parameter of the network under test. */
typedef struct test_value {
    dmi_value value;
    bool batch;      /* has the network's n; else it is a parameter */
    bool gradient;
    float scale;     /* filled with [-scale, scale) */
    int32_t whole;   /* or, where above 0, with the whole numbers 0 to whole-1 */
} test_value;

typedef struct test_net {
    const struct test_op *op;
    dmi_host *host;
    dmi_params params;
    dmi_graph *graph;
    int32_t n;
    uint32_t frozen; /* bit i: value i gets no gradient */
    test_value values[TEST_MAX_VALUES];
    int32_t count;
    dmi_value output;
} test_net;

/* A case: the operation, its sizes and its proof. */
typedef struct test_op {
    const char *name;
    void (*build)(test_net *net); /* declares the values, appends the operation, sets net->output */
    /* y from the values, in the order of their declaration, shaped as in the graph. */
    void (*reference)(const test_net *net, double *const *values, double *y);
    int32_t n, h, w, c;
    int32_t out, kernel, stride, pad; /* convolution; linear and embedding: out */
    int32_t parts;                    /* groups, heads or rows of a table */
    bool upsample, bias, modulation, residual, silu; /* modulation: per_image of a convolution, scale_shift of a norm */
    double bound; /* of the relative error against the loop; 0: 2e-6, some ten roundings */
} test_op;

/* For build. Shapes as in the graph; an input's n is the network's. */
dmi_value test_net_input(test_net *net, int32_t h, int32_t w, int32_t c, float scale);
dmi_value test_net_whole(test_net *net, int32_t bound); /* [n, 1, 1, 1], whole numbers below bound, no gradient */
dmi_value test_net_param(test_net *net, dmi_shape shape, float scale);
dmi_shape test_net_shape(const test_net *net, int32_t value); /* of the value declared as number `value` */

/* A planned network with its data filled. Everything that has not been filled holds NaN. */
test_net *test_net_new(const test_op *op, int32_t n, int32_t threads, int32_t isa, bool train, uint32_t frozen);
void test_net_end(test_net *net);
float *test_net_data(const test_net *net, int32_t value);
float *test_net_gradient(const test_net *net, int32_t value);
size_t test_net_count(const test_net *net, int32_t value);
/* The weights w [output] of the loss L = sum w y. */
void test_net_loss_weights(const test_net *net, float *w);
/* Forward, then backward from w. */
void test_net_run(test_net *net, const float *w);

/* The proofs. */
void test_against_reference(const test_op *op, int32_t isa);
void test_against_differences(const test_op *op);
void test_adding(const test_op *op);             /* gradients added to what is there already */
void test_without_gradients(const test_op *op);  /* each value in turn has none */
void test_batch_independence(const test_op *op, int32_t picture);
void test_threads(const test_op *op);
void test_inference(const test_op *op);          /* planned without backward: the same bits */

#endif
