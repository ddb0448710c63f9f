/* SPDX-License-Identifier: MIT */
/* Folders of pipelines in the forms in which they are published, and what says that one of them
 * cannot be read. */
#include <sys/stat.h>

#include "diffusion.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "support/training.h"
#include "unet/unet.h"

static const char tensors[] = "diffusion_pytorch_model.safetensors";

static dm_context *context;
static char *folder;
static dm_unet *unet;

#define ok(call) test_accepted(context, (call))

/* A pipeline of a network that predicts v, in FOLDER/p. */
static void setup(void) {
    dm_unet_options o = network_options();
    dm_schedule *schedule;
    context = test_context_new(NULL, 0);
    folder = test_folder_new();
    o.blocks[0] = o.blocks[1] = 1;
    o.attention[0] = 1;
    o.classes = o.self_conditioning = o.learned_variance = 0;
    o.mid_norm_groups = 4;
    ok(dm_unet_create(&unet, context, &o, 3));
    network_randomize(unet, 7);
    ok(dm_schedule_create(&schedule, context, NULL));
    ok(dm_unet_save_diffusers(unet, schedule, NULL, test_path(folder, "p"), DM_PRECISION_F32));
    dm_schedule_destroy(schedule);
}

static void teardown(void) {
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    free(folder);
}

static void write_text(const char *name, const char *text) {
    training_write_file(test_path(folder, name), (const uint8_t *)text, strlen(text));
}

static void move(const char *from, const char *to) {
    char path[512];
    snprintf(path, sizeof path, "%s", test_path(folder, from));
    ck_assert_int_eq(rename(path, test_path(folder, to)), 0);
}

static dm_prediction prediction_of(dm_unet *loaded) {
    dm_unet_options o;
    ok(dm_unet_get_options(loaded, &o, sizeof o));
    ck_assert_mem_eq(loaded->weights->params.data, unet->weights->params.data,
                     unet->weights->params.floats * sizeof(float));
    dm_unet_destroy(loaded);
    return o.prediction;
}

static void refuse(const char *name, int32_t status, const char *words) {
    dm_unet *loaded;
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context,
                 dm_unet_load(&loaded, context, test_path(folder, name), DM_WEIGHTS_DEFAULT),
                 status, words);
    ck_assert_ptr_null(loaded);
    test_untouched_end(&untouched);
}

/* All files beside the index, as the first pipelines were published. */
START_TEST(parts_beside_the_index) {
    dm_unet *loaded;
    dm_schedule *schedule;
    move("p/unet/config.json", "p/config.json");
    move("p/unet/diffusion_pytorch_model.safetensors", "p/diffusion_pytorch_model.safetensors");
    move("p/scheduler/scheduler_config.json", "p/scheduler_config.json");
    remove(test_path(folder, "p/unet"));
    remove(test_path(folder, "p/scheduler"));
    ok(dm_unet_load(&loaded, context, test_path(folder, "p"), DM_WEIGHTS_DEFAULT));
    ck_assert_int_eq(prediction_of(loaded), DM_PREDICT_V);
    ok(dm_schedule_load_diffusers(&schedule, context, test_path(folder, "p"), NULL, NULL));
    dm_schedule_destroy(schedule);
}
END_TEST

/* Without a scheduler nobody knows what the network of a pipeline predicts, but its caller. */
START_TEST(schedulers_that_say_nothing) {
    dm_unet *loaded;
    dm_diffusers_options how;
    ok(dm_diffusers_options_init(&how, sizeof how));
    how.prediction = DM_PREDICT_V;
    write_text("p/scheduler/scheduler_config.json", "{\"_class_name\": \"ScoreSdeVeScheduler\"}");
    refuse("p", DM_ERROR_UNSUPPORTED,
           "scheduler_config.json: '_class_name' is \"ScoreSdeVeScheduler\"|'prediction'");
    ok(dm_unet_load_diffusers(&loaded, context, test_path(folder, "p"), &how));
    ck_assert_int_eq(prediction_of(loaded), DM_PREDICT_V);
    /* One that is not supported here, but says it. */
    write_text("p/scheduler/scheduler_config.json",
               "{\"_class_name\": \"LCMScheduler\", \"prediction_type\": \"sample\"}");
    ok(dm_unet_load(&loaded, context, test_path(folder, "p"), DM_WEIGHTS_DEFAULT));
    ck_assert_int_eq(prediction_of(loaded), DM_PREDICT_X0);
    remove(test_path(folder, "p/scheduler/scheduler_config.json"));
    refuse("p", DM_ERROR_NOT_FOUND, "no scheduler/scheduler_config.json|'prediction'");
    ok(dm_unet_load_diffusers(&loaded, context, test_path(folder, "p"), &how));
    ck_assert_int_eq(prediction_of(loaded), DM_PREDICT_V);
    ok(dm_unet_load(&loaded, context, test_path(folder, "p/unet"), DM_WEIGHTS_DEFAULT));
    ck_assert_int_eq(prediction_of(loaded), DM_PREDICT_EPS);
}
END_TEST

START_TEST(other_parts_refused) {
    write_text("p/model_index.json",
               "{\"_class_name\": \"LDMPipeline\", \"unet\": [\"diffusers\", \"UNet2DModel\"],"
               "\"scheduler\": [\"diffusers\", \"DDIMScheduler\"],"
               "\"vqvae\": [\n  \"diffusers\",\n  \"VQModel\"\n]}");
    refuse("p", DM_ERROR_UNSUPPORTED,
           "model_index.json: 'vqvae' is [ \"diffusers\", \"VQModel\" ]; only pipelines");
    write_text("p/model_index.json",
               "{\"unet\": [\"diffusers\", \"UNet2DModel\"], \"vqvae\": [null, null]}");
    dm_unet *loaded;
    ok(dm_unet_load(&loaded, context, test_path(folder, "p"), DM_WEIGHTS_DEFAULT));
    dm_unet_destroy(loaded);
}
END_TEST

START_TEST(other_files_refused) {
    refuse("p/model_index.json", DM_ERROR_BAD_FORMAT,
           "model_index.json: it has no tensors: give the path of its folder");
    refuse("p/unet/config.json", DM_ERROR_BAD_FORMAT, "config.json: it has no tensors");
    dm_unet *loaded;
    test_refused(context, dm_unet_load(&loaded, context, "x", DM_WEIGHTS_DEFAULT),
                 DM_ERROR_NOT_FOUND, "x: no such file");
    test_refused(context,
                 dm_unet_load(&loaded, context, test_path(folder, "p"), DM_WEIGHTS_EMA + 1),
                 DM_ERROR_NOT_FOUND, "/p: it has no EMA 1");
    move("p/unet/diffusion_pytorch_model.safetensors",
         "p/unet/diffusion_pytorch_model.fp16.safetensors");
    refuse("p", DM_ERROR_NOT_FOUND, "unet: its tensors are in diffusion_pytorch_model.fp16|path");
    /* Without a config.json beside it, it is no network of diffusers. */
    move("p/unet/config.json", "p/unet/other.json");
    ck_assert_int_eq(mkdir(test_path(folder, "p/unet/config.json"), 0777), 0);
    refuse("p/unet/diffusion_pytorch_model.fp16.safetensors", DM_ERROR_BAD_FORMAT,
           "no network of this library");
    remove(test_path(folder, "p/unet/config.json"));
    move("p/unet/other.json", "p/unet/config.json");
    move("p/unet/diffusion_pytorch_model.fp16.safetensors", "p/unet/diffusion_pytorch_model.bin");
    refuse("p", DM_ERROR_UNSUPPORTED, "unet: its tensors are in diffusion_pytorch_model.bin|code");
}
END_TEST

/* ---- names ---- */

static void copy_values(const void *layout, const float *values, float *out, size_t count) {
    (void)layout;
    memcpy(out, values, count * sizeof *out);
}

/* A tensor with an old name beside that with the new one: diffusers would take the old one. */
START_TEST(two_names_of_a_tensor_refused) {
    static const char now[] = "down_blocks.0.attentions.0.to_q.weight";
    const dmi_params *params = &unet->weights->params;
    dmi_safetensors_writer *writer;
    float *values = calloc(params->floats, sizeof *values);
    char path[512];
    ck_assert_ptr_nonnull(values);
    ok(dmi_safetensors_begin(&context->host, &writer));
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        ok(dmi_safetensors_add(&context->host, writer, p->name, p->rank, p->shape, copy_values,
                               NULL, values));
        if (!strcmp(p->name, now))
            ok(dmi_safetensors_add(&context->host, writer,
                                   "down_blocks.0.attentions.0.query.weight", p->rank, p->shape,
                                   copy_values, NULL, values));
    }
    snprintf(path, sizeof path, "%s/p/unet/%s", folder, tensors);
    ok(dmi_safetensors_write(&context->host, writer, path));
    dmi_safetensors_free(&context->host, writer);
    refuse("p", DM_ERROR_BAD_FORMAT,
           "tensor 'down_blocks.0.attentions.0.query.weight' is there a second time, as "
           "'down_blocks.0.attentions.0.to_q.weight'");
    free(values);
}
END_TEST

Suite *test_diffusers_folders_suite(void);
Suite *test_diffusers_folders_suite(void) {
    Suite *suite = suite_create("diffusers_folders");
    TCase *tests = tcase_create("diffusers_folders");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, parts_beside_the_index);
    tcase_add_test(tests, schedulers_that_say_nothing);
    tcase_add_test(tests, other_parts_refused);
    tcase_add_test(tests, other_files_refused);
    tcase_add_test(tests, two_names_of_a_tensor_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
