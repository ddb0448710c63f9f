/* SPDX-License-Identifier: MIT */
/* The options of a network: ranges, presets and their numbers of parameters, and what a network
 * reports. */
#include "diffusion.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"

typedef struct change {
    size_t member; /* its offset */
    bool real;
    double value;
} change;

#define WHOLE(name, v)                                                                             \
    { offsetof(dm_unet_options, name), false, v }
#define REAL(name, v)                                                                              \
    { offsetof(dm_unet_options, name), true, v }
#define NONE                                                                                       \
    { 0, false, 0 }

/* Changes to the defaults, and what the refusal says. */
typedef struct refusal {
    change changes[2];
    const char *words;
} refusal;

static const refusal refusals[] = {
    {{WHOLE(height, 36), NONE}, "unet: 'height' is 36|4 'levels'|multiple of 8"},
    {{WHOLE(width, 20), NONE}, "unet: 'width' is 20|4 'levels'|multiple of 8"},
    {{WHOLE(height, 0), NONE}, "'height' is 0|1 to 4096"},
    {{WHOLE(width, -8), NONE}, "'width' is -8|1 to 4096"},
    {{WHOLE(width, 4104), NONE}, "'width' is 4104|1 to 4096"},
    {{WHOLE(height, INT32_MIN), NONE}, "'height' is -2147483648"},
    {{WHOLE(in_channels, 0), NONE}, "'in_channels' is 0|1 to 64"},
    {{WHOLE(in_channels, 65), NONE}, "'in_channels' is 65"},
    {{WHOLE(out_channels, -1), NONE}, "'out_channels' is -1|1 to 64"},
    {{WHOLE(out_channels, INT32_MAX), NONE}, "'out_channels' is 2147483647"},
    {{WHOLE(levels, 0), NONE}, "'levels' is 0|1 to 8"},
    {{WHOLE(levels, 9), NONE}, "'levels' is 9|1 to 8"},
    {{WHOLE(levels, 5), NONE}, "'channels' is 0 at level 4|1 to 8192"},
    {{WHOLE(channels[0], 0), NONE}, "'channels' is 0 at level 0"},
    {{WHOLE(channels[3], 8224), NONE}, "'channels[3]' is 8224|8192"},
    {{WHOLE(channels[1], 100), NONE}, "'norm_groups' is 32|divide|'channels' (100 at level 1)"},
    {{WHOLE(norm_groups, 30), NONE}, "'norm_groups' is 30|64 at level 0"},
    {{WHOLE(norm_groups, -4), NONE}, "'norm_groups' is -4"},
    {{WHOLE(channels[0], 1), WHOLE(norm_groups, 1)}, "'channels' is 1 at level 0|at least 2"},
    {{WHOLE(channels[1], 130), WHOLE(norm_groups, 0)}, "194 channels|level 0|32 groups"},
    {{WHOLE(channels[0], 3), WHOLE(norm_groups, 0)},
     "3 channels|level 0|'norm_groups' 0|at least 4"},
    {{WHOLE(blocks[0], 0), NONE}, "'blocks' is 0 at level 0|1 to 16"},
    {{WHOLE(blocks[3], 17), NONE}, "'blocks[3]' is 17|16"},
    {{WHOLE(attention[2], 2), NONE}, "'attention[2]' is 2|0 to 1"},
    {{WHOLE(attention[0], -1), NONE}, "'attention[0]' is -1"},
    {{WHOLE(mid_attention, 2), NONE}, "'mid_attention' is 2"},
    {{WHOLE(attention_head_size, -1), NONE}, "'attention_head_size' is -1"},
    {{WHOLE(attention_head_size, 129), NONE},
     "'attention_head_size' is 129|at most|128 at level 1"},
    {{WHOLE(attention_head_size, 129), WHOLE(attention[1], 0)},
     "'attention_head_size' is 129|128 at level 3"},
    {{WHOLE(attention_head_size, 129), WHOLE(up_attention[1], 1)},
     "'attention_head_size' is 129|128 at level 1"},
    {{REAL(norm_eps, 0), NONE}, "'norm_eps' is 0|from 1e-12 to 1"},
    {{REAL(norm_eps, -1e-6), NONE}, "'norm_eps' is -|from 1e-12 to 1"},
    {{REAL(norm_eps, 9.9e-13), NONE}, "'norm_eps' is|from 1e-12 to 1"},
    {{REAL(norm_eps, 1.5), NONE}, "'norm_eps' is 1.5"},
    {{REAL(norm_eps, NAN), NONE}, "'norm_eps' is NaN"},
    {{REAL(norm_eps, INFINITY), NONE}, "'norm_eps' is not finite"},
    {{REAL(dropout, 1), NONE}, "'dropout' is 1|0.99999994"},
    {{REAL(dropout, -0.5), NONE}, "'dropout' is -0.5"},
    {{REAL(dropout, NAN), NONE}, "'dropout' is NaN"},
    {{WHOLE(time_embedding, 3), NONE}, "'time_embedding' is 3|2 (add_output)"},
    {{WHOLE(time_embedding, -1), NONE}, "'time_embedding' is -1"},
    {{WHOLE(time_channels, -1), NONE}, "'time_channels' is -1"},
    {{WHOLE(time_channels, 32769), NONE}, "'time_channels' is 32769"},
    {{REAL(time_frequency_shift, 32), NONE}, "'time_frequency_shift' is 32|(32)"},
    {{REAL(time_frequency_shift, 32.5), NONE}, "'time_frequency_shift' is 32.5|overflow"},
    {{WHOLE(down_resample[0], 4), NONE}, "'down_resample[0]' is 4|3 (skip)"},
    {{WHOLE(up_resample[7], -1), NONE}, "'up_resample[7]' is -1"},
    {{WHOLE(down_resample[1], 3), NONE}, "'down_resample' is skip at level 1 and not at level 0"},
    {{WHOLE(up_resample[3], 3), NONE}, "'up_resample' is skip at level 3 and not at level 2"},
    {{WHOLE(up_attention[1], 2), NONE}, "'up_attention[1]' is 2|-1 to 1"},
    {{WHOLE(mid_block, 2), NONE}, "'mid_block' is 2"},
    {{REAL(mid_scale, 0), NONE}, "'mid_scale' is 0|from 1e-06 to 1000000"},
    {{REAL(mid_scale, 9.9e-7), NONE}, "'mid_scale' is|from 1e-06 to 1000000"},
    {{WHOLE(mid_norm_groups, -2), NONE}, "'mid_norm_groups' is -2"},
    {{WHOLE(mid_norm_groups, 48), NONE}, "'mid_norm_groups' is 48|divide|128"},
    {{WHOLE(activation, 0), NONE}, "'activation' is 0|1 (silu)"},
    {{WHOLE(time_features, 3), NONE}, "'time_features' is 3|2 (learned)"},
    {{WHOLE(time_steps, 0), NONE}, "'time_steps' is 0"},
    {{WHOLE(center_input, 2), NONE}, "'center_input' is 2"},
    {{WHOLE(null_row, -1), NONE}, "'null_row' is -1"},
    {{WHOLE(condition_channels, 65), NONE}, "'condition_channels' is 65"},
    {{WHOLE(condition_size, 65537), NONE}, "'condition_size' is 65537"},
    {{WHOLE(condition_embedding, 3), NONE}, "'condition_embedding' is 3"},
    {{WHOLE(condition_embedding, 1), WHOLE(condition_size, 255)}, "'condition_size' is 255|256"},
    {{WHOLE(condition_embedding, 2), WHOLE(condition_size, 2)}, "'condition_size' is 2|be 1"},
    {{REAL(time_frequency_shift, -1), NONE}, "'time_frequency_shift' is -1"},
    {{REAL(time_frequency_shift, NAN), NONE}, "'time_frequency_shift' is NaN"},
    {{REAL(time_frequency_shift, 1), WHOLE(channels[0], 2)}, "'norm_groups' is 32|2 at level 0"},
    {{WHOLE(time_cos_first, 2), NONE}, "'time_cos_first' is 2"},
    {{WHOLE(downsample_padding, 2), NONE}, "'downsample_padding' is 2"},
    {{WHOLE(downsample_padding, -1), NONE}, "'downsample_padding' is -1"},
    {{WHOLE(classes, -1), NONE}, "'classes' is -1"},
    {{WHOLE(classes, 1000001), NONE}, "'classes' is 1000001"},
    {{WHOLE(prediction, 6), NONE}, "'prediction' is 6"},
    {{WHOLE(prediction, -1), NONE}, "'prediction' is -1"},
    {{WHOLE(struct_size, 2), NONE}, "dm_unet_options|'struct_size' is 2|init function"},
};

static void apply(dm_unet_options *options, const change *c) {
    if (c->member == 0 && c->value == 0) return;
    int32_t whole = (int32_t)c->value;
    float real = (float)c->value;
    if (c->real) memcpy((char *)options + c->member, &real, sizeof real);
    else memcpy((char *)options + c->member, &whole, sizeof whole);
}

START_TEST(options_that_are_refused) {
    const refusal *r = &refusals[_i];
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o;
    dm_unet *unet = (dm_unet *)&o;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    apply(&o, &r->changes[0]);
    apply(&o, &r->changes[1]);
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, dm_unet_create(&unet, context, &o, 0), DM_ERROR_INVALID_ARGUMENT,
                 r->words);
    ck_assert_ptr_null(unet);
    test_untouched_end(&untouched);
    dm_context_destroy(context);
}
END_TEST

/* The ends of ranges, and entries that are not looked at. */
START_TEST(options_that_are_accepted) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o;
    dm_unet *unet;
    float x[2] = {0.5f, -0.5f}, t = 3, y[1];
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.height = 1, o.width = 2;
    o.in_channels = 1, o.out_channels = 1;
    o.levels = 1;
    o.channels[0] = 2, o.channels[1] = 0;
    o.blocks[1] = 0, o.attention[1] = 0;
    o.mid_attention = 0, o.attention_head_size = 5; /* no level has attention */
    o.norm_groups = 2;
    o.norm_eps = 1;
    o.dropout = 0.99f;
    o.time_frequency_shift = 0.99f;
    o.time_channels = 1;
    o.classes = 1;
    float out[2];
    test_accepted(context, dm_unet_create(&unet, context, &o, 0));
    test_accepted(context, network_forward(unet, out, x, &t, NULL, 1));
    ck_assert(isfinite(out[0]) && isfinite(out[1]));
    dm_unet_destroy(unet);
    o.width = 1;
    o.norm_eps = 1e-12f;
    o.mid_scale = 1e-6f;
    test_accepted(context, dm_unet_create(&unet, context, &o, 0));
    test_accepted(context, network_forward(unet, y, x, &t, NULL, 1));
    ck_assert(isfinite(y[0]));
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

static uint64_t parameters_of(dm_context *context, const dm_unet_options *options) {
    dm_unet *unet;
    test_accepted(context, dm_unet_create(&unet, context, options, 0));
    uint64_t count = dm_unet_parameter_count(unet);
    dm_unet_destroy(unet);
    return count;
}

/* Counts by PyTorch of the same networks in diffusers; the small preset's, whose time embedding
 * diffusers lacks, from that of the defaults: 128 channels instead of 256 take 57600 from the
 * embedding, 128 x 2496 from the 22 blocks. */
START_TEST(presets) {
    static const struct {
        int32_t preset;
        uint64_t parameters;
    } cases[] = {{DM_PRESET_TINY, 1113955},
                 {DM_PRESET_SMALL, 8952067 - 57600 - 128 * 2496},
                 {DM_PRESET_DDPM_CIFAR10, 35746307}};
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, cases[i].preset), DM_OK);
        ck_assert_uint_eq(o.struct_size, sizeof o);
        ck_assert_uint_eq(parameters_of(context, &o), cases[i].parameters);
    }
    ck_assert_uint_eq(parameters_of(context, NULL), 8952067);
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, -1), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, 5), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_preset(NULL, sizeof o, DM_PRESET_TINY),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_init(NULL, sizeof o), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_init(&o, 2), DM_ERROR_INVALID_ARGUMENT);
    dm_context_destroy(context);
}
END_TEST

START_TEST(options_can_be_read) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    dm_unet_options want = network_options(), got;
    test_accepted(context, dm_unet_get_options(unet, &got, sizeof got));
    ck_assert_mem_eq(&got, &want, sizeof want);
    memset(&got, 0x55, sizeof got);
    test_accepted(context, dm_unet_get_options(unet, &got, offsetof(dm_unet_options, levels)));
    ck_assert_int_eq(got.out_channels, NETWORK_CHANNELS);
    ck_assert_int_eq(got.levels, 0x55555555);
    ck_assert_int_eq(dm_unet_get_options(NULL, &got, sizeof got), DM_ERROR_INVALID_ARGUMENT);
    test_refused(context, dm_unet_get_options(unet, NULL, sizeof got), DM_ERROR_INVALID_ARGUMENT,
                 "dm_unet_options|NULL");
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* The mid block and the output have norm_groups where all levels have groups of their own, and so
 * has a level of the decoder that reads from one of NCSN++. */
START_TEST(norms_beside_levels_of_ncsn) {
    dm_context *context;
    dm_unet *unet;
    dm_unet_options o;
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.levels = 2;
    o.channels[0] = 12, o.channels[1] = 16;
    o.attention[1] = o.mid_attention = 0;
    for (int32_t i = 0; i < 2; i++) o.down_resample[i] = o.up_resample[i] = DM_RESAMPLE_SKIP;
    o.norm_groups = 3;
    test_refused(context, dm_unet_create(&unet, context, &o, 0), DM_ERROR_INVALID_ARGUMENT,
                 "'norm_groups' is 3|'channels' (16 at level 1)");
    o.mid_block = 0;
    test_accepted(context, dm_unet_create(&unet, context, &o, 0));
    dm_unet_destroy(unet);
    o.norm_groups = 8;
    test_refused(context, dm_unet_create(&unet, context, &o, 0), DM_ERROR_INVALID_ARGUMENT,
                 "'norm_groups' is 8|'channels' (12 at level 0)");
    o.channels[1] = 3;
    test_refused(context, dm_unet_create(&unet, context, &o, 0), DM_ERROR_INVALID_ARGUMENT,
                 "3 channels|the encoder's level 1|skip|at least 4");
    o.channels[1] = 16;
    o.up_resample[1] = DM_RESAMPLE_CONV;
    test_refused(context, dm_unet_create(&unet, context, &o, 0), DM_ERROR_INVALID_ARGUMENT,
                 "'norm_groups' is 8|'channels' (12 at level 0)");
    dm_context_destroy(context);
}
END_TEST

Suite *test_unet_options_suite(void);
Suite *test_unet_options_suite(void) {
    Suite *suite = suite_create("unet_options");
    TCase *tcase = tcase_create("unet_options");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, options_that_are_refused, 0,
                        (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tcase, options_that_are_accepted);
    tcase_add_test(tcase, options_can_be_read);
    tcase_add_test(tcase, norms_beside_levels_of_ncsn);
    suite_add_tcase(suite, tcase);
    TCase *slow = tcase_create("presets");
    tcase_set_timeout(slow, 30);
    tcase_set_tags(slow, "slow"); /* under a memory checker */
    tcase_add_test(slow, presets);
    suite_add_tcase(suite, slow);
    return suite;
}
