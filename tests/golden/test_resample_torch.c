/* SPDX-License-Identifier: MIT */
/* Resampling and the other operations of score networks against PyTorch: cases of make_ops.py. */
#include "golden/trial.h"

static const struct {
    const char *name;
    int32_t kind, h, w;
} resample_cases[] = {{"mean", DMI_RESAMPLE_MEAN, 6, 4},
                      {"nearest", DMI_RESAMPLE_NEAREST, 3, 5},
                      {"fir_down", DMI_RESAMPLE_FIR_DOWN, 6, 4},
                      {"fir_up", DMI_RESAMPLE_FIR_UP, 3, 5}};

static void one_resample(int32_t i, int32_t isa, bool train) {
    trial t;
    dmi_value out;
    begin(&t, resample_cases[i].name, isa, train, direct_bound);
    dmi_value x =
        input(&t, "x", dmi_shape_of(2, resample_cases[i].h, resample_cases[i].w, 19), 1, 0);
    require(&t, dmi_resample(t.graph, &out, x, resample_cases[i].kind));
    run_case(&t, out);
}

START_TEST(resample) { for_each_mode(one_resample, _i); }
END_TEST

static void one_with_constants(int32_t i, int32_t isa, bool train) {
    static const char *const names[] = {"affine", "divide"};
    dmi_shape shape = i ? dmi_shape_of(3, 5, 7, 6) : dmi_shape_of(2, 5, 7, 3);
    trial t;
    dmi_value out;
    begin(&t, names[i], isa, train, direct_bound);
    dmi_value x = input(&t, "x", shape, 1, 0);
    if (i) {
        dmi_value when = input(&t, "t", dmi_shape_of(3, 1, 1, 1), 0.9f, 1);
        require(&t, dmi_divide_by_time(t.graph, &out, x, when));
    } else {
        require(&t, dmi_affine(t.graph, &out, x, -0.3f, 0.7f));
    }
    run_case(&t, out);
}

START_TEST(with_constants) { for_each_mode(one_with_constants, _i); }
END_TEST

/* PyTorch's angles of up to a thousand radians are floats, as here; its sines and its sum over the
 * frequencies too, unlike here. */
static void one_fourier(int32_t i, int32_t isa, bool train) {
    static const float levels[] = {0.01f, 0.37f, 1, 5.5f, 50, 380};
    const int64_t shape[4] = {24, 1, 1, 1};
    int32_t index;
    trial t;
    dmi_value out, weight;
    (void)i;
    begin(&t, "fourier", isa, train, direct_bound);
    dmi_value when = input(&t, "t", dmi_shape_of(6, 1, 1, 1), 1, 0);
    require(&t, dmi_params_add(t.host, &t.params, &index, "weight", 1, shape, true));
    dmi_params_freeze(&t.params, index);
    require(&t, dmi_graph_param(t.graph, &weight, index));
    require(&t, dmi_fourier(t.graph, &out, when, weight));
    plan(&t, out);
    golden_fill(dmi_graph_data(t.graph, weight), 24, 40, "fourier", "weight");
    memcpy(dmi_graph_data(t.graph, when), levels, sizeof levels);
    run(&t, out);
    finish(&t);
}

START_TEST(fourier) { for_each_mode(one_fourier, 0); }
END_TEST

Suite *test_resample_torch_suite(void);
Suite *test_resample_torch_suite(void) {
    Suite *suite = suite_create("resample_torch");
    TCase *tcase = tcase_create("against PyTorch");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, resample, 0, COUNT(resample_cases));
    tcase_add_loop_test(tcase, with_constants, 0, 2);
    tcase_add_test(tcase, fourier);
    suite_add_tcase(suite, tcase);
    return suite;
}
