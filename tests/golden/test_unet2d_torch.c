/* SPDX-License-Identifier: MIT */
/* Networks of diffusers' UNet2DModel, of random configurations: outputs, gradients of the input and
 * of every parameter against PyTorch in double precision, and initial weights (make_unet2d.py). */
#include "base/cpu.h"
#include "golden/golden_network.h"

enum { IMAGES = 2, CASES = 30, INITIAL = 10 };

static void begin(golden_network *f, char name[16], int32_t number, int32_t isa) {
    snprintf(name, 16, "case%02d", (int)number);
    golden_network_begin(f, "unet2d.safetensors", name, isa);
    /* As in test_unet_torch.c; inputs of Fourier features and of frequencies that rise are rounded
     * to float by PyTorch too, before their sines are taken. */
    f->output_bound = 1e-5, f->gradient_bound = 6e-5;
}

static void run_case(int32_t number, int32_t isa, int32_t recompute) {
    golden_network f;
    char name[16];
    begin(&f, name, number, isa);
    golden_network_run(&f, IMAGES, recompute);
    golden_network_end(&f);
}

START_TEST(random_networks) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++)
        run_case(_i, isa, DM_RECOMPUTE_NONE);
    run_case(_i, dmi_cpu_isa(), DM_RECOMPUTE_BLOCKS);
}
END_TEST

/* PyTorch's initial weights, to the rounding of a digest's sums. */
START_TEST(initial_weights) {
    golden_network f;
    char name[16], line[GOLDEN_LINE];
    begin(&f, name, _i, dmi_cpu_isa());
    golden_network_require(&f, dm_unet_initialize(f.unet, DM_INITIALIZATION_TORCH, (uint64_t)_i));
    const dmi_params *params = &f.unet->weights->params;
    const char *names = golden_network_text(&f, "parameters");
    size_t tensors = (size_t)params->count, i = 0;
    float *digests = golden_read(f.file, f.name, "initial", tensors * GOLDEN_DIGEST);
    for (; golden_line(&names, line); i++) {
        int32_t index = dmi_params_find(params, line);
        ck_assert_msg(index >= 0, "%s: the network has no '%s'", f.name, line);
        const dmi_param *p = &params->items[index];
        float *got = golden_floats(p->count);
        dmi_params_export(p, params->data, got);
        golden_network_check(&f, line,
                             golden_digest_error(line, got, p->count, digests + i * GOLDEN_DIGEST,
                                                 1e-3),
                             1e-6);
        free(got);
    }
    ck_assert_uint_eq(i, tensors);
    free(digests);
    golden_network_end(&f);
}
END_TEST

Suite *test_unet2d_torch_suite(void);
Suite *test_unet2d_torch_suite(void) {
    Suite *suite = suite_create("unet2d_torch");
    TCase *tcase = tcase_create("unet2d_torch");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, random_networks, 0, CASES);
    tcase_add_loop_test(tcase, initial_weights, 0, INITIAL);
    suite_add_tcase(suite, tcase);
    return suite;
}
