/* SPDX-License-Identifier: MIT */
/* Networks from folders of diffusers: outputs against PyTorch's, every key of config.json, and what
 * is refused. */
#include "diffusion.h"
#include "golden/golden.h"
#include "support/refusal.h"
#include "support/support.h"
#include "support/training.h"
#include "unet/diffusers.h"

enum { IMAGES = 2, SIDE = 8, PIXELS = SIDE * SIDE };

static dm_context *context;

static void setup(void) {
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
}

static void teardown(void) { dm_context_destroy(context); }

#define ok(call) test_accepted(context, (call))

/* ---- outputs ---- */

typedef struct golden_case {
    const char *name, *path;
    int32_t in, out, prediction;
} golden_case;

static const golden_case cases[] = {
    {"pipeline", "diffusers/pipeline", 3, 3, DM_PREDICT_V},
    {"pipeline", "diffusers/pipeline/unet", 3, 3, DM_PREDICT_EPS},
    {"pipeline", "diffusers/pipeline/unet/diffusion_pytorch_model.safetensors", 3, 3,
     DM_PREDICT_EPS},
    {"sharded", "diffusers/sharded", 3, 3, DM_PREDICT_EPS},
    {"old", "diffusers/old/weights.safetensors", 2, 4, DM_PREDICT_EPS},
};

START_TEST(outputs) {
    const golden_case *c = &cases[_i];
    static const double times[IMAGES] = {3, 120};
    const size_t x_size = (size_t)(IMAGES * PIXELS * c->in),
                 y_size = (size_t)(IMAGES * PIXELS * c->out);
    dm_unet *unet;
    dm_unet_options o;
    dm_unet_input in;
    ok(dm_unet_load(&unet, context, test_golden(c->path), DM_WEIGHTS_DEFAULT));
    ok(dm_unet_get_options(unet, &o, sizeof o));
    ck_assert_int_eq(o.prediction, c->prediction);
    float *x = golden_floats(x_size), *y = golden_floats(y_size);
    golden_fill(x, x_size, 1, c->name, "x");
    ok(dm_unet_input_init(&in, sizeof in));
    in.count = in.time_count = IMAGES;
    in.x = x, in.x_elements = x_size, in.times = times;
    ok(dm_unet_forward(unet, &in, y, y_size));
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "diffusers.safetensors");
    float *want = golden_read(file, c->name, "y", y_size);
    ck_assert_msg(test_error(y, want, y_size) <= 1e-5, "%s: relative error %.3g", c->path,
                  test_error(y, want, y_size));
    free(want);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    free(x);
    free(y);
    dm_unet_destroy(unet);
}
END_TEST

/* Options in place of what the files say. */
START_TEST(own_options) {
    dm_diffusers_options given;
    dm_unet_options o;
    dm_unet *unet;
    ok(dm_diffusers_options_init(&given, sizeof given));
    given.height = 16, given.width = 32, given.prediction = DM_PREDICT_X0;
    ok(dm_unet_load_diffusers(&unet, context, test_golden("diffusers/pipeline"), &given));
    ok(dm_unet_get_options(unet, &o, sizeof o));
    ck_assert(o.height == 16 && o.width == 32 && o.prediction == DM_PREDICT_X0);
    dm_unet_destroy(unet);
    given.height = 0;
    ok(dm_unet_load_diffusers(&unet, context, test_golden("diffusers/old/weights.safetensors"),
                              &given));
    ok(dm_unet_get_options(unet, &o, sizeof o));
    ck_assert(o.height == 8 && o.width == 32);
    dm_unet_destroy(unet);
    given.height = 4097;
    test_refused(context, dm_unet_load_diffusers(&unet, context, "x", &given),
                 DM_ERROR_INVALID_ARGUMENT, "'height' is 4097");
    ck_assert_ptr_null(unet);
    test_refused(context, dm_unet_load_diffusers(&unet, context, NULL, NULL),
                 DM_ERROR_INVALID_ARGUMENT, "'path' is NULL");
    test_refused(context, dm_unet_load_diffusers(NULL, context, "x", NULL),
                 DM_ERROR_INVALID_ARGUMENT, "'out' is NULL");
    ck_assert_int_eq(dm_unet_load_diffusers(&unet, NULL, "x", NULL), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

/* ---- keys ---- */

static dm_status read_text(const char *text, dm_unet_options *o) {
    static const dm_diffusers_options none = {.struct_size = sizeof none,
                                              .prediction = DM_PREDICT_ANY};
    dmi_config config;
    dm_status status = dmi_config_parse(&context->host, &config, text, strlen(text), "config.json");
    if (status) return status;
    status = dmi_diffusers_read_options(&config, &none, o);
    dmi_config_free(&config);
    return status;
}

START_TEST(class_defaults) {
    static const int32_t channels[] = {224, 448, 672, 896};
    dm_unet_options o;
    ok(read_text("{\"sample_size\": 32}", &o));
    ck_assert_int_eq(o.levels, 4);
    ck_assert_mem_eq(o.channels, channels, sizeof channels);
    for (int32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(o.attention[i], i > 0);
        /* The decoder's list begins with the innermost level. */
        ck_assert_int_eq(o.up_attention[i], -1);
        ck_assert_int_eq(o.blocks[i], 2);
        ck_assert_int_eq(o.down_resample[i], DM_RESAMPLE_CONV);
        ck_assert_int_eq(o.up_resample[i], DM_RESAMPLE_CONV);
    }
    ck_assert(o.height == 32 && o.width == 32 && o.in_channels == 3 && o.out_channels == 3);
    ck_assert(o.time_frequency_shift == 0 && o.time_cos_first == 1 && o.time_channels == 0);
    ck_assert(o.attention_head_size == 8 && o.norm_groups == 32 && o.norm_eps == 1e-5f);
    ck_assert(o.downsample_padding == DM_PAD_ALL && o.dropout == 0 && o.mid_scale == 1);
    ck_assert(o.mid_block == 1 && o.mid_attention == 1 && o.mid_norm_groups == -1);
    ck_assert(o.classes == 0 && o.null_row == 1 && o.condition_size == 0 && !o.center_input);
    ck_assert(o.time_embedding == DM_TIME_ADD && o.activation == DM_ACTIVATION_SILU);
    ck_assert(o.prediction == DM_PREDICT_EPS && o.time_features == DM_TIME_SINUSOIDAL);
}
END_TEST

START_TEST(every_key) {
    dm_unet_options o;
    ok(read_text("{\"_class_name\": \"UNet2DModel\", \"_diffusers_version\": \"0.1\","
                 "\"sample_size\": [64, 16], \"in_channels\": 4, \"out_channels\": 8,"
                 "\"center_input_sample\": true, \"time_embedding_type\": \"learned\","
                 "\"time_embedding_dim\": 20, \"freq_shift\": 1, \"flip_sin_to_cos\": true,"
                 "\"down_block_types\": [\"SkipDownBlock2D\", \"AttnSkipDownBlock2D\","
                 "\"ResnetDownsampleBlock2D\", \"AttnDownBlock2D\", \"AttnDownBlock2D\"],"
                 "\"mid_block_type\": null, \"up_block_types\": [\"UpBlock2D\", \"AttnUpBlock2D\","
                 "\"UNetResResnetUpsampleBlock2D\", \"AttnSkipUpBlock2D\", \"SkipUpBlock2D\"],"
                 "\"block_out_channels\": [8, 16, 24, 32.0, 40], \"layers_per_block\": 3,"
                 "\"mid_block_scale_factor\": 1.5, \"downsample_padding\": 7,"
                 "\"downsample_type\": \"resnet\", \"upsample_type\": null, \"dropout\": 0.25,"
                 "\"act_fn\": \"mish\", \"attention_head_dim\": null, \"norm_num_groups\": null,"
                 "\"attn_norm_num_groups\": null, \"norm_eps\": 1e-05,"
                 "\"resnet_time_scale_shift\": \"scale_shift\", \"add_attention\": false,"
                 "\"class_embed_type\": \"identity\", \"num_class_embeds\": 12,"
                 "\"num_train_timesteps\": 77, \"later\": null}",
                 &o));
    static const int32_t down[] = {DM_RESAMPLE_SKIP, DM_RESAMPLE_SKIP, DM_RESAMPLE_RESNET,
                                   DM_RESAMPLE_RESNET, DM_RESAMPLE_CONV};
    static const int32_t up[] = {DM_RESAMPLE_SKIP, DM_RESAMPLE_SKIP, DM_RESAMPLE_RESNET,
                                 DM_RESAMPLE_CONV, DM_RESAMPLE_CONV};
    static const int32_t attention[] = {0, 1, 0, 1, 1}, up_attention[] = {-1, -1, -1, -1, 0};
    ck_assert_int_eq(o.levels, 5);
    ck_assert_mem_eq(o.down_resample, down, sizeof down);
    ck_assert_mem_eq(o.up_resample, up, sizeof up);
    ck_assert_mem_eq(o.attention, attention, sizeof attention);
    ck_assert_mem_eq(o.up_attention, up_attention, sizeof up_attention);
    ck_assert(o.height == 64 && o.width == 16 && o.in_channels == 4 && o.out_channels == 8);
    ck_assert(o.center_input && o.time_features == DM_TIME_LEARNED && o.time_steps == 77);
    ck_assert(o.time_channels == 20 && o.mid_block == 0 && o.mid_attention == 0);
    ck_assert(o.blocks[4] == 3 && o.blocks[5] == 0 && o.mid_scale == 1.5f && o.dropout == 0.25f);
    ck_assert(o.activation == DM_ACTIVATION_MISH && o.attention_head_size == 0);
    ck_assert(o.norm_groups == 0 && o.mid_norm_groups == 0 && o.norm_eps == 1e-5f);
    ck_assert(o.time_embedding == DM_TIME_SCALE_SHIFT && o.classes == 0);
    ck_assert(o.condition_size == 20 && o.condition_embedding == DM_CONDITION_IDENTITY);
    ok(read_text("{\"sample_size\": 8, \"class_embed_type\": \"timestep\","
                 "\"time_embedding_type\": \"fourier\", \"attn_norm_num_groups\": 16,"
                 "\"downsample_padding\": 0, \"act_fn\": \"swish\"}",
                 &o));
    ck_assert(o.condition_size == 1 && o.condition_embedding == DM_CONDITION_TIME);
    ck_assert(o.time_features == DM_TIME_FOURIER && o.mid_norm_groups == 16);
    ck_assert(o.downsample_padding == DM_PAD_BOTTOM_RIGHT && o.activation == DM_ACTIVATION_SILU);
    ok(read_text("{\"sample_size\": 8, \"num_class_embeds\": 10}", &o));
    ck_assert(o.classes == 10 && o.null_row == 0 && o.condition_size == 0);
}
END_TEST

#define WITH(text) "{\"sample_size\": 8, " text "}"

static const struct {
    const char *text, *words;
    int32_t status;
} refusals[] = {
    {"", "config.json: not a JSON object|byte 0", DM_ERROR_BAD_FORMAT},
    {"[]", "not a JSON object", DM_ERROR_BAD_FORMAT},
    {"{\"a\": }", "byte 6", DM_ERROR_BAD_FORMAT},
    {"{\"a\": null, \"a\": null}", "the key 'a' twice", DM_ERROR_BAD_FORMAT},
    {"{}", "'sample_size' is missing|'height' and 'width'", DM_ERROR_INVALID_ARGUMENT},
    {"{\"sample_size\": null}", "'sample_size' is null", DM_ERROR_INVALID_ARGUMENT},
    {"{\"sample_size\": 0}", "'sample_size' is 0", DM_ERROR_UNSUPPORTED},
    {"{\"sample_size\": [8]}", "'sample_size' is [8]", DM_ERROR_UNSUPPORTED},
    {"{\"sample_size\": [8, 1e9]}", "'sample_size' is [8, 1e9]", DM_ERROR_UNSUPPORTED},
    {"{\"sample_size\": NaN}", "'sample_size' is NaN", DM_ERROR_UNSUPPORTED},
    {WITH("\"_class_name\": \"UNet2DConditionModel\""), "'_class_name' is \"UNet2DConditionModel\"",
     DM_ERROR_UNSUPPORTED},
    {WITH("\"encoder_hid_dim\": 3"), "'encoder_hid_dim' is 3|not known", DM_ERROR_UNSUPPORTED},
    {WITH("\"in_channels\": 3.5"), "'in_channels' is 3.5|a whole number from 1 to 128",
     DM_ERROR_BAD_FORMAT},
    {WITH("\"in_channels\": true"), "'in_channels' is true", DM_ERROR_BAD_FORMAT},
    {WITH("\"in_channels\": null"), "'in_channels' is null", DM_ERROR_BAD_FORMAT},
    {WITH("\"out_channels\": -Infinity"), "'out_channels' is -Infinity", DM_ERROR_BAD_FORMAT},
    {WITH("\"dropout\": 1"), "'dropout' is 1", DM_ERROR_BAD_FORMAT},
    {WITH("\"norm_eps\": \"1\""), "'norm_eps' is \"1\"", DM_ERROR_BAD_FORMAT},
    {WITH("\"flip_sin_to_cos\": 1"), "'flip_sin_to_cos' is 1|true or false", DM_ERROR_BAD_FORMAT},
    {WITH("\"act_fn\": \"elu\""), "'act_fn' is \"elu\"|silu, swish, mish, gelu, relu",
     DM_ERROR_UNSUPPORTED},
    {WITH("\"time_embedding_type\": \"x\""), "positional, fourier, learned", DM_ERROR_UNSUPPORTED},
    {WITH("\"time_embedding_type\": \"learned\""), "'num_train_timesteps' is missing",
     DM_ERROR_BAD_FORMAT},
    {WITH("\"resnet_time_scale_shift\": \"spatial\""), "'resnet_time_scale_shift' is \"spatial\"",
     DM_ERROR_UNSUPPORTED},
    {WITH("\"class_embed_type\": \"projection\""), "'class_embed_type'|timestep, identity",
     DM_ERROR_UNSUPPORTED},
    {WITH("\"num_class_embeds\": 0"), "'num_class_embeds' is 0", DM_ERROR_BAD_FORMAT},
    {WITH("\"mid_block_type\": \"UNetMidBlock2DCrossAttn\""), "'mid_block_type'|UNetMidBlock2D",
     DM_ERROR_UNSUPPORTED},
    {WITH("\"mid_block_scale_factor\": 0"), "'mid_block_scale_factor' is 0", DM_ERROR_BAD_FORMAT},
    {WITH("\"attention_head_dim\": 0"), "'attention_head_dim' is 0", DM_ERROR_BAD_FORMAT},
    {WITH("\"attention_head_dim\": [8, 8]"), "'attention_head_dim' is [8, 8]", DM_ERROR_BAD_FORMAT},
    {WITH("\"downsample_padding\": 2"), "'downsample_padding' is 2|0 or 1", DM_ERROR_UNSUPPORTED},
    {WITH("\"downsample_type\": \"pool\""), "'downsample_type' is \"pool\"", DM_ERROR_UNSUPPORTED},
    {WITH("\"upsample_type\": \"pool\""), "'upsample_type' is \"pool\"", DM_ERROR_UNSUPPORTED},
    {WITH("\"block_out_channels\": []"), "'block_out_channels' is []", DM_ERROR_UNSUPPORTED},
    {WITH("\"block_out_channels\": [1, 2, 3, 4, 5, 6, 7, 8, 9]"), "1 to 8 numbers",
     DM_ERROR_UNSUPPORTED},
    {WITH("\"block_out_channels\": [8, 0.5, 8, 8]"), "1 to 8192", DM_ERROR_UNSUPPORTED},
    {WITH("\"block_out_channels\": [8, 1e300, 8, 8]"), "1 to 8192", DM_ERROR_UNSUPPORTED},
    {WITH("\"block_out_channels\": [8, [8], 8, 8]"), "'block_out_channels'", DM_ERROR_UNSUPPORTED},
    {WITH("\"block_out_channels\": [8, 8]"), "'down_block_types' is missing|entries|2",
     DM_ERROR_BAD_FORMAT},
    {WITH("\"down_block_types\": [\"DownBlock2D\", \"KDownBlock2D\", \"DownBlock2D\", "
          "\"DownBlock2D\"]"),
     "'down_block_types'|'KDownBlock2D'", DM_ERROR_UNSUPPORTED},
    {WITH("\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"DownBlock2D\"]"),
     "'up_block_types'|'DownBlock2D'", DM_ERROR_UNSUPPORTED},
    {WITH("\"up_block_types\": \"UpBlock2D\""), "'up_block_types' is \"UpBlock2D\"",
     DM_ERROR_UNSUPPORTED},
};

START_TEST(keys_refused) {
    dm_unet_options o;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        test_refused(context, read_text(refusals[i].text, &o), refusals[i].status,
                     refusals[i].words);
        if (i >= 4)
            test_refused(context, read_text(refusals[i].text, &o), refusals[i].status,
                         "config.json: ");
    }
}
END_TEST

/* More keys or bytes than are read. */
START_TEST(limits) {
    dm_unet_options o;
    char *text = malloc(DMI_CONFIG_SIZE_MAX + 2);
    ck_assert_ptr_nonnull(text);
    size_t length = (size_t)sprintf(text, "{\"a\": 0");
    for (int i = 0; i < DMI_CONFIG_KEYS_MAX; i++)
        length += (size_t)sprintf(text + length, ", \"%d\": 0", i);
    strcpy(text + length, "}");
    test_refused(context, read_text(text, &o), DM_ERROR_BAD_FORMAT, "more than 256 keys");
    length = (size_t)sprintf(text, "{\"a\": [0");
    for (int i = 0; i < DMI_CONFIG_ELEMENTS_MAX; i++, length += 2) memcpy(text + length, ",0", 2);
    strcpy(text + length, "]}");
    test_refused(context, read_text(text, &o), DM_ERROR_BAD_FORMAT, "more than 200000 elements");
    memset(text, ' ', DMI_CONFIG_SIZE_MAX + 1);
    text[DMI_CONFIG_SIZE_MAX + 1] = 0;
    test_refused(context, read_text(text, &o), DM_ERROR_BAD_FORMAT, "8000001 bytes");
    free(text);
}
END_TEST

/* ---- folders ---- */

static void write_text(const char *folder, const char *name, const char *text) {
    training_write_file(test_path(folder, name), (const uint8_t *)text, strlen(text));
}

static void refuse_load(const char *path, int32_t status, const char *words) {
    dm_unet *unet;
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, dm_unet_load_diffusers(&unet, context, path, NULL), status, words);
    ck_assert_ptr_null(unet);
    test_untouched_end(&untouched);
}

static const char small[] =
    "{\"sample_size\": 8, \"block_out_channels\": [4], \"down_block_types\": [\"DownBlock2D\"],"
    "\"up_block_types\": [\"UpBlock2D\"], \"norm_num_groups\": 2, \"attention_head_dim\": 4}";

static void copy_values(const void *layout, const float *values, float *out, size_t count) {
    (void)layout;
    memcpy(out, values, count * sizeof *out);
}

static void save_tensors(const char *path, const char *const *names) {
    static const float zeros[4096];
    static const int64_t shape[] = {4, 3, 3, 3};
    dmi_safetensors_writer *w;
    ok(dmi_safetensors_begin(&context->host, &w));
    for (; *names; names++)
        ok(dmi_safetensors_add(&context->host, w, *names, 4, shape, copy_values, NULL, zeros));
    ok(dmi_safetensors_write(&context->host, w, path));
    dmi_safetensors_free(&context->host, w);
}

START_TEST(folders_refused) {
    static const char *const some[] = {"conv_in.weight", "x", NULL};
    char *folder = test_folder_new();
    refuse_load(folder, DM_ERROR_NOT_FOUND, "neither model_index.json nor config.json");
    refuse_load(test_path(folder, "absent"), DM_ERROR_NOT_FOUND, "config.json: no such file");
    write_text(folder, "config.json", small);
    refuse_load(folder, DM_ERROR_NOT_FOUND,
                "neither diffusion_pytorch_model.safetensors nor "
                "diffusion_pytorch_model.safetensors.index.json");
    write_text(folder, "diffusion_pytorch_model.safetensors", "");
    refuse_load(folder, DM_ERROR_BAD_FORMAT, "diffusion_pytorch_model.safetensors: not a safe");
    save_tensors(test_path(folder, "diffusion_pytorch_model.safetensors"), some);
    refuse_load(folder, DM_ERROR_NOT_FOUND, "no tensor 'conv_in.bias'");
    write_text(folder, "config.json", "{\"sample_size\": 9}");
    refuse_load(folder, DM_ERROR_BAD_FORMAT, "config.json: unet: 'height' is 9|8");
    write_text(folder, "model_index.json", "{\"unet\": [\"diffusers\", \"UNet1DModel\"]}");
    refuse_load(folder, DM_ERROR_UNSUPPORTED,
                "model_index.json: 'unet' is [\"diffusers\", \"UNet1DModel\"]");
    write_text(folder, "model_index.json", "{\"unet\": [\"diffusers\", \"UNet2DModel\"]}");
    refuse_load(folder, DM_ERROR_NOT_FOUND, "no scheduler/scheduler_config.json");
    free(folder);
}
END_TEST

START_TEST(tensors_refused) {
    static const char *const surplus[] = {"conv_in.weight", "extra", NULL};
    char *folder = test_folder_new();
    dm_unet *unet;
    write_text(folder, "config.json", small);
    /* A network of ours without its metadata, and with a tensor too many. */
    save_tensors(test_path(folder, "a.safetensors"), surplus);
    refuse_load(test_path(folder, "a.safetensors"), DM_ERROR_NOT_FOUND, "a.safetensors: there");
    test_refused(context,
                 dm_unet_load(&unet, context, test_path(folder, "a.safetensors"),
                              DM_WEIGHTS_DEFAULT),
                 DM_ERROR_NOT_FOUND, "the network of config.json");
    free(folder);
}
END_TEST

static const struct {
    const char *index, *words;
    int32_t status;
} indices[] = {
    {"{}", "'weight_map' is missing", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {}}", "'weight_map' is missing or empty", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": 1}", "byte", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": 1}}", "a string is expected", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"../a\"}}", "'../a' is no name of a file", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"/etc/a\"}}", "'/etc/a'", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"..\"}}", "'..'", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"\"}}", "''", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"x\\\\y\"}}", "no name", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"1\", \"a\": \"1\"}}", "'a' twice", DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"1\"}, \"weight_map\": {\"a\": \"2\"}}", "'weight_map' twice",
     DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"absent\"}}", "absent: no such file", DM_ERROR_NOT_FOUND},
    {"{\"weight_map\": {\"c\": \"1\"}}", "no tensor 'c'", DM_ERROR_NOT_FOUND},
    {"{\"weight_map\": {\"a\": \"1\", \"b\": \"2\"}}", "2 tensors, and its shards have 3",
     DM_ERROR_BAD_FORMAT},
    {"{\"weight_map\": {\"a\": \"1\", \"b\": \"1\"}}", "no tensor 'conv_in.", DM_ERROR_NOT_FOUND},
};

START_TEST(indices_refused) {
    static const char *const first[] = {"a", "b", NULL}, *const second[] = {"b", NULL};
    char *folder = test_folder_new();
    write_text(folder, "config.json", small);
    save_tensors(test_path(folder, "1"), first);
    save_tensors(test_path(folder, "2"), second);
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        write_text(folder, "diffusion_pytorch_model.safetensors.index.json", indices[i].index);
        refuse_load(folder, indices[i].status, indices[i].words);
    }
    free(folder);
}
END_TEST

/* Shards whose headers are small enough each, but not together. */
START_TEST(large_headers_refused) {
    enum { HEADER = 20000000 };
    static const char text[] =
        "{\"a\": {\"dtype\": \"F32\", \"shape\": [0], \"data_offsets\": [0, 0]}}";
    char *folder = test_folder_new();
    uint8_t *bytes = malloc(8 + HEADER);
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, ' ', 8 + HEADER);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)HEADER >> 8 * i & 0xff);
    memcpy(bytes + 8, text, sizeof text - 1);
    training_write_file(test_path(folder, "1"), bytes, 8 + HEADER);
    bytes[10] = 'b';
    training_write_file(test_path(folder, "2"), bytes, 8 + HEADER);
    write_text(folder, "config.json", small);
    write_text(folder, "diffusion_pytorch_model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"1\", \"b\": \"2\"}}");
    refuse_load(folder, DM_ERROR_BAD_FORMAT, "/2: with|2 shards have 40000016 bytes|32000000");
    free(bytes);
    free(folder);
}
END_TEST

Suite *test_diffusers_suite(void);
Suite *test_diffusers_suite(void) {
    Suite *suite = suite_create("diffusers");
    TCase *tests = tcase_create("diffusers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, outputs, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, own_options);
    tcase_add_test(tests, class_defaults);
    tcase_add_test(tests, every_key);
    tcase_add_test(tests, keys_refused);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, folders_refused);
    tcase_add_test(tests, tensors_refused);
    tcase_add_test(tests, indices_refused);
    tcase_add_test(tests, large_headers_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
