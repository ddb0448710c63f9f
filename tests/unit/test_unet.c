/* The network through its public functions: options, tensors, seeds, running it. Its arithmetic is
 * proven against PyTorch in tests/golden/, its files and its memory in test_unet_file.c. */
#include "base/cpu.h"
#include "core/context.h"
#include "diffusion.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "unet/unet.h"

/* ---- options ---- */

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
    {{WHOLE(channels[3], 8224), NONE}, "'channels' is 8224 at level 3"},
    {{WHOLE(channels[1], 100), NONE}, "'norm_groups' is 32|divide|'channels' (100 at level 1)"},
    {{WHOLE(norm_groups, 30), NONE}, "'norm_groups' is 30|64 at level 0"},
    {{WHOLE(norm_groups, 0), NONE}, "'norm_groups' is 0"},
    {{WHOLE(norm_groups, -4), NONE}, "'norm_groups' is -4"},
    {{WHOLE(channels[0], 63), WHOLE(norm_groups, 1)}, "'channels' begins with 63|even"},
    {{WHOLE(blocks[0], 0), NONE}, "'blocks' is 0 at level 0|1 to 16"},
    {{WHOLE(blocks[3], 17), NONE}, "'blocks' is 17 at level 3"},
    {{WHOLE(attention[2], 2), NONE}, "'attention' is 2 at level 2|0 to 1"},
    {{WHOLE(attention[0], -1), NONE}, "'attention' is -1 at level 0"},
    {{WHOLE(mid_attention, 2), NONE}, "'mid_attention' is 2"},
    {{WHOLE(attention_head_size, -1), NONE}, "'attention_head_size' is -1"},
    {{WHOLE(attention_head_size, 48), NONE}, "'attention_head_size' is 48|divide|128 at level 1"},
    {{WHOLE(attention_head_size, 48), WHOLE(attention[1], 0)},
     "'attention_head_size' is 48|128 at level 3"},
    {{WHOLE(attention_head_size, 256), NONE}, "'attention_head_size' is 256"},
    {{REAL(norm_eps, 0), NONE}, "'norm_eps' is 0|above 0"},
    {{REAL(norm_eps, -1e-6), NONE}, "'norm_eps' is -1e-06"},
    {{REAL(norm_eps, 1.5), NONE}, "'norm_eps' is 1.5"},
    {{REAL(norm_eps, NAN), NONE}, "'norm_eps' is |nan"},
    {{REAL(norm_eps, INFINITY), NONE}, "'norm_eps' is inf"},
    {{REAL(dropout, 1), NONE}, "'dropout' is 1|below 1"},
    {{REAL(dropout, -0.5), NONE}, "'dropout' is -0.5"},
    {{REAL(dropout, NAN), NONE}, "'dropout' is |nan"},
    {{WHOLE(time_embedding, 3), NONE}, "'time_embedding' is 3|0 to 2"},
    {{WHOLE(time_embedding, -1), NONE}, "'time_embedding' is -1"},
    {{WHOLE(time_channels, -1), NONE}, "'time_channels' is -1"},
    {{WHOLE(time_channels, 32769), NONE}, "'time_channels' is 32769"},
    {{REAL(time_frequency_shift, 32), NONE}, "'time_frequency_shift' is 32|(32)"},
    {{REAL(time_frequency_shift, -1), NONE}, "'time_frequency_shift' is -1"},
    {{REAL(time_frequency_shift, NAN), NONE}, "'time_frequency_shift' is |nan"},
    {{REAL(time_frequency_shift, 1), WHOLE(channels[0], 2)}, "'norm_groups' is 32|2 at level 0"},
    {{WHOLE(time_cos_first, 2), NONE}, "'time_cos_first' is 2"},
    {{WHOLE(downsample_padding, 2), NONE}, "'downsample_padding' is 2"},
    {{WHOLE(downsample_padding, -1), NONE}, "'downsample_padding' is -1"},
    {{WHOLE(classes, -1), NONE}, "'classes' is -1"},
    {{WHOLE(classes, 1000001), NONE}, "'classes' is 1000001"},
    {{WHOLE(prediction, 5), NONE}, "'prediction' is 5"},
    {{WHOLE(prediction, -1), NONE}, "'prediction' is -1"},
    {{WHOLE(struct_size, 2), NONE}, "dm_unet_options|'struct_size' is 2|dm_unet_options_init"},
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
    o.channels[0] = 2, o.channels[1] = -7;
    o.blocks[1] = 99, o.attention[1] = 99;
    o.mid_attention = 0, o.attention_head_size = 5; /* no level has attention */
    o.norm_groups = 2;
    o.norm_eps = 1;
    o.dropout = 0.99f;
    o.time_frequency_shift = 0.99f;
    o.time_channels = 1;
    o.classes = 1;
    float out[2];
    test_accepted(context, dm_unet_create(&unet, context, &o, 0));
    test_accepted(context, dm_unet_forward(unet, out, x, &t, NULL, 1));
    ck_assert(isfinite(out[0]) && isfinite(out[1]));
    dm_unet_destroy(unet);
    o.width = 1;
    test_accepted(context, dm_unet_create(&unet, context, &o, 0));
    test_accepted(context, dm_unet_forward(unet, y, x, &t, NULL, 1));
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
 * diffusers lacks, from that of the defaults: 128 channels in place of 256 take 57600 from the
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
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, 3), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_preset(NULL, sizeof o, DM_PRESET_TINY),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_init(NULL, sizeof o), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_options_init(&o, 2), DM_ERROR_INVALID_ARGUMENT);
    dm_context_destroy(context);
}
END_TEST

START_TEST(options_come_back) {
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

/* ---- tensors ---- */

START_TEST(tensors_are_listed) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    dm_tensor_info info, other;
    size_t count = dm_unet_tensor_count(unet);
    uint64_t elements = 0;
    for (size_t i = 0; i < count; i++) {
        info = (dm_tensor_info){.struct_size = sizeof info};
        test_accepted(context, dm_unet_tensor_info(unet, i, &info));
        uint64_t product = 1;
        for (int32_t k = 0; k < 4; k++) {
            ck_assert_int_ge(info.shape[k], 1);
            if (k >= info.rank) ck_assert_int_eq(info.shape[k], 1);
            product *= (uint64_t)info.shape[k];
        }
        ck_assert_uint_eq(product, info.elements);
        elements += product;
        for (size_t k = 0; k < i; k++) {
            other = (dm_tensor_info){.struct_size = sizeof other};
            test_accepted(context, dm_unet_tensor_info(unet, k, &other));
            ck_assert_str_ne(info.name, other.name);
        }
    }
    ck_assert_uint_eq(elements, dm_unet_parameter_count(unet));
    ck_assert_str_eq(info.name, "conv_out.bias");
    test_accepted(context, dm_unet_tensor_info(unet, 0, &info));
    ck_assert_str_eq(info.name, "conv_in.weight");
    ck_assert(info.rank == 4 && info.shape[0] == 16 && info.shape[1] == 3 && info.shape[2] == 3 &&
              info.shape[3] == 3);
    test_refused(context, dm_unet_tensor_info(unet, count, &info), DM_ERROR_NOT_FOUND, "tensor");
    test_refused(context, dm_unet_tensor_info(unet, SIZE_MAX, &info), DM_ERROR_NOT_FOUND,
                 "tensor 18446744073709551615");
    info.struct_size = 0;
    test_refused(context, dm_unet_tensor_info(unet, 0, &info), DM_ERROR_INVALID_ARGUMENT,
                 "dm_tensor_info|'struct_size' is 0");
    ck_assert_int_eq(dm_unet_tensor_info(unet, 0, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_unet_tensor_info(NULL, 0, &info), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(dm_unet_tensor_count(NULL), 0);
    ck_assert_uint_eq(dm_unet_parameter_count(NULL), 0);
    dm_unet_destroy(unet);
    dm_unet_destroy(NULL);
    dm_context_destroy(context);
}
END_TEST

/* What stands at [o, i, y, x] outside is at [y, x, i, o] inside, where vectors run over o. */
static void check_layout(dm_unet *unet, const char *name, bool transposed) {
    int32_t index = dmi_params_find(&unet->params, name);
    ck_assert_int_ge(index, 0);
    const dmi_param *p = &unet->params.items[index];
    float *values = malloc(p->count * sizeof *values), *back = malloc(p->count * sizeof *back);
    for (size_t i = 0; i < p->count; i++) values[i] = (float)i;
    ck_assert_int_eq(dm_unet_tensor_set(unet, name, values, p->count), DM_OK);
    ck_assert_int_eq(dm_unet_tensor_get(unet, name, back, p->count), DM_OK);
    ck_assert_mem_eq(back, values, p->count * sizeof *values);
    const float *inside = unet->params.data + p->offset;
    int64_t in = p->shape[1], taps = p->shape[2] * p->shape[3];
    for (int64_t o = 0; o < p->shape[0]; o++)
        for (int64_t i = 0; i < in; i++)
            for (int64_t k = 0; k < taps; k++) {
                int64_t outside = (o * in + i) * taps + k,
                        place = transposed ? (k * in + i) * p->shape[0] + o : outside;
                ck_assert_msg(inside[place] == (float)outside, "%s: %lld", name,
                              (long long)outside);
            }
    free(values);
    free(back);
}

START_TEST(tensors_are_out_in_k_k) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    check_layout(unet, "conv_in.weight", true);
    check_layout(unet, "up_blocks.0.resnets.0.conv_shortcut.weight", true);
    check_layout(unet, "time_embedding.linear_1.weight", true);
    check_layout(unet, "conv_out.bias", false);
    check_layout(unet, "class_embedding.weight", false);
    for (size_t i = 0; i < unet->params.floats; i++) /* what was not set is as it was drawn */
        ck_assert(isfinite(unet->params.data[i]));
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(tensors_that_are_refused) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *same = network_new(context, 1);
    float values[49] = {0};
    const int32_t missing = DM_ERROR_NOT_FOUND, shape = DM_ERROR_SHAPE_MISMATCH,
                  bad = DM_ERROR_INVALID_ARGUMENT;
    test_refused(context, dm_unet_tensor_get(unet, "conv_in.wait", values, 48), missing,
                 "no tensor 'conv_in.wait'");
    test_refused(context, dm_unet_tensor_set(unet, "", values, 48), missing, "no tensor ''");
    test_refused(context, dm_unet_tensor_set(unet, NULL, values, 48), bad, "'name' is NULL");
    test_refused(context, dm_unet_tensor_get(unet, "conv_in.bias", values, 15), shape,
                 "'conv_in.bias' has 16|not 15");
    test_refused(context, dm_unet_tensor_set(unet, "conv_in.bias", values, 17), shape,
                 "'conv_in.bias' has 16|not 17");
    test_refused(context, dm_unet_tensor_set(unet, "conv_in.bias", values, 0), shape, "not 0");
    ck_assert_int_eq(dm_unet_tensor_set(unet, "conv_in.bias", NULL, 16), bad);
    ck_assert_int_eq(dm_unet_tensor_get(unet, "conv_in.bias", NULL, 16), bad);
    ck_assert_int_eq(dm_unet_tensor_get(NULL, "conv_in.bias", values, 16), bad);
    ck_assert_int_eq(dm_unet_tensor_set(NULL, "conv_in.bias", values, 16), bad);
    network_same(unet, same);
    dm_unet_destroy(same);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- seeds ---- */

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

/* DDPM's initialisation of a weight: uniform in +-bound, and 1e-5 of it where a branch begins as
 * nothing. */
static void check_weight(const dm_tensor_info *info, const float *w) {
    double taps = (double)(info->shape[2] * info->shape[3]), sum = 0, squares = 0, largest = 0;
    double bound = sqrt(6 / (taps * (double)(info->shape[0] + info->shape[1])));
    if (ends_with(info->name, "conv2.weight") || ends_with(info->name, "to_out.0.weight") ||
        ends_with(info->name, "conv_out.weight"))
        bound *= 1e-5;
    double n = (double)info->elements;
    for (uint64_t i = 0; i < info->elements; i++) {
        sum += w[i];
        squares += (double)w[i] * w[i];
        largest = fmax(largest, fabs(w[i]));
    }
    /* The mean's own deviation is bound / sqrt(3 n), and the relative one of the squares sqrt(4 /
     * (5 n)). */
    ck_assert_msg(largest <= bound * (1 + 1e-6) && largest > bound * (1 - 30 / n), "%s: %g of %g",
                  info->name, largest, bound);
    ck_assert_msg(fabs(sum / n) < 5 * bound / sqrt(3 * n), "%s: mean %g", info->name, sum / n);
    ck_assert_msg(fabs(3 * squares / (n * bound * bound) - 1) < 5 * sqrt(0.8 / n), "%s: variance",
                  info->name);
}

START_TEST(weights_are_drawn_as_in_ddpm) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 77);
    int32_t zeros = 0;
    for (size_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        test_accepted(context, dm_unet_tensor_info(unet, i, &info));
        float *w = malloc(info.elements * sizeof *w);
        test_accepted(context, dm_unet_tensor_get(unet, info.name, w, info.elements));
        bool embedding = !strcmp(info.name, "class_embedding.weight");
        if (info.rank > 1 && !embedding) check_weight(&info, w);
        if (info.rank == 1)
            for (uint64_t k = 0; k < info.elements; k++)
                ck_assert(w[k] == (ends_with(info.name, ".weight") ? 1 : 0));
        if (embedding)
            for (uint64_t k = 0; k < info.elements; k++)
                ck_assert(fabsf(w[k]) < 6 && (k == 0 || w[k] != w[k - 1]));
        zeros += info.rank > 1 && fabsf(w[0]) < 1e-5f;
        free(w);
    }
    ck_assert_int_eq(zeros, 10 + 8 + 1); /* residual blocks, attentions, the last convolution */
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(seeds) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 5), *same = network_new(context, 5),
            *other = network_new(context, 6);
    network_same(unet, same);
    for (int32_t i = 0; i < unet->params.count; i++) {
        const dmi_param *p = &unet->params.items[i];
        bool differs = memcmp(unet->params.data + p->offset, other->params.data + p->offset,
                              p->count * sizeof(float)) != 0;
        ck_assert_msg(differs == (p->rank > 1), "%s", p->name);
    }
    /* Tensors of one shape are not alike. */
    float one[16 * 16 * 9], two[16 * 16 * 9];
    test_accepted(context, dm_unet_tensor_get(unet, "down_blocks.0.resnets.0.conv1.weight", one,
                                              16 * 16 * 9));
    test_accepted(context, dm_unet_tensor_get(unet, "down_blocks.0.resnets.1.conv1.weight", two,
                                              16 * 16 * 9));
    ck_assert_mem_ne(one, two, sizeof one);
    dm_unet_destroy(other);
    dm_unet_destroy(same);
    dm_unet_destroy(unet);
    ck_assert_int_eq(dm_unet_create(&unet, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    test_refused(context, dm_unet_create(NULL, context, NULL, 0), DM_ERROR_INVALID_ARGUMENT,
                 "unet|'out'");
    dm_context_destroy(context);
}
END_TEST

/* ---- running ---- */

START_TEST(arguments_of_forward) {
    static network_input in;
    static float y[NETWORK_PICTURES * NETWORK_ELEMENTS], again[NETWORK_PICTURES * NETWORK_ELEMENTS];
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT;
    const float marker = 12345;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *plain;
    network_randomize(unet, 4);
    network_give(&in);
    test_refused(context, dm_unet_forward(unet, NULL, in.x, in.timesteps, NULL, 1), bad,
                 "unet|output");
    test_refused(context, dm_unet_forward(unet, y, NULL, in.timesteps, NULL, 1), bad, "unet|x_t");
    test_refused(context, dm_unet_forward(unet, y, in.x, NULL, NULL, 1), bad, "unet|timesteps");
    test_refused(context, dm_unet_forward(unet, y, in.x, in.timesteps, NULL, 0), bad,
                 "unet: 0 pictures");
    test_refused(context, dm_unet_forward(unet, y, in.x, in.timesteps, NULL, 65537), bad,
                 "65537 pictures|65536");
    test_refused(context, dm_unet_forward(unet, y, in.x, in.timesteps, NULL, SIZE_MAX), bad,
                 "pictures");
    ck_assert_int_eq(dm_unet_forward(NULL, y, in.x, in.timesteps, NULL, 1), bad);

    /* Labels: 0 to classes - 1, and two names for none. */
    test_accepted(context, dm_unet_forward(unet, again, in.x, in.timesteps, in.labels, 3));
    y[0] = marker;
    in.labels[1] = NETWORK_CLASSES + 1;
    test_refused(context, dm_unet_forward(unet, y, in.x, in.timesteps, in.labels, 3), bad,
                 "label 1 is 5|4 classes");
    in.labels[1] = -2;
    test_refused(context, dm_unet_forward(unet, y, in.x, in.timesteps, in.labels, 3), bad,
                 "label 1 is -2|4 classes");
    ck_assert(y[0] == marker);
    in.labels[1] = 1;
    test_accepted(context, dm_unet_forward(unet, y, in.x, in.timesteps, in.labels, 3));
    ck_assert_mem_eq(y, again,
                     3 * NETWORK_ELEMENTS * sizeof *y); /* the refusals left nothing behind */
    float *none = again;
    test_accepted(context, dm_unet_forward(unet, none, in.x, in.timesteps, NULL, 3));
    ck_assert_mem_ne(y, none, NETWORK_ELEMENTS * sizeof *y);
    ck_assert_mem_eq(y + 2 * NETWORK_ELEMENTS, none + 2 * NETWORK_ELEMENTS,
                     NETWORK_ELEMENTS * sizeof *y); /* label -1 */
    for (int32_t i = 0; i < 3; i++) in.labels[i] = NETWORK_CLASSES;
    test_accepted(context, dm_unet_forward(unet, y, in.x, in.timesteps, in.labels, 3));
    ck_assert_mem_eq(y, none, 3 * NETWORK_ELEMENTS * sizeof *y);

    dm_unet_options o = network_options();
    o.classes = 0;
    test_accepted(context, dm_unet_create(&plain, context, &o, 1));
    test_refused(context, dm_unet_forward(plain, y, in.x, in.timesteps, in.labels, 1), bad,
                 "labels|no classes");
    test_accepted(context, dm_unet_forward(plain, y, in.x, in.timesteps, NULL, 1));
    dm_unet_destroy(plain);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* A picture's bits are its own: whatever goes through with it or went through before, with any
 * number of threads. What is kept of the weights is made anew when they change. */
START_TEST(pictures_are_the_same_in_any_company) {
    static network_input in;
    static float want[NETWORK_PICTURES][NETWORK_ELEMENTS], got[NETWORK_PICTURES][NETWORK_ELEMENTS];
    static const size_t counts[] = {5, 1, 3, 5};
    network_give(&in);
    for (int32_t threads = 1; threads <= 2; threads++) {
        dm_context_options o;
        dm_context *context;
        ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
        o.threads = threads;
        ck_assert_int_eq(dm_context_create(&context, &o), DM_OK);
        context->kernels = dmi_kernels_for(_i);
        dm_unet *unet = network_new(context, 1);
        /* With other weights than then. */
        test_accepted(context, dm_unet_forward(unet, got[0], in.x, in.timesteps, NULL, 1));
        network_randomize(unet, 4);
        for (size_t i = 0; threads == 1 && i < NETWORK_PICTURES; i++)
            test_accepted(context, dm_unet_forward(unet, want[i], in.x + i * NETWORK_ELEMENTS,
                                                   in.timesteps + i, in.labels + i, 1));
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            memset(got, 0, sizeof got);
            test_accepted(context,
                          dm_unet_forward(unet, got[0], in.x, in.timesteps, in.labels, counts[k]));
            for (size_t i = 0; i < counts[k]; i++)
                ck_assert_msg(!memcmp(got[i], want[i], sizeof want[i]),
                              "picture %zu of %zu, %d threads", i, counts[k], (int)threads);
        }
        dm_unet_destroy(unet);
        dm_context_destroy(context);
    }
    ck_assert_double_gt(test_error(want[0], want[1], NETWORK_ELEMENTS),
                        0.1); /* and they do differ */
}
END_TEST

Suite *test_unet_suite(void);
Suite *test_unet_suite(void) {
    Suite *suite = suite_create("unet");
    TCase *tcase = tcase_create("unet");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, options_that_are_refused, 0,
                        (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tcase, options_that_are_accepted);
    tcase_add_test(tcase, options_come_back);
    tcase_add_test(tcase, tensors_are_listed);
    tcase_add_test(tcase, tensors_are_out_in_k_k);
    tcase_add_test(tcase, tensors_that_are_refused);
    tcase_add_test(tcase, weights_are_drawn_as_in_ddpm);
    tcase_add_test(tcase, seeds);
    tcase_add_test(tcase, arguments_of_forward);
    suite_add_tcase(suite, tcase);
    TCase *slow = tcase_create("large");
    tcase_set_timeout(slow, 30);
    tcase_set_tags(slow, "slow"); /* under a memory checker */
    tcase_add_test(slow, presets);
    tcase_add_loop_test(slow, pictures_are_the_same_in_any_company, DMI_ISA_BASE,
                        dmi_cpu_isa() + 1);
    suite_add_tcase(suite, slow);
    return suite;
}
