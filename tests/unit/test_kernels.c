/* SPDX-License-Identifier: MIT */
/* Numeric kernels but convolution, group norm, softmax and activation functions, for every
 * instruction set of this machine, against naive loops in double; the naive gradients against
 * finite differences. Errors are of whole arrays, relative to the array's norm: a float's rounding
 * is 6e-8 at most, and a bound is that times the few roundings in between. */
#include "support/kernels.h"

Suite *test_kernels_suite(void);

static const size_t SIZES[] = {1, 3, 7, 16, 17, 31, 33, 64, 100, 1000};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES };

/* ---- one element at a time ---- */

START_TEST(pointwise) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < SIZE_COUNT; t++) {
        const size_t n = SIZES[t];
        const float *a = uniform(n, 1, 4), *b = uniform(n, 2, 3), *c = uniform(n, 3, 2);
        uint32_t *words = allocate(n * sizeof *words);
        for (size_t i = 0; i < n; i++) words[i] = (uint32_t)(i * 2654435761u);
        words[0] = 1000000000u; /* the threshold itself keeps */
        float *y = allocate(n * sizeof *y);
        double *want = doubles(n);

        k->add(y, a, b, n);
        for (size_t i = 0; i < n; i++) want[i] = (double)a[i] + b[i];
        check_near("add", y, want, n, 6e-8);
        k->add(y, y, y, n);
        for (size_t i = 0; i < n; i++) want[i] *= 2;
        check_near("add in place", y, want, n, 6e-8);
        k->scale(y, a, -0.3f, n);
        for (size_t i = 0; i < n; i++) want[i] = (double)a[i] * -0.3f;
        check_near("scale", y, want, n, 6e-8);
        k->affine(y, a, -0.3f, 0.7f, n, false);
        for (size_t i = 0; i < n; i++) want[i] = (double)a[i] * -0.3f + 0.7f;
        check_near("affine", y, want, n, 2e-7); /* the terms cancel partly */
        k->affine(y, a, -0.3f, 0.7f, n, true);
        for (size_t i = 0; i < n; i++) want[i] *= 2;
        check_near("affine, added", y, want, n, 3e-7);
        k->divide(y, a, -0.3f, n, false);
        for (size_t i = 0; i < n; i++) want[i] = a[i] / (double)-0.3f;
        for (size_t i = 0; i < n; i++) ck_assert(y[i] == a[i] / -0.3f);
        k->divide(y, a, -0.3f, n, true);
        for (size_t i = 0; i < n; i++) want[i] *= 2;
        check_near("divide, added", y, want, n, 2e-7);
        k->combine(y, 0.8f, a, -0.6f, b, n);
        for (size_t i = 0; i < n; i++) want[i] = (double)0.8f * a[i] - (double)0.6f * b[i];
        check_near("combine", y, want, n, 1.2e-7);

        k->dropout(y, a, words, 1000000000u, 1.25f, n, false);
        for (size_t i = 0; i < n; i++) want[i] = words[i] >= 1000000000u ? 1.25 * a[i] : 0;
        check_near("dropout", y, want, n, 6e-8);
        memcpy(y, c, n * sizeof *y);
        k->dropout(y, a, words, 1000000000u, 1.25f, n, true);
        for (size_t i = 0; i < n; i++) want[i] += c[i];
        check_near("dropout, added", y, want, n, 1.2e-7);

        k->mse(y, a, b, 0.25f, n);
        for (size_t i = 0; i < n; i++) want[i] = 0.25 * ((double)a[i] - b[i]);
        check_near("gradient of mse", y, want, n, 1.2e-7);
        release();
    }
}
END_TEST

/* An element's bits are the same wherever it is: at the end, in the middle, at any address. */
START_TEST(alignment_changes_no_bit) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    enum { N = 200 };
    float *a = uniform(N, 1, 6), *b = uniform(N, 2, 3), *whole = allocate(N * sizeof *whole),
          *part = allocate(N * sizeof *part);
    k->combine(whole, 0.7f, a, 0.3f, b, N);
    for (size_t from = 0; from < 40; from++) {
        const size_t n = 1 + (from * 7) % 50;
        k->combine(part, 0.7f, a + from, 0.3f, b + from, n);
        check_same("combine", part, whole + from, n);
    }
}
END_TEST

START_TEST(rows_of_arrays) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < SIZE_COUNT; t++) {
        for (size_t rows = 1; rows <= 1000; rows = rows * 5 + 2) {
            const size_t columns = SIZES[t], sx = columns + 5, sy = columns + 3;
            const float *x = uniform(rows * sx, 4, 1);
            float *y = uniform(rows * sy, 5, 1), *plain = uniform(rows * columns, 6, 1),
                  *sums = uniform(columns, 7, 1);
            double *want = widened(y, rows * sy), *want_sums = doubles(columns);
            k->copy_rows(y, sy, x, sx, rows, columns, true);
            for (size_t r = 0; r < rows; r++) {
                for (size_t c = 0; c < columns; c++) want[r * sy + c] += x[r * sx + c];
            }
            check_near("copy_rows, added", y, want, rows * sy, 6e-8);
            k->copy_rows(y, sy, x, sx, rows, columns, false);
            for (size_t r = 0; r < rows; r++) {
                for (size_t c = 0; c < columns; c++) want[r * sy + c] = x[r * sx + c];
            }
            check_near("copy_rows", y, want, rows * sy,
                       6e-8); /* what lies between the rows stays */

            /* 10 on top of every value: 32 rows are summed in float, so 8 roundings of 6e-8
             * whatever the number of rows */
            for (size_t i = 0; i < rows * columns; i++) plain[i] += 10;
            for (size_t i = 0; i < rows * columns; i++) want_sums[i % columns] += plain[i];
            k->sum_rows(sums, plain, rows, columns, false);
            check_near("sum_rows", sums, want_sums, columns, 2e-7);
            k->sum_rows(sums, plain, rows, columns, true);
            for (size_t c = 0; c < columns; c++) want_sums[c] *= 2;
            check_near("sum_rows, added", sums, want_sums, columns, 2e-7);
            release();
        }
    }
}
END_TEST

/* ---- linear: inputs are x [n, in], w [in, out] and bias [out] in one array ---- */

typedef struct linear_shape {
    size_t n, in, out;
    const double *dy;
} linear_shape;

static void naive_linear(const linear_shape *s, const double *inputs, double *y) {
    const double *w = inputs + s->n * s->in, *bias = w + s->in * s->out;
    for (size_t i = 0; i < s->n * s->out; i++) {
        y[i] = bias[i % s->out];
        for (size_t k = 0; k < s->in; k++)
            y[i] += inputs[i / s->out * s->in + k] * w[k * s->out + i % s->out];
    }
}

static double linear_loss(const void *shape, const double *inputs) {
    const linear_shape *s = shape;
    static double y[256];
    naive_linear(s, inputs, y);
    double loss = 0;
    for (size_t i = 0; i < s->n * s->out; i++) loss += s->dy[i] * y[i];
    return loss;
}

/* Of x and w; the bias's is sum_rows. */
static void naive_linear_gradient(const linear_shape *s, const double *inputs, double *gradient) {
    const double *w = inputs + s->n * s->in;
    double *dw = gradient + s->n * s->in;
    for (size_t n = 0; n < s->n; n++) {
        for (size_t i = 0; i < s->in; i++) {
            for (size_t o = 0; o < s->out; o++) {
                gradient[n * s->in + i] += s->dy[n * s->out + o] * w[i * s->out + o];
                dw[i * s->out + o] += s->dy[n * s->out + o] * inputs[n * s->in + i];
            }
        }
    }
}

/* Filters with weights of no symmetry, all rows and only some, and a value added to. */
START_TEST(resampled_images) {
    static const dmi_resample_filter filters[] = {
        {false, 4, {-1, 0}, {{0.5f, -2, 3, 0.25f}}},
        {false, 2, {0, 0}, {{0.5f, -2}}},
        {true, 2, {-1, 0}, {{0.5f, -2}, {3, 0.25f}}},
        {true, 1, {0, 0}, {{0.5f}, {-2}}},
    };
    static const int32_t widths[] = {1, 3, 16, 17, 37};
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < 4 * 5 * 2; t++) {
        const dmi_resample_filter *f = &filters[t % 4];
        const bool add = t / 4 % 2;
        const int32_t h = 4, w = 6, c = widths[t / 8], oh = f->up ? 8 : 2, ow = f->up ? 12 : 3;
        const int32_t row0 = add ? 1 : 0, row1 = add ? oh - 1 : oh;
        const size_t n = (size_t)(oh * ow * c);
        const float *x = uniform((size_t)(h * w * c), 1, 4), *before = uniform(n, 2, 3);
        float *y = copied(before, n);
        double *want = widened(before, n);
        k->resample(y, x, f, h, w, c, row0, row1, add);
        for (int32_t i = row0 * ow * c; i < row1 * ow * c; i++) {
            int32_t r = i / c / ow, q = i / c % ow, up = f->up ? 2 : 1, down = f->up ? 1 : 2;
            double sum = 0;
            for (int32_t a = 0; a < f->taps * f->taps; a++) {
                int32_t row = r / up * down + f->first[r % up] + a / f->taps,
                        column = q / up * down + f->first[q % up] + a % f->taps;
                if (row < 0 || row >= h || column < 0 || column >= w) continue;
                sum += (double)f->weights[r % up][a / f->taps] * f->weights[q % up][a % f->taps] *
                       x[(row * w + column) * c + i % c];
            }
            want[i] = add ? want[i] + sum : sum;
        }
        check_near("resample", y, want, n, 3e-7);
        check_same("resample, other rows", y, before, (size_t)(row0 * ow * c));
        check_same("resample, other rows", y + row1 * ow * c, before + row1 * ow * c,
                   n - (size_t)(row1 * ow * c));
        release();
    }
}
END_TEST

START_TEST(linear) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    static const size_t shapes[][3] = {{1, 1, 1},     {1, 3, 7},    {2, 7, 3},    {3, 16, 17},
                                       {5, 33, 31},   {4, 64, 100}, {7, 100, 64}, {16, 128, 512},
                                       {2, 1000, 33}, {3, 33, 1000}};
    for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++) {
        const size_t n = shapes[t][0], in = shapes[t][1], out = shapes[t][2],
                     all = n * in + in * out + out;
        const int32_t o1 = (int32_t)out, i1 = (int32_t)in, o_cut = o1 / 3, i_cut = i1 / 3;
        float *inputs = uniform(all, 17, 1), *dy = uniform(n * out, 18, 1),
              *y = allocate(n * out * sizeof *y);
        float *dx = allocate(n * in * sizeof *dx), *dw = allocate(in * out * sizeof *dw);
        const float *w = inputs + n * in, *bias = w + in * out;
        linear_shape s = {.n = n, .in = in, .out = out, .dy = widened(dy, n * out)};
        double *wide = widened(inputs, all), *want = doubles(n * out), *gradient = doubles(all);
        naive_linear(&s, wide, want);
        naive_linear_gradient(&s, wide, gradient);

        /* Sums of up to 1000 floats in a row: their errors add up like a random walk, sqrt(1000) /
         * 3 roundings. */
        const double bound = 6e-7;
        for (size_t r = 0; r < n; r++) {
            k->linear_forward(y + r * out, inputs + r * in, w, bias, i1, o1, 0, o_cut);
            k->linear_forward(y + r * out, inputs + r * in, w, bias, i1, o1, o_cut, o1);
            k->linear_backward_x(dx + r * in, dy + r * out, w, o1, 0, i_cut, false);
            k->linear_backward_x(dx + r * in, dy + r * out, w, o1, i_cut, i1, false);
        }
        k->linear_backward_w(dw, inputs, dy, (int32_t)n, i1, o1, 0, i_cut, false);
        k->linear_backward_w(dw, inputs, dy, (int32_t)n, i1, o1, i_cut, i1, false);
        check_near("linear_forward", y, want, n * out, bound);
        check_near("linear_backward_x", dx, gradient, n * in, bound);
        check_near("linear_backward_w", dw, gradient + n * in, in * out, bound);

        float *whole = allocate(out * sizeof *whole);
        k->linear_forward(whole, inputs, w, bias, i1, o1, 0, o1);
        check_same("linear_forward, uncut", whole, y, out);
        float *dw_whole = allocate(in * out * sizeof *dw);
        k->linear_backward_w(dw_whole, inputs, dy, (int32_t)n, i1, o1, 0, i1, false);
        check_same("linear_backward_w, uncut", dw_whole, dw, in * out);
        k->linear_forward(whole, inputs, w, NULL, i1, o1, 0, o1);
        for (size_t o = 0; o < out; o++) want[o] -= bias[o];
        check_near("linear_forward without bias", whole, want, out, bound);
        k->linear_backward_x(dx, dy, w, o1, 0, i1, true);
        for (size_t i = 0; i < in; i++) gradient[i] *= 2;
        check_near("linear_backward_x, added", dx, gradient, in, bound);
        k->linear_backward_w(dw, inputs, dy, (int32_t)n, i1, o1, 0, i1, true);
        for (size_t i = 0; i < in * out; i++) gradient[n * in + i] *= 2;
        check_near("linear_backward_w, added", dw, gradient + n * in, in * out, bound);
        release();
    }
}
END_TEST

START_TEST(naive_linear_gradient_is_right) {
    linear_shape s = {.n = 3, .in = 5, .out = 4, .dy = widened(uniform(12, 19, 1), 12)};
    const size_t all = 3 * 5 + 5 * 4 + 4;
    double *inputs = widened(uniform(all, 20, 1), all), *gradient = doubles(all);
    naive_linear_gradient(&s, inputs, gradient);
    check_gradient("linear", linear_loss, &s, inputs, gradient, all - 4);
    release();
}
END_TEST

/* ---- sums, bytes, and the optimizer ---- */

START_TEST(sums_and_finiteness) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t <= SIZE_COUNT; t++) {
        const size_t n = t < SIZE_COUNT ? SIZES[t] : 300001;
        float *a = uniform(n, 21, 1), *b = uniform(n, 22, 1),
              *gradient = allocate(n * sizeof *gradient);
        double squares = 0, error = 0;
        for (size_t i = 0; i < n; i++) {
            squares += (double)a[i] * a[i];
            error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        }
        /* in double throughout, 3e5 roundings of 1e-16 in the naive sum; in mse each difference is
         * rounded to float */
        ck_assert_double_le(fabs(k->sum_squares(a, n) / squares - 1), 1e-12);
        ck_assert_double_le(fabs(k->mse(gradient, a, b, 1, n) / error - 1), 1.2e-7);
        ck_assert(k->all_finite(a, n));
        const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < n; i += n < 200 ? 1 : n / 97) {
            float kept = a[i];
            for (int f = 0; f < 4; f++) {
                a[i] = bad[f];
                ck_assert_msg(!k->all_finite(a, n), "%g at %zu of %zu was not seen", bad[f], i, n);
            }
            a[i] = 3.4028234e38f;
            ck_assert(k->all_finite(a, n));
            a[i] = kept;
        }
        double *c = allocate(n * sizeof *c);
        for (size_t i = 0; i < n; i++) c[i] = 1e300 * (double)a[i];
        ck_assert(k->solver_all_finite(c, n));
        for (size_t i = 0; i < n; i += n < 200 ? 1 : n / 97) {
            double kept = c[i];
            for (int f = 0; f < 4; f++) {
                c[i] = bad[f];
                ck_assert_msg(!k->solver_all_finite(c, n), "%g at %zu of %zu", bad[f], i, n);
            }
            c[i] = kept;
        }
        release();
    }
}
END_TEST

START_TEST(bytes_to_pixels) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    static const int32_t shapes[][3] = {{1, 1, 1}, {1, 256, 1}, {5, 7, 3}, {32, 32, 3}, {2, 17, 4}};
    for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++) {
        const int32_t h = shapes[t][0], w = shapes[t][1], c = shapes[t][2], n = h * w * c;
        uint8_t *x = allocate((size_t)n);
        float *y = allocate((size_t)n * sizeof *y);
        for (int32_t i = 0; i < n; i++) x[i] = t == 1 ? (uint8_t)i : (uint8_t)(i * 37 + 11);
        for (int flip = 0; flip < 2; flip++) {
            k->from_u8(y, x, h, w, c, flip);
            for (int32_t i = 0; i < n; i++) {
                int32_t column = i / c % w, from = flip ? i + (w - 1 - 2 * column) * c : i;
                ck_assert_msg(y[i] == (float)x[from] / 127.5f - 1.0f,
                              "element %d of [%d, %d, %d]%s", i, h, w, c, flip ? ", flipped" : "");
            }
        }
        release();
    }
}
END_TEST

START_TEST(adamw) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < SIZE_COUNT * 2; t++) {
        const size_t n = SIZES[t / 2];
        const bool with_ema = t % 2;
        float *w = uniform(n, 23, 1), *m = uniform(n, 24, 0), *v = uniform(n, 25, 0),
              *ema = copied(w, n);
        double *want = widened(w, n), *want_m = doubles(n), *want_v = doubles(n),
               *want_ema = widened(w, n);
        for (int step = 1; step <= 5; step++) {
            float *g = uniform(n, 30 + (uint64_t)step, 2);
            dmi_adamw o = {
                .rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .decay = 0.1f};
            o.gradient_scale = 0.25f;
            o.ema_weight = with_ema ? 0.01f : 0;
            o.correction1 = (float)(1 / (1 - pow(o.beta1, step)));
            o.correction2 = (float)(1 / (1 - pow(o.beta2, step)));
            k->adamw(w, m, v, with_ema ? ema : NULL, g, &o, n);
            for (size_t i = 0; i < n; i++) {
                double gradient = (double)g[i] * o.gradient_scale;
                want[i] *= 1 - (double)o.rate * o.decay;
                want_m[i] = o.beta1 * want_m[i] + (1 - (double)o.beta1) * gradient;
                want_v[i] = o.beta2 * want_v[i] + (1 - (double)o.beta2) * gradient * gradient;
                want[i] -= o.rate * (want_m[i] * o.correction1) /
                           (sqrt(want_v[i] * o.correction2) + o.eps);
                want_ema[i] =
                    (1 - (double)o.ema_weight) * want_ema[i] + (double)o.ema_weight * want[i];
            }
        }
        check_near("adamw: m", m, want_m, n, 4e-7); /* five steps of three roundings each */
        check_near("adamw: v", v, want_v, n, 4e-7);
        check_near("adamw: w", w, want, n, 3e-7);
        if (with_ema) check_near("adamw: ema", ema, want_ema, n, 3e-7);
        release();
    }
}
END_TEST

START_TEST(tables) {
    for (int32_t isa = 0; isa < ISAS; isa++) {
        const dmi_kernels *k = dmi_kernels_for(isa);
        const char *const *name = (const char *const *)k;
        for (size_t i = 0; i < sizeof *k / sizeof *name; i++) {
            ck_assert_msg(name[i] != NULL, "entry %zu of the table for '%s' is empty", i, k->isa);
        }
    }
    ck_assert_str_eq(dmi_kernels_for(DMI_ISA_BASE)->isa, "base");
    ck_assert_ptr_eq(dmi_kernels_for(DMI_ISA_V4 + 1), dmi_kernels_for(DMI_ISA_V4));
}
END_TEST

Suite *test_kernels_suite(void) {
    const TTest *const every_isa[] = {
        pointwise,           alignment_changes_no_bit, rows_of_arrays, linear,
        sums_and_finiteness, bytes_to_pixels,          adamw,          resampled_images,
    };
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("kernels");
    tcase_set_timeout(tests, 20);
    for (size_t t = 0; t < sizeof every_isa / sizeof *every_isa; t++)
        tcase_add_loop_test(tests, every_isa[t], 0, ISAS);
    tcase_add_test(tests, naive_linear_gradient_is_right);
    tcase_add_test(tests, tables);
    suite_add_tcase(suite, tests);
    return suite;
}
