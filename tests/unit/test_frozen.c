/* SPDX-License-Identifier: MIT */
/* Frozen parameters: where they lie in the blocks, that they get no gradient, and that no training
 * changes them. */
#include "autograd/ops.h"
#include "optim/adamw.h"
#include "support/training.h"
#include "train/trainer.h"

enum { PARAMS = 4 };

static const int64_t lengths[PARAMS] = {5, 20, 33, 7};

/* Declares vectors of these lengths and freezes the second before the others are declared, the last
 * one behind them. */
static void declare(dmi_host *host, dmi_params *params) {
    dmi_params_init(params);
    for (int32_t i = 0; i < PARAMS; i++) {
        int32_t index;
        char name[16];
        snprintf(name, sizeof name, "p%d", (int)i);
        ck_assert_int_eq(dmi_params_add(host, params, &index, name, 1, &lengths[i], false), DMI_OK);
        ck_assert_int_eq(index, i);
        if (i == 1 || i == 3) dmi_params_freeze(params, index);
    }
}

START_TEST(frozen_parameters_lie_behind_the_others) {
    static const size_t offsets[PARAMS] = {0, 64, 16, 96};
    dmi_host *host = test_host_new(1);
    dmi_params params;
    declare(host, &params);
    ck_assert_uint_eq(params.trained_floats, 64);
    ck_assert_uint_eq(params.floats, 112);
    ck_assert_uint_eq(params.elements, 65);
    ck_assert_int_eq(dmi_params_allocate(host, &params), DMI_OK);
    for (int32_t i = 0; i < PARAMS; i++) {
        ck_assert_uint_eq(params.items[i].offset, offsets[i]);
        ck_assert_int_eq(params.items[i].name[1], '0' + i);
        ck_assert_int_eq(params.items[i].frozen, i == 1 || i == 3);
    }
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

/* y = x W + bias with a frozen bias: x and W get their gradients, the bias's block is left alone.
 */
START_TEST(frozen_parameters_get_no_gradient) {
    dmi_host *host = test_host_new(1);
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, weight, bias, y;
    int32_t index;
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_params_add(host, &params, &index, "b", 1, (int64_t[]){2}, false), DMI_OK);
    dmi_params_freeze(&params, index);
    ck_assert_int_eq(dmi_params_add(host, &params, &index, "w", 2, (int64_t[]){2, 3}, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &x, dmi_shape_of(1, 1, 1, 3), true), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(graph, &bias, 0), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(graph, &weight, 1), DMI_OK);
    ck_assert_int_eq(dmi_linear(graph, &y, x, weight, bias), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate(host, &params), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate_gradient(host, &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_plan(graph, &y, 1, true), DMI_OK);
    for (size_t i = 0; i < params.floats; i++) params.data[i] = (float)i;
    for (size_t i = 0; i < params.floats; i++) params.gradient[i] = 7;
    for (int32_t i = 0; i < 3; i++) dmi_graph_data(graph, x)[i] = 1 + (float)i;
    dmi_graph_forward(graph);
    ck_assert(dmi_graph_data(graph, y)[0] == 1 * 0 + 2 * 2 + 3 * 4 + 16);
    dmi_graph_gradient(graph, y)[0] = 1;
    dmi_graph_gradient(graph, y)[1] = 0;
    dmi_graph_backward(graph);
    ck_assert_ptr_null(dmi_graph_gradient(graph, bias));
    for (int32_t i = 0; i < 3; i++) {
        ck_assert(dmi_graph_gradient(graph, x)[i] == (float)(2 * i));
        ck_assert(dmi_graph_gradient(graph, weight)[2 * i] == (float)(1 + i));
    }
    for (size_t i = params.trained_floats; i < params.floats; i++)
        ck_assert(params.gradient[i] == 7);
    dmi_graph_destroy(graph);
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

/* With weight decay, either kind of it, and gradients everywhere: the frozen part keeps its bits,
 * every element of the others moves. */
START_TEST(no_step_changes_them) {
    dmi_host *host = test_host_new(2);
    dmi_params params;
    float moment1[112] = {0}, moment2[112] = {0}, ema[112], start[112];
    declare(host, &params);
    ck_assert_int_eq(dmi_params_allocate(host, &params), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate_gradient(host, &params), DMI_OK);
    test_fill(params.data, params.floats, 1, 1);
    memcpy(start, params.data, sizeof start);
    memcpy(ema, params.data, sizeof ema);
    dmi_adamw_settings settings = {
        .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .l2 = _i};
    dmi_adamw_blocks blocks = {.weights = params.data,
                               .moment1 = moment1,
                               .moment2 = moment2,
                               .emas = {ema},
                               .ema_weights = {0.5f},
                               .gradient = params.gradient,
                               .floats = params.trained_floats};
    for (uint64_t step = 1; step <= 5; step++) {
        dmi_adamw at = dmi_adamw_at(&settings, step, 1e-2, 1);
        test_fill(params.gradient, params.floats, 10 + step, 1);
        dmi_adamw_step(host->pool, dmi_kernels_for(0), &blocks, &at);
    }
    for (size_t i = 0; i < params.floats; i++) {
        bool trained = i < params.trained_floats;
        ck_assert((params.data[i] != start[i]) == trained && (ema[i] != start[i]) == trained);
        ck_assert((moment2[i] != 0) == trained);
    }
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

/* A network whose last parameter is frozen after it was made, which moves none of them. */
START_TEST(no_training_changes_them) {
    training t;
    training_setup setup = training_default();
    setup.options.weight_decay = 0.1;
    setup.options.optimizer = _i ? DM_OPTIMIZER_ADAM : DM_OPTIMIZER_ADAMW;
    training_prepare(&t, &setup);
    dmi_params *params = &t.unet->weights->params;
    const dmi_param *last = &params->items[params->count - 1];
    dmi_params_freeze(params, params->count - 1);
    ck_assert_uint_eq(params->trained_floats, last->offset);
    for (size_t i = 0; i < last->count; i++) params->data[last->offset + i] = 0.25f;
    float *start = training_weights(&t);
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    dm_train_stats stats = {.struct_size = sizeof stats};
    /* What no graph writes: it must not count in the norm. */
    for (size_t i = 0; i < last->count; i++) params->gradient[last->offset + i] = 1e30f;
    for (int32_t i = 0; i < 3; i++) training_require(&t, dm_trainer_step(t.trainer, &stats));
    ck_assert_double_lt(stats.gradient_norm, 1e6);
    ck_assert_mem_eq(params->data + last->offset, start + last->offset,
                     last->count * sizeof *start);
    ck_assert_mem_eq(t.trainer->ema[0] + last->offset, start + last->offset,
                     last->count * sizeof *start);
    for (size_t i = 0; i < params->items[0].count; i++)
        ck_assert(params->data[params->items[0].offset + i] != start[params->items[0].offset + i]);
    free(start);
    training_end(&t);
}
END_TEST

Suite *test_frozen_suite(void);
Suite *test_frozen_suite(void) {
    Suite *suite = suite_create("frozen");
    TCase *tcase = tcase_create("frozen");
    tcase_add_test(tcase, frozen_parameters_lie_behind_the_others);
    tcase_add_test(tcase, frozen_parameters_get_no_gradient);
    tcase_add_loop_test(tcase, no_step_changes_them, 0, 2);
    tcase_add_loop_test(tcase, no_training_changes_them, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
