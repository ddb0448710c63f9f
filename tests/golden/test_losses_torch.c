/* SPDX-License-Identifier: MIT */
/* Huber's and the hybrid loss with their gradients against PyTorch's autograd: the outputs of
 * make_losses.py. */
#include "core/context.h"
#include "diffusion.h"
#include "diffusion/loss_weight.h"
#include "diffusion/schedule.h"
#include "golden/golden.h"
#include "support/schedule.h"
#include "train/loss.h"

enum { IMAGES = 3, PIXELS = 25, CHANNELS = 3, N = PIXELS * CHANNELS, ALL = IMAGES * N };

static const double lambda = 0.37, values = 1000;

/* Relative to the norm. Both sides have the same floats; libdiffusion computes elements in single
 * precision. At t = 999 x_0 is the difference of two numbers 150 times as large, at 0 the decoder's
 * probability that of two near each other. */
static const double gradient_bound = 2e-6, loss_bound = 2e-6;

static dm_context *context;
static dm_schedule *schedule;
static dmi_safetensors *file;

static void begin(void) {
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    ck_assert_int_eq(linear_schedule(&schedule, context), DM_OK);
    file = golden_open(&context->host, "losses.safetensors");
}

static void end(void) {
    dmi_safetensors_close(&context->host, file);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}

/* `channels` of a pixel: the outputs', whose gradients are compared by CHANNELS, as those of eps
 * and of its variance differ in size. */
static void compare(const char *name, const float *gradient, size_t channels,
                    const double *losses) {
    size_t count = IMAGES * PIXELS * channels;
    float *want = golden_read(file, name, "gradient", count),
          *sums = golden_read(file, name, "losses", IMAGES);
    for (size_t part = 0; part < channels / CHANNELS; part++) {
        double off = 0, all = 0;
        for (size_t i = 0; i < count; i++) {
            if (i % channels / CHANNELS != part) continue;
            off += ((double)gradient[i] - want[i]) * ((double)gradient[i] - want[i]);
            all += (double)want[i] * want[i];
        }
        double error = sqrt(off / all);
        if (getenv("GOLDEN_VERBOSE"))
            printf("losses: %s, part %zu: error %.2g\n", name, part, error);
        ck_assert_msg(error < gradient_bound,
                      "%s: the gradient's part %zu is off by %.3g of its norm", name, part, error);
    }
    for (int k = 0; k < IMAGES; k++)
        ck_assert_msg(fabs(losses[k] / (double)sums[k] - 1) < loss_bound,
                      "%s: the loss of image %d is %.9g, not %.9g", name, k, losses[k],
                      (double)sums[k]);
    free(want);
    free(sums);
}

static const double deltas[] = {0.03, 0.3, 30};

START_TEST(huber) {
    static float output[ALL], target[ALL], gradient[ALL];
    char name[32];
    double losses[IMAGES];
    dmi_loss_term terms[IMAGES];
    for (int k = 0; k < IMAGES; k++)
        terms[k] = (dmi_loss_term){.weight = 1, .importance_weight = 1};
    golden_fill(output, ALL, 1, "losses", "output");
    golden_fill(target, ALL, 1, "losses", "eps");
    dmi_loss loss = {.kernels = context->kernels,
                     .kind = DM_LOSS_PSEUDO_HUBER,
                     .huber_delta = deltas[_i],
                     .values = values,
                     .images = IMAGES,
                     .elements = N,
                     .channels = CHANNELS,
                     .input_channels = CHANNELS};
    dmi_loss_run(context->host.pool, &loss, terms, gradient, output, target, NULL, losses);
    snprintf(name, sizeof name, "huber-%g", deltas[_i]);
    compare(name, gradient, CHANNELS, losses);
}
END_TEST

static const int32_t timesteps[] = {0, 1, 20, 500, 999};

START_TEST(hybrid) {
    static float x_0[ALL], eps[ALL], x_t[ALL], guess[ALL], share[ALL], output[2 * ALL],
        gradient[2 * ALL], scratch[64 * 2 * N];
    int32_t t = timesteps[_i];
    char name[32];
    double losses[IMAGES], a = schedule->alpha_cumprod[t];
    dmi_loss_term terms[IMAGES];
    for (int k = 0; k < IMAGES; k++)
        terms[k] = (dmi_loss_term){.weight = 0.5 + k,
                                   .importance_weight = 1 + 0.25 * k,
                                   .bound = dmi_loss_bound(schedule, t)};
    golden_fill(x_0, ALL, 1.1f, "losses", "x_0");
    golden_fill(eps, ALL, 1.7f, "losses", "eps");
    golden_fill(guess, ALL, 1, "losses", "output");
    golden_fill(share, ALL, 1, "losses", "share");
    for (size_t i = 0; i < ALL; i++) {
        size_t pixel = i / CHANNELS, c = i % CHANNELS;
        x_0[i] = (float)(fmin(fmax(rint(((double)x_0[i] + 1) * 127.5), 0), 255) / 127.5 - 1);
        x_t[i] = (float)(sqrt(a) * x_0[i] + sqrt(1 - a) * eps[i]);
        output[pixel * 2 * CHANNELS + c] = eps[i] + 0.2f * guess[i];
        output[pixel * 2 * CHANNELS + CHANNELS + c] = share[i];
    }
    ck_assert_int_le(dm_context_threads(context), 64);
    dmi_loss loss = {.kernels = context->kernels,
                     .kind = DM_LOSS_HYBRID,
                     .bound_factor = lambda / log(2),
                     .values = values,
                     .images = IMAGES,
                     .elements = N,
                     .channels = CHANNELS,
                     .input_channels = CHANNELS,
                     .scratch = scratch};
    dmi_loss_run(context->host.pool, &loss, terms, gradient, output, eps, x_t, losses);
    snprintf(name, sizeof name, "hybrid-%d", (int)t);
    compare(name, gradient, 2 * CHANNELS, losses);
}
END_TEST

Suite *test_losses_torch_suite(void);

Suite *test_losses_torch_suite(void) {
    Suite *suite = suite_create("losses_torch");
    TCase *tcase = tcase_create("against PyTorch");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, huber, 0, (int)(sizeof deltas / sizeof *deltas));
    tcase_add_loop_test(tcase, hybrid, 0, (int)(sizeof timesteps / sizeof *timesteps));
    suite_add_tcase(suite, tcase);
    return suite;
}
