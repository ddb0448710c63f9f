/* SPDX-License-Identifier: MIT */
/* Group normalisation and its gradient, for every instruction set of this machine, against naive
 * loops in double, and the naive gradient against finite differences. */
#include "support/kernels.h"

#include "base/host.h"

Suite *test_kernels_norm_suite(void);

/* Inputs are x [pixels, channels], gain [channels] and offset [channels] in one array. */

typedef struct norm_shape {
    int32_t pixels, channels, per_group, c0, c1;
    int32_t activation;
    const double *dy; /* the loss is the sum of dy * y */
} norm_shape;

static const double NORM_EPS = 1e-5f;

static void naive_statistics(const norm_shape *s, const double *x, double *mean, double *rstd) {
    const size_t channels = (size_t)s->channels, pixels = (size_t)s->pixels,
                 wide = (size_t)s->per_group;
    for (size_t g = 0; g < channels / wide; g++) {
        double sum = 0, squares = 0;
        for (size_t p = 0; p < pixels; p++) {
            for (size_t c = g * wide; c < (g + 1) * wide; c++) sum += x[p * channels + c];
        }
        mean[g] = sum / (double)(pixels * wide);
        for (size_t p = 0; p < pixels; p++) {
            for (size_t c = g * wide; c < (g + 1) * wide; c++)
                squares += pow(x[p * channels + c] - mean[g], 2);
        }
        rstd[g] = 1 / sqrt(squares / (double)(pixels * wide) + NORM_EPS);
    }
}

static void naive_norm(const norm_shape *s, const double *inputs, const double *mean,
                       const double *rstd, double *y) {
    const size_t channels = (size_t)s->channels, count = (size_t)s->pixels * channels,
                 wide = (size_t)s->per_group;
    const double *gain = inputs + count, *offset = gain + channels;
    for (size_t i = 0; i < count; i++) {
        size_t c = i % channels;
        double u = gain[c] * (inputs[i] - mean[c / wide]) * rstd[c / wide] + offset[c];
        y[i] = naive_activation(s->activation, u);
    }
}

static double norm_loss(const void *shape, const double *inputs) {
    const norm_shape *s = shape;
    const size_t count = (size_t)s->pixels * (size_t)s->channels;
    static double y[4096], mean[64], rstd[64];
    ck_assert_uint_le(count, 4096);
    naive_statistics(s, inputs, mean, rstd);
    naive_norm(s, inputs, mean, rstd, y);
    double loss = 0;
    for (size_t i = 0; i < count; i++) loss += s->dy[i] * y[i];
    return loss;
}

static void naive_norm_gradient(const norm_shape *s, const double *inputs, const double *mean,
                                const double *rstd, double *gradient) {
    const size_t channels = (size_t)s->channels, pixels = (size_t)s->pixels,
                 wide = (size_t)s->per_group;
    const double *gain = inputs + pixels * channels, *offset = gain + channels,
                 share = 1.0 / (double)(pixels * wide);
    double *dgain = gradient + pixels * channels, *doffset = dgain + channels;
    double *m1 = doubles(channels), *m2 = doubles(channels);
    memset(dgain, 0, 2 * channels * sizeof *dgain);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < pixels * channels; i++) {
            size_t c = i % channels, g = c / wide;
            double xhat = (inputs[i] - mean[g]) * rstd[g];
            double du =
                s->dy[i] * naive_activation_slope(s->activation, gain[c] * xhat + offset[c]);
            if (pass == 0) {
                dgain[c] += du * xhat;
                doffset[c] += du;
                m1[g] += gain[c] * du * share;
                m2[g] += gain[c] * du * xhat * share;
            } else {
                gradient[i] = rstd[g] * (gain[c] * du - m1[g] - xhat * m2[g]);
            }
        }
    }
}

/* clang-format off */
static const norm_shape NORM_SHAPES[] = {
    {.pixels = 1, .channels = 8, .per_group = 4, .c0 = 0, .c1 = 8},
    {.pixels = 7, .channels = 30, .per_group = 3, .c0 = 6, .c1 = 27},
    {.pixels = 16, .channels = 30, .per_group = 1, .c0 = 0, .c1 = 30},
    {.pixels = 49, .channels = 30, .per_group = 30, .c0 = 0, .c1 = 30},
    {.pixels = 64, .channels = 32, .per_group = 2, .c0 = 4, .c1 = 10},
    {.pixels = 100, .channels = 64, .per_group = 2, .c0 = 0, .c1 = 64},
    {.pixels = 33, .channels = 96, .per_group = 3, .c0 = 0, .c1 = 96},
    {.pixels = 31, .channels = 96, .per_group = 96, .c0 = 0, .c1 = 96},
    {.pixels = 1000, .channels = 96, .per_group = 16, .c0 = 32, .c1 = 96},
    {.pixels = 17, .channels = 512, .per_group = 16, .c0 = 0, .c1 = 512},
    {.pixels = 3, .channels = 512, .per_group = 512, .c0 = 0, .c1 = 512},
    {.pixels = 64, .channels = 512, .per_group = 128, .c0 = 128, .c1 = 384},
    {.pixels = 70, .channels = 40, .per_group = 5, .c0 = 0, .c1 = 40},
};
/* clang-format on */

/* Values outside the requested channels must not change. */
static void check_columns(const char *what, const float *got, const double *want, float untouched,
                          const norm_shape *s, double bound) {
    const size_t channels = (size_t)s->channels, width = (size_t)(s->c1 - s->c0);
    float *inside = allocate((size_t)s->pixels * width * sizeof *inside);
    double *expected = doubles((size_t)s->pixels * width);
    size_t count = 0;
    for (size_t i = 0; i < (size_t)s->pixels * channels; i++) {
        if ((int32_t)(i % channels) < s->c0 || (int32_t)(i % channels) >= s->c1) {
            ck_assert_msg(got[i] == untouched, "%s: element %zu was touched", what, i);
        } else {
            inside[count] = got[i];
            expected[count++] = want[i];
        }
    }
    check_near(what, inside, expected, count, bound);
}

/* `count` floats from the start of a cache line on. */
static float *whole_lines(size_t count) {
    uintptr_t at = (uintptr_t)allocate(count * sizeof(float) + DMI_ALIGNMENT);
    return (float *)((at + DMI_ALIGNMENT - 1) / DMI_ALIGNMENT * DMI_ALIGNMENT);
}

/* An image's x, dx and whether dx is added to, as one tensor. */
static dmi_norm_x one_tensor(const float *x, float *dx, bool add, size_t channels) {
    return (dmi_norm_x){.x = {x}, .dx = {dx}, .add = {add}, .channels = {(int32_t)channels}};
}

/* The first `border` channels of an image and the others as tensors of their own. */
static dmi_norm_x two_tensors(const float *x, const float *dx, size_t pixels, size_t channels,
                              size_t border) {
    size_t widths[2] = {border, channels - border};
    dmi_norm_x two = {.channels = {(int32_t)widths[0], (int32_t)widths[1]}};
    for (size_t i = 0, first = 0; i < 2; first += widths[i++]) {
        float *part = allocate(pixels * widths[i] * sizeof *part),
              *gradient = allocate(pixels * widths[i] * sizeof *part);
        for (size_t p = 0; p < pixels; p++) {
            memcpy(part + p * widths[i], x + p * channels + first, widths[i] * sizeof *part);
            memcpy(gradient + p * widths[i], dx + p * channels + first, widths[i] * sizeof *part);
        }
        two.x[i] = part;
        two.dx[i] = gradient;
    }
    return two;
}

/* The channels c0 to c1 - 1 of an image. */
static dmi_norm norm_of(const norm_shape *s, dmi_norm_x x, const float *gain, const float *offset,
                        int32_t c0, int32_t c1, bool non_temporal) {
    return (dmi_norm){.x = x,
                      .gain = gain,
                      .offset = offset,
                      .pixels = s->pixels,
                      .group_channels = s->per_group,
                      .c0 = c0,
                      .c1 = c1,
                      .activation = s->activation,
                      .non_temporal = non_temporal};
}

/* Values are uniform around `level` with standard deviation 1, and rise by `rise` from the first
 * pixel to the last. */
typedef struct norm_values {
    float level, rise;
} norm_values;

/* A mean is right to a few roundings of its size; what follows is measured from the mean and rstd
 * that were found, so that a large level does not hide other errors. */
static void norm_case(const dmi_kernels *k, norm_shape s, norm_values v) {
    const size_t channels = (size_t)s.channels, count = (size_t)s.pixels * channels,
                 groups = channels / (size_t)s.per_group;
    const size_t c0 = (size_t)s.c0, width = (size_t)(s.c1 - s.c0);
    const size_t g0 = c0 / (size_t)s.per_group, gn = width / (size_t)s.per_group;
    const size_t room =
        (size_t)s.pixels * (size_t)(s.per_group > DMI_NORM_SPAN ? s.per_group : DMI_NORM_SPAN);
    float *inputs = uniform(count + 2 * channels, 8, 1.7320508f);
    for (size_t i = 0; i < count; i++)
        inputs[i] += v.level + v.rise * (float)(i / channels) / (float)s.pixels;
    const float *x = inputs, *gain = inputs + count, *offset = gain + channels,
                *dy = uniform(count, 9, 1);
    double *in = widened(inputs, count + 2 * channels), *want = doubles(count),
           *gradient = doubles(count + 2 * channels);
    double *mean = doubles(groups), *rstd = doubles(groups);
    s.dy = widened(dy, count);
    naive_statistics(&s, in, mean, rstd);

    float *y = allocate(count * sizeof *y), *got_mean = allocate(groups * sizeof *y),
          *got_rstd = allocate(groups * sizeof *y);
    for (size_t i = 0; i < count; i++) y[i] = -5;
    dmi_norm part =
                 norm_of(&s, one_tensor(x, NULL, false, channels), gain, offset, s.c0, s.c1, false),
             all = norm_of(&s, one_tensor(x, NULL, false, channels), gain, offset, 0, s.channels,
                           true);
    k->norm_forward(y, got_mean, got_rstd, &part, (float)NORM_EPS);
    for (size_t g = g0; g < g0 + gn; g++) {
        ck_assert_double_le(fabs(got_mean[g] - mean[g]), 2e-7 * (0.5 + v.level + v.rise));
        ck_assert_double_le(fabs(got_rstd[g] / rstd[g] - 1), 2e-7);
        mean[g] = got_mean[g];
        rstd[g] = got_rstd[g];
    }
    naive_norm(&s, in, mean, rstd, want);
    check_columns("norm_forward", y, want, -5, &s, 2e-7);

    /* The same with non-temporal stores, from a line's start on and from within one. */
    float *whole = whole_lines(count + 1), *whole_mean = allocate(groups * sizeof *y),
          *whole_rstd = allocate(groups * sizeof *y);
    for (size_t shift = 0; shift < 2; shift++) {
        k->norm_forward(whole + shift, whole_mean, whole_rstd, &all, (float)NORM_EPS);
        for (size_t p = 0; p < (size_t)s.pixels; p++) {
            check_same("norm_forward, uncut", y + p * channels + c0,
                       whole + shift + p * channels + c0, width);
        }
    }

    /* dx of a small group is what is left of larger terms that cancel. */
    naive_norm_gradient(&s, in, mean, rstd, gradient);
    float *dx = allocate(count * sizeof *dx), *dgain = uniform(channels, 1, 1),
          *doffset = uniform(channels, 1, 1);
    for (size_t i = 0; i < count; i++) dx[i] = -5;
    part.x = one_tensor(x, dx, false, channels);
    k->norm_backward(dgain, doffset, dy, got_mean, got_rstd, &part, allocate(room * sizeof *dx));
    check_columns("norm_backward: dx", dx, gradient, -5, &s,
                  s.pixels * s.per_group < 8 ? 1e-6 : 3e-7);
    check_near("norm_backward: dgain", dgain + c0, gradient + count + c0, width, 4e-7);
    check_near("norm_backward: doffset", doffset + c0, gradient + count + channels + c0, width,
               4e-7);

    all.x = one_tensor(x, whole, false, channels);
    k->norm_backward(dgain, doffset, dy, whole_mean, whole_rstd, &all, NULL);
    for (size_t p = 0; p < (size_t)s.pixels; p++) {
        check_same("norm_backward, uncut", dx + p * channels + c0, whole + p * channels + c0,
                   width);
    }

    for (int cached = 0; cached < 2; cached++) {
        float *added = copied(dy, count);
        part.x = one_tensor(x, added, true, channels);
        k->norm_backward(dgain, doffset, dy, got_mean, got_rstd, &part,
                         cached ? allocate(room * sizeof *dx) : NULL);
        for (size_t p = 0; p < (size_t)s.pixels; p++) {
            for (size_t c = c0; c < c0 + width; c++) {
                size_t i = p * channels + c;
                ck_assert_float_eq_tol(added[i], dy[i] + dx[i], 1e-6f * (1 + fabsf(dx[i])));
            }
        }
    }
    release();
}

/* Two tensors side by side give the bits of one, wherever the border lies: between groups, within
 * one, within a vector. The second's gradient is added to. */
static void pair_case(const dmi_kernels *k, norm_shape s, size_t border) {
    const size_t channels = (size_t)s.channels, pixels = (size_t)s.pixels,
                 count = pixels * channels;
    const size_t groups = channels / (size_t)s.per_group;
    const size_t room =
        pixels * (size_t)(s.per_group > DMI_NORM_SPAN ? s.per_group : DMI_NORM_SPAN);
    float *x = uniform(count, 21, 1), *dy = uniform(count, 22, 1), *gain = uniform(channels, 23, 1),
          *offset = uniform(channels, 24, 1);
    float *y[2], *mean[2], *rstd[2], *dgain[2], *doffset[2], *dx = copied(dy, count);
    dmi_norm_x two = two_tensors(x, dx, pixels, channels, border),
               one = one_tensor(x, copied(dx, count), false, channels);
    dmi_norm_x added = one_tensor(x, copied(dx, count), true, channels);
    two.add[1] = true;
    for (int i = 0; i < 2; i++) {
        y[i] = allocate(count * sizeof(float));
        mean[i] = allocate(groups * sizeof(float));
        rstd[i] = allocate(groups * sizeof(float));
        dgain[i] = allocate(channels * sizeof(float));
        doffset[i] = allocate(channels * sizeof(float));
        dmi_norm norm = norm_of(&s, i ? two : one, gain, offset, 0, s.channels, false);
        k->norm_forward(y[i], mean[i], rstd[i], &norm, 1e-6f);
        k->norm_backward(dgain[i], doffset[i], dy, mean[i], rstd[i], &norm,
                         allocate(room * sizeof(float)));
    }
    dmi_norm adding = norm_of(&s, added, gain, offset, 0, s.channels, false);
    k->norm_backward(dgain[0], doffset[0], dy, mean[0], rstd[0], &adding,
                     allocate(room * sizeof(float)));
    check_same("pair: y", y[1], y[0], count);
    check_same("pair: mean", mean[1], mean[0], groups);
    check_same("pair: rstd", rstd[1], rstd[0], groups);
    check_same("pair: dgain", dgain[1], dgain[0], channels);
    check_same("pair: doffset", doffset[1], doffset[0], channels);
    const float *first = two.dx[0], *second = two.dx[1], *whole = one.dx[0], *sum = added.dx[0];
    for (size_t p = 0; p < pixels; p++) {
        check_same("pair: first dx", first + p * border, whole + p * channels, border);
        check_same("pair: second dx", second + p * (channels - border), sum + p * channels + border,
                   channels - border);
    }
    release();
}

START_TEST(channels_side_by_side) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    static const struct {
        int32_t pixels, channels, per_group;
        size_t border;
    } cases[] = {{64, 192, 6, 128}, {33, 128, 4, 64},  {7, 96, 3, 64},
                 {40, 40, 5, 17},   {9, 160, 160, 96}, {16, 320, 10, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int32_t f = 0; f < ACTIVATIONS; f++) {
            norm_shape s = {.pixels = cases[i].pixels,
                            .channels = cases[i].channels,
                            .per_group = cases[i].per_group,
                            .c1 = cases[i].channels,
                            .activation = f};
            pair_case(k, s, cases[i].border);
        }
    }
}
END_TEST

START_TEST(group_norm) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (size_t t = 0; t < sizeof NORM_SHAPES / sizeof *NORM_SHAPES; t++) {
        for (int32_t f = 0; f < ACTIVATIONS; f++) {
            norm_shape s = NORM_SHAPES[t];
            s.activation = f;
            norm_case(k, s, (norm_values){0, 0});
            norm_case(k, s, (norm_values){100, 0});
            norm_case(k, s, (norm_values){3, 100});
        }
    }
}
END_TEST

/* Far from 0 an activation function is 0 or u; a value that is not a number makes all of its
 * group so, and no other. */
START_TEST(activations_at_their_ends) {
    const dmi_kernels *k = kernels_of(_i % ISAS);
    if (!k) return;
    enum { PIXELS = 5, CHANNELS = 36, PER_GROUP = 4, COUNT = PIXELS * CHANNELS };
    float *x = uniform(COUNT, 3, 1), *y = allocate(COUNT * sizeof *y),
          *dx = allocate(COUNT * sizeof *dx);
    float mean[CHANNELS / PER_GROUP], rstd[CHANNELS / PER_GROUP];
    float gain[CHANNELS], offset[CHANNELS], dgain[CHANNELS], doffset[CHANNELS];
    for (int c = 0; c < CHANNELS; c++) {
        gain[c] = 1;
        offset[c] = c % 2 ? 1000 : -1000;
    }
    x[0] = NAN;
    const norm_shape s = {.pixels = PIXELS, .per_group = PER_GROUP, .activation = 1 + _i / ISAS};
    dmi_norm norm =
        norm_of(&s, one_tensor(x, dx, false, CHANNELS), gain, offset, 0, CHANNELS, false);
    k->norm_forward(y, mean, rstd, &norm, 1e-5f);
    k->norm_backward(dgain, doffset, x, mean, rstd, &norm, NULL);
    for (int i = 0; i < COUNT; i++) {
        int c = i % CHANNELS;
        bool lost = c < PER_GROUP;
        double u = (double)(x[i] - mean[c / PER_GROUP]) * rstd[c / PER_GROUP] + offset[c];
        ck_assert_msg(lost ? isnan(y[i]) : fabs(y[i] - (u < 0 ? 0 : u)) < 1e-3, "y[%d] = %g of %g",
                      i, (double)y[i], u);
        ck_assert_msg(lost ? isnan(dx[i]) : isfinite(dx[i]), "dx[%d] = %g", i, (double)dx[i]);
    }
    release();
}
END_TEST

START_TEST(naive_norm_gradient_is_right) {
    static const norm_shape shapes[] = {
        {.pixels = 7, .channels = 6, .per_group = 3},
        {.pixels = 5, .channels = 8, .per_group = 1, .activation = DMI_ACTIVATION_SILU},
        {.pixels = 9, .channels = 8, .per_group = 2, .activation = DMI_ACTIVATION_SILU},
        {.pixels = 4, .channels = 8, .per_group = 8, .activation = DMI_ACTIVATION_SILU},
        {.pixels = 5, .channels = 8, .per_group = 2, .activation = DMI_ACTIVATION_MISH},
        {.pixels = 5, .channels = 8, .per_group = 2, .activation = DMI_ACTIVATION_GELU},
        {.pixels = 5, .channels = 8, .per_group = 2, .activation = DMI_ACTIVATION_RELU},
    };
    for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++) {
        norm_shape s = shapes[t];
        const size_t channels = (size_t)s.channels, count = (size_t)s.pixels * channels,
                     all = count + 2 * channels;
        double *in = widened(uniform(all, 10, 1), all), *mean = doubles(8), *rstd = doubles(8);
        double *gradient = doubles(all);
        s.dy = widened(uniform(count, 11, 1), count);
        naive_statistics(&s, in, mean, rstd);
        naive_norm_gradient(&s, in, mean, rstd, gradient);
        check_gradient("group norm", norm_loss, &s, in, gradient, all);
        release();
    }
}
END_TEST

Suite *test_kernels_norm_suite(void) {
    Suite *suite = suite_create("kernels_norm");
    TCase *tests = tcase_create("group norm");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, naive_norm_gradient_is_right);
    tcase_add_loop_test(tests, group_norm, 0, ISAS);
    tcase_add_loop_test(tests, activations_at_their_ends, 0, (ACTIVATIONS - 1) * ISAS);
    tcase_add_loop_test(tests, channels_side_by_side, 0, ISAS);
    suite_add_tcase(suite, tests);
    return suite;
}
