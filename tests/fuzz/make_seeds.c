/* SPDX-License-Identifier: MIT */
/* Writes the first inputs of the fuzz targets: make_seeds FOLDER writes FOLDER/TARGET/seed_NAME.
 * The folders must exist. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz/fuzz.h"
#include "support/checksums.h"

enum { BLOCK = 512, RECORD = 3073, ARCHIVE_MAX = 1 << 16, CASES = 17 };

static const char *root;

static void put(const char *target, const char *name, const void *bytes, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s/seed_%s", root, target, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "make_seeds: cannot write %s\n", path);
        exit(1);
    }
}

static void put_text(const char *target, const char *name, const char *text) {
    put(target, name, text, strlen(text));
}

/* ---- safetensors ---- */

static void put_header(const char *name, const char *header, size_t values) {
    uint8_t bytes[1024] = {0};
    const size_t length = strlen(header);
    bytes[0] = (uint8_t)length, bytes[1] = (uint8_t)(length >> 8);
    memcpy(bytes + 8, header, length);
    put("safetensors", name, bytes, 8 + length + values);
}

/* A saved file, and the same without checksums, where a change of a value is not refused at once.
 */
static void put_saved(const char *target, const char *name, const uint8_t *saved, size_t size) {
    char checked[64];
    uint8_t *bytes = malloc(size);
    FUZZ_CHECK(bytes != NULL);
    memcpy(bytes, saved, size);
    snprintf(checked, sizeof checked, "%s_checked", name);
    put(target, checked, bytes, size);
    test_drop_checksums(bytes, size);
    put(target, name, bytes, size);
    free(bytes);
}

static void safetensors(void) {
    put_header("empty", "{}", 0);
    put_header("metadata", "{\"__metadata__\":{\"format\":\"a\",\"\":\"\\u00e9\\n\"}}", 0);
    put_header("types",
               "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
               "\"b\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"
               "\"c\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[32,32]}}",
               32);
    put_header("order",
               "{\"b\":{\"data_offsets\":[4,8],\"dtype\":\"F32\",\"shape\":[1]},"
               "\"a\":{\"data_offsets\":[0,4],\"dtype\":\"U8\",\"shape\":[4]}}   ",
               8);
    size_t size;
    uint8_t *bytes = fuzz_saved_unet(&size);
    put_saved("safetensors", "unet", bytes, size);
    put_saved("unet", "unet", bytes, size);
    free(bytes);
    bytes = fuzz_saved_names(&size);
    put_saved("unet", "names", bytes, size);
    free(bytes);
    bytes = fuzz_saved_checkpoint(&size);
    put("unet", "checkpoint", bytes, size);
    put_saved("checkpoint", "checkpoint", bytes, size);
    free(bytes);
}

static void metadata(void) {
    put_text("metadata", "network", "");
    put_text("metadata", "checkpoint", "!");
    put_text("metadata", "unet",
             "unet.channels=4,0,0,0,0,0,0,0\nunet.norm_groups=4\n"
             "unet.prediction=2\nunet.dropout=0.5\n");
    put_text("metadata", "unet_size", "unet.height=8\nunet.width=2\nunet.norm_eps=0.1\n");
    put_text("metadata", "removed", "unet.levels\nformat\n");
    put_text("metadata", "format", "format_version=2\nformat=libdiffusion.unet\n");
    put_text("metadata", "schedule",
             "schedule.kind=4\nschedule.timesteps=3\n"
             "schedule.flow_shift=3\nschedule.rho=1e2\n");
    put_text("metadata", "cosine", "schedule.kind=1\nschedule.zero_terminal_snr=1\n");
    put_text("metadata", "trainer",
             "!trainer.batch_size=2\ntrainer.loss=1\ntrainer.seed=7\n"
             "trainer.ema_decay=0.5,0,0,0\ntrainer.flip=1\n");
    put_text("metadata", "sampling",
             "!trainer.timestep_sampling=1\ntrainer.accumulation=2\n"
             "trainer.warmup_steps=10\ntrainer.crop_padding=3\n");
    put_text("metadata", "changed",
             "!trainer.batch_size=2\nprogress.base_steps=1\nprogress.base_images=1\n");
    put_text("metadata", "names", "unet.class_names=\xc3\xa9\n");
}

static void configs(void) {
    put_text("config", "defaults", "{\"sample_size\": 32}");
    put_text("config", "network",
             "{\"_class_name\": \"UNet2DModel\", \"sample_size\": [8, 16], \"in_channels\": 1,"
             "\"block_out_channels\": [32, 64], \"down_block_types\": [\"SkipDownBlock2D\","
             "\"AttnDownBlock2D\"], \"up_block_types\": [\"AttnUpBlock2D\","
             "\"ResnetUpsampleBlock2D\"], \"act_fn\": \"mish\", \"norm_eps\": 1e-05,"
             "\"time_embedding_type\": \"learned\", \"num_train_timesteps\": 10,"
             "\"norm_num_groups\": null, \"downsample_type\": \"resnet\","
             "\"class_embed_type\": \"timestep\", \"mid_block_type\": null}");
    put_text("config", "ddpm",
             "!{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"fixed_large\","
             "\"num_train_timesteps\": 100, \"thresholding\": true}");
    put_text("config", "betas",
             "!{\"_class_name\": \"DDIMScheduler\", \"trained_betas\": [0.1, 0.2],"
             "\"num_train_timesteps\": 2, \"set_alpha_to_one\": false}");
    put_text("config", "multistep",
             "!{\"_class_name\": \"DPMSolverMultistepScheduler\", \"solver_order\": 3,"
             "\"lambda_min_clipped\": -Infinity, \"use_karras_sigmas\": true}");
    put_text("config", "unipc",
             "!{\"_class_name\": \"UniPCMultistepScheduler\", \"use_flow_sigmas\": true,"
             "\"prediction_type\": \"flow_prediction\", \"disable_corrector\": []}");
    put_text("config", "edm",
             "!{\"_class_name\": \"EDMDPMSolverMultistepScheduler\", \"sigma_max\": 9,"
             "\"sigma_schedule\": \"exponential\"}");
    put_text("config", "euler",
             "!{\"_class_name\": \"EulerDiscreteScheduler\", \"timestep_spacing\": \"leading\","
             "\"steps_offset\": 1, \"final_sigmas_type\": \"sigma_min\"}");
    put_text("config", "compatible",
             "?{\"_class_name\": \"UniPCMultistepScheduler\", \"beta_schedule\": \"sigmoid\","
             "\"num_train_timesteps\": 50, \"rescale_betas_zero_snr\": true}");
}

/* ---- archives ---- */

static void add_member(uint8_t *tar, size_t *size, const char *name, char type, const void *bytes,
                       size_t length) {
    uint8_t *header = tar + *size;
    unsigned sum = 0;
    memset(header, 0, BLOCK);
    snprintf((char *)header, 100, "%s", name);
    snprintf((char *)header + 100, 8, "%07o", 0644u);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)length);
    header[156] = (uint8_t)type;
    memcpy(header + 257, "ustar\00000", 8);
    memset(header + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum & 0777777);
    memcpy(header + BLOCK, bytes, length);
    *size += BLOCK + (length + BLOCK - 1) / BLOCK * BLOCK;
}

static void put_gzip(const char *name, const uint8_t *tar, size_t tar_size) {
    static uint8_t packed[ARCHIVE_MAX];
    z_stream z = {.next_in = (Bytef *)tar, .avail_in = (uInt)tar_size, .next_out = packed};
    z.avail_out = sizeof packed;
    if (deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
    put("targz", name, packed, sizeof packed - z.avail_out);
    deflateEnd(&z);
}

static void archives(void) {
    static uint8_t tar[ARCHIVE_MAX], records[2 * RECORD];
    static const char pax[] = "30 path=cifar/data_batch_1.bin\n12 size=3073\n";
    size_t size = 0;
    records[0] = 3, records[RECORD] = 9;
    add_member(tar, &size, "data_batch_1.bin", '0', records, RECORD);
    put("targz", "plain", tar, size + 2 * BLOCK);
    put_gzip("one", tar, size + 2 * BLOCK);
    add_member(tar, &size, "cifar-10-batches-bin/data_batch_2.bin", '0', records, 2 * RECORD);
    add_member(tar, &size, "test_batch.bin", '7', records, RECORD);
    put_gzip("all", tar, size + 2 * BLOCK);
    memset(tar, 0, sizeof tar);
    size = 0;
    add_member(tar, &size, "folder/", '5', "", 0);
    add_member(tar, &size, "././@LongLink", 'L', "long/data_batch_1.bin", 22);
    add_member(tar, &size, "short", '0', records, RECORD);
    add_member(tar, &size, "attributes", 'x', pax, sizeof pax - 1);
    add_member(tar, &size, "other", '0', records, RECORD);
    add_member(tar, &size, "global", 'g', pax, sizeof pax - 1);
    add_member(tar, &size, "link", '2', "", 0);
    add_member(tar, &size, "empty", '\0', "", 0);
    put("targz", "members", tar, size + 2 * BLOCK);
    put_gzip("members_gz", tar, size + 2 * BLOCK);
    put("targz", "end", tar + size, 2 * BLOCK);
}

static void folders(void) {
    static const uint8_t one[] = {1, 1, 0, 5},
                         all[] = {63, 1, 0, 2, 0, 1, 0, 1, 0, 3, 0, 1, 0, 9, 1};
    static const uint8_t inner[] = {65, 2, 0, 0, 1, 2}, python[] = {128, 0},
                         gap[] = {5, 1, 0, 1, 0};
    static const uint8_t longer[] = {1, 1, 1, 1}, label[] = {1, 1, 0, 10}, none[] = {0};
    put("cifar_bin", "one", one, sizeof one);
    put("cifar_bin", "all", all, sizeof all);
    put("cifar_bin", "inner", inner, sizeof inner);
    put("cifar_bin", "python", python, sizeof python);
    put("cifar_bin", "gap", gap, sizeof gap);
    put("cifar_bin", "longer", longer, sizeof longer);
    put("cifar_bin", "label", label, sizeof label);
    put("cifar_bin", "none", none, sizeof none);
}

/* ---- inputs that are decoded byte by byte ---- */

static void options(void) {
    /* Each case, with the defaults. */
    for (uint8_t i = 0; i < CASES; i++) {
        char name[16];
        const uint8_t bytes[24] = {i, 1, 1, 1, 0, 0, 31, 0, 2, 2, 2, 2, 2};
        snprintf(name, sizeof name, "case_%02d", i);
        put("options", name, bytes, sizeof bytes);
    }
}

static void calls(void) {
    /* Slot 0 of each kind is made, used and destroyed; the numbers are places in the table of
     * fuzz_calls.c. */
    static const uint8_t training[] = {0, 0, 0, 0,   3,  0, 0, 0, 5,  0, 0, 2, 7,  0, 0,  2, 14, 0,
                                       0, 0, 0, 4,   15, 0, 0, 5, 15, 0, 0, 4, 13, 0, 16, 0, 14, 0,
                                       0, 0, 0, 128, 15, 0, 0, 5, 16, 0, 9, 0, 6,  0, 4,  0, 1,  0};
    static const uint8_t sampling[] = {0,  0,  0, 0,  3,  0, 0,  0,  7,  0, 0,      0,  17,
                                       0,  0,  0, 17, 18, 0, 18, 1,  18, 0, 18 + 8, 18, 0,
                                       2,  18, 0, 7,  18, 0, 3,  18, 0,  4, 18,     0,  5,
                                       18, 0,  6, 19, 0,  9, 0,  4,  0,  1, 0};
    static const uint8_t sharing[] = {1,  0, 0, 0,  0, 1, 0, 7, 0, 0, 0,  8, 1, 1, 0, 8, 2, 0, 0,
                                      11, 0, 3, 10, 1, 0, 1, 0, 9, 0, 10, 1, 0, 9, 1, 9, 2, 1, 1};
    static const uint8_t saving[] = {0, 0, 0, 0,   3, 0, 0, 1,   7,  0, 0, 2, 12, 0, 0,
                                     7, 1, 0, 128, 3, 1, 0, 255, 20, 1, 0, 0, 10, 1, 1};
    static const uint8_t memory[] = {0, 0, 0, 1, 2,  9,  3, 0, 0, 0, 5, 0,  0, 0, 7,
                                     0, 0, 0, 2, 40, 14, 0, 0, 0, 0, 0, 15, 0, 0, 5};
    static const uint8_t nothing[] = {0, 10, 0, 0, 12, 0, 0, 15, 0, 0, 5, 18, 0, 1, 20, 0, 0, 0};
    put("calls", "training", training, sizeof training);
    put("calls", "sampling", sampling, sizeof sampling);
    put("calls", "sharing", sharing, sizeof sharing);
    put("calls", "saving", saving, sizeof saving);
    put("calls", "memory", memory, sizeof memory);
    put("calls", "nothing", nothing, sizeof nothing);
}

static void images(void) {
    static const uint8_t grey[] = {0, 5, 7, 1, 0, 1, 2, 3}, rgb[] = {0, 16, 16, 3, 0, 9, 200, 17};
    static const uint8_t rgba[] = {0, 1, 30, 4, 3, 255, 0}, large[] = {0, 48, 48, 4, 0, 1, 2, 3, 4};
    static const uint8_t grid[] = {1, 4, 5, 3, 2, 2, 2, 5, 8, 90}, none[] = {0, 0, 4, 3};
    static const uint8_t movie[] = {2, 6, 6, 3, 3, 10, 0, 200, 0, 5, 77, 1};
    static const uint8_t small[] = {3, 6, 6, 3, 40, 0, 1, 2}, two[] = {0, 4, 4, 2, 0};
    put("png", "grey", grey, sizeof grey);
    put("png", "rgb", rgb, sizeof rgb);
    put("png", "rgba", rgba, sizeof rgba);
    put("png", "large", large, sizeof large);
    put("png", "grid", grid, sizeof grid);
    put("png", "none", none, sizeof none);
    put("png", "movie", movie, sizeof movie);
    put("png", "small", small, sizeof small);
    put("png", "two_channels", two, sizeof two);
}

/* Pictures of the tests: three bytes of options before the file, which is to be scaled. */
static void pictures(void) {
    static const char *const names[] = {"grey1.png",    "grey_alpha8.png", "interlaced8.png",
                                        "palette4.png", "rgb16_trns.png",  "rgb_alpha16.png",
                                        "claims.jpg",   "cmyk.jpg",        "progressive.jpg",
                                        "restarts.jpg", "subsampled.jpg",  "turned6.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint8_t bytes[4096] = {(uint8_t)(i % 4), 7, 5};
        char path[256];
        snprintf(path, sizeof path, "tests/program/data/%s", names[i]);
        FILE *file = fopen(path, "rb");
        FUZZ_CHECK(file != NULL);
        put("picture", names[i], bytes, 3 + fread(bytes + 3, 1, sizeof bytes - 3, file));
        FUZZ_CHECK(fclose(file) == 0);
    }
    /* Exif data: little endian, an entry of another kind, and orientation 6. */
    const uint8_t exif[] = {4, 0,    0, 'E', 'x',  'i', 'f', 0, 0, 'I', 'I', 42, 0,   8, 0,
                            0, 0,    2, 0,   0x0f, 1,   2,   0, 1, 0,   0,   0,  'a', 0, 0,
                            0, 0x12, 1, 3,   0,    1,   0,   0, 0, 6,   0,   0,  0};
    put("picture", "exif", exif, sizeof exif);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "make_seeds FOLDER\n");
        return 1;
    }
    root = argv[1];
    safetensors();
    metadata();
    configs();
    archives();
    folders();
    options();
    calls();
    images();
    pictures();
    return 0;
}
