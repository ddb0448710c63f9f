/* SPDX-License-Identifier: MIT */
/* Datasets whose images have conditions: from memory and callbacks, described shapes, and images
 * with themselves at a lower resolution. */
#include "support/allocator.h"
#include "support/refusal.h"
#include "support/support.h"

enum { HEIGHT = 12, WIDTH = 18, PIXELS = HEIGHT * WIDTH, COUNT = 5, CHANNELS = 3, DEEP = 2 };
enum { IMAGE = PIXELS * CHANNELS, CONDITION = PIXELS * DEEP, SIZE = 4 };

typedef struct arrays {
    uint8_t pixels[COUNT * IMAGE], conditions[COUNT * CONDITION];
    float vectors[COUNT * SIZE];
} arrays;

static void fill(arrays *a) {
    for (size_t i = 0; i < sizeof a->pixels; i++) a->pixels[i] = (uint8_t)(i * i * 31 % 251 + i);
    for (size_t i = 0; i < sizeof a->conditions; i++) a->conditions[i] = (uint8_t)(i * 7 % 253);
    test_fill(a->vectors, COUNT * SIZE, 3, 2);
}

static dm_dataset_memory memory_of(const arrays *a) {
    dm_dataset_memory m;
    ck_assert_int_eq(dm_dataset_memory_init(&m, sizeof m), DM_OK);
    m.count = COUNT;
    m.height = HEIGHT;
    m.width = WIDTH;
    m.channels = CHANNELS;
    m.pixel_bytes = sizeof a->pixels;
    m.pixels = a->pixels;
    m.condition_channels = DEEP;
    m.condition_size = SIZE;
    m.condition_image_bytes = sizeof a->conditions;
    m.condition_vector_elements = COUNT * SIZE;
    m.condition_images = a->conditions;
    m.condition_vectors = a->vectors;
    return m;
}

static dm_dataset_info info_of(const dm_dataset *dataset) {
    dm_dataset_info info;
    ck_assert_int_eq(dm_dataset_info_init(&info, sizeof info), DM_OK);
    ck_assert_int_eq(dm_dataset_get_info(dataset, &info), DM_OK);
    return info;
}

/* ---- memory ---- */

START_TEST(conditions_in_memory) {
    static arrays a, changed;
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    fill(&a);
    changed = a;
    dm_dataset_memory m = memory_of(&changed);
    m.copy = _i;
    m.vector_invariant = 1;
    test_accepted(context, dm_dataset_create_from_memory(&dataset, context, &m));
    if (m.copy) memset(&changed, 0, sizeof changed);
    dm_dataset_info info = info_of(dataset);
    ck_assert_int_eq(info.condition_channels, DEEP);
    ck_assert_int_eq(info.condition_size, SIZE);
    ck_assert_int_eq(info.vector_invariant, 1);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint8_t pixels[IMAGE], image[CONDITION];
        float vector[SIZE];
        test_accepted(context, dm_dataset_get_image(dataset, i, pixels, IMAGE, NULL));
        ck_assert_mem_eq(pixels, a.pixels + i * IMAGE, IMAGE);
        test_accepted(context,
                      dm_dataset_get_condition(dataset, i, image, CONDITION, vector, SIZE));
        ck_assert_mem_eq(image, a.conditions + i * CONDITION, CONDITION);
        ck_assert_mem_eq(vector, a.vectors + i * SIZE, sizeof vector);
        memset(vector, 0, sizeof vector);
        test_accepted(context, dm_dataset_get_condition(dataset, i, NULL, 0, vector, SIZE));
        ck_assert_mem_eq(vector, a.vectors + i * SIZE, sizeof vector);
    }
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

static uint64_t fingerprint_of(dm_context *context, const dm_dataset_memory *m) {
    dm_dataset *dataset;
    test_accepted(context, dm_dataset_create_from_memory(&dataset, context, m));
    uint64_t fingerprint = info_of(dataset).fingerprint;
    dm_dataset_destroy(dataset);
    return fingerprint;
}

START_TEST(fingerprints_cover_conditions) {
    static arrays a;
    dm_context *context = test_context_new(NULL, 0);
    fill(&a);
    dm_dataset_memory m = memory_of(&a);
    const uint64_t before = fingerprint_of(context, &m);
    ck_assert_uint_eq(fingerprint_of(context, &m), before);
    a.conditions[COUNT * CONDITION - 1]++;
    ck_assert_uint_ne(fingerprint_of(context, &m), before);
    a.conditions[COUNT * CONDITION - 1]--;
    a.vectors[COUNT * SIZE - 1] += 1;
    ck_assert_uint_ne(fingerprint_of(context, &m), before);
    fill(&a);
    ck_assert_uint_eq(fingerprint_of(context, &m), before);
    m.vector_invariant = 1;
    ck_assert_uint_ne(fingerprint_of(context, &m), before);
    dm_context_destroy(context);
}
END_TEST

START_TEST(memory_refusals) {
    static arrays a;
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    fill(&a);
#define REFUSED(status, change, words)                                                             \
    do {                                                                                           \
        dm_dataset_memory m = memory_of(&a);                                                       \
        change;                                                                                    \
        test_refused(context, dm_dataset_create_from_memory(&dataset, context, &m), status,        \
                     words);                                                                       \
    } while (0)
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.condition_images = NULL, "'condition_images' is NULL");
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.condition_vectors = NULL, "'condition_vectors' is NULL");
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.condition_channels = 0, "'condition_images' is given|0");
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.condition_size = 0, "'condition_vectors' is given|0");
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.condition_channels = 65, "'condition_channels' is 65|64");
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.vector_invariant = 2, "'vector_invariant' is 2");
    REFUSED(DM_ERROR_SHAPE_MISMATCH, m.condition_image_bytes--,
            "'condition_image_bytes' is 2159|must be 2160");
    REFUSED(DM_ERROR_SHAPE_MISMATCH, m.condition_vector_elements++,
            "'condition_vector_elements' is 21|must be 20");
    a.vectors[3 * SIZE + 2] = NAN;
    REFUSED(DM_ERROR_INVALID_ARGUMENT, m.copy = 1, "element 2|image 3|nan|finite");
    fill(&a);

    dm_dataset_memory m = memory_of(&a);
    uint8_t image[CONDITION];
    float vector[SIZE];
    m.condition_size = 0;
    m.condition_vectors = NULL;
    m.condition_vector_elements = 0;
    test_accepted(context, dm_dataset_create_from_memory(&dataset, context, &m));
    test_refused(context, dm_dataset_get_condition(dataset, COUNT, image, CONDITION, NULL, 0),
                 DM_ERROR_NOT_FOUND, "'index' is 5|5 images");
    test_refused(context, dm_dataset_get_condition(dataset, 0, image, 1, NULL, 0),
                 DM_ERROR_SHAPE_MISMATCH, "condition image is 1|must be 432");
    test_refused(context, dm_dataset_get_condition(dataset, 0, image, CONDITION, NULL, 4),
                 DM_ERROR_SHAPE_MISMATCH, "condition vector is 4|must be 0");
    test_refused(context, dm_dataset_get_condition(dataset, 0, image, CONDITION, vector, SIZE),
                 DM_ERROR_INVALID_ARGUMENT, "no condition vector");
    ck_assert_int_eq(dm_dataset_get_condition(NULL, 0, NULL, 0, NULL, 0),
                     DM_ERROR_INVALID_ARGUMENT);
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

/* ---- callbacks ---- */

typedef struct reader {
    const arrays *arrays;
    bool silent;  /* conditions are left as they were */
    float spoilt; /* the vector's last float, unless 0 */
} reader;

static int32_t read_item(void *user, dm_dataset_item *item) {
    const reader *r = user;
    memcpy(item->pixels, r->arrays->pixels + item->index * IMAGE, IMAGE);
    if (item->condition_image_bytes != CONDITION || item->condition_vector_elements != SIZE)
        return 1;
    if (r->silent) return 0;
    memcpy(item->condition_image, r->arrays->conditions + item->index * CONDITION, CONDITION);
    memcpy(item->condition_vector, r->arrays->vectors + item->index * SIZE, SIZE * sizeof(float));
    if (r->spoilt != 0) item->condition_vector[SIZE - 1] = r->spoilt;
    return 0;
}

START_TEST(conditions_of_a_callback) {
    static arrays a;
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    dm_dataset_callback c;
    reader r = {&a, false, 0};
    uint8_t image[CONDITION], pixels[IMAGE];
    float vector[SIZE];
    fill(&a);
    ck_assert_int_eq(dm_dataset_callback_init(&c, sizeof c), DM_OK);
    c.count = COUNT;
    c.height = HEIGHT;
    c.width = WIDTH;
    c.channels = CHANNELS;
    c.condition_channels = DEEP;
    c.condition_size = SIZE;
    c.read = read_item;
    c.user = &r;
    test_accepted(context, dm_dataset_create_from_callback(&dataset, context, &c));
    test_accepted(context, dm_dataset_get_image(dataset, 3, pixels, IMAGE, NULL));
    ck_assert_mem_eq(pixels, a.pixels + 3 * IMAGE, IMAGE);
    test_accepted(context, dm_dataset_get_condition(dataset, 2, image, CONDITION, vector, SIZE));
    ck_assert_mem_eq(image, a.conditions + 2 * CONDITION, CONDITION);
    ck_assert_mem_eq(vector, a.vectors + 2 * SIZE, sizeof vector);
    r.spoilt = INFINITY;
    test_refused(context, dm_dataset_get_condition(dataset, 1, NULL, 0, vector, SIZE),
                 DM_ERROR_INVALID_ARGUMENT, "element 3|image 1|inf|finite");
    r.silent = true;
    static const uint8_t zeros[CONDITION];
    test_accepted(context, dm_dataset_get_condition(dataset, 1, image, CONDITION, NULL, 0));
    ck_assert_mem_eq(image, zeros, CONDITION);
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

/* ---- images of lower resolution ---- */

/* The mean of a block at clamped coordinates, rounded. */
static double block_mean(const uint8_t *pixels, int32_t f, int32_t row, int32_t column, int32_t c) {
    const int32_t rows = HEIGHT / f, columns = WIDTH / f;
    double sum = 0;
    row = row < 0 ? 0 : row >= rows ? rows - 1 : row;
    column = column < 0 ? 0 : column >= columns ? columns - 1 : column;
    for (int32_t y = row * f; y < (row + 1) * f; y++)
        for (int32_t x = column * f; x < (column + 1) * f; x++)
            sum += pixels[(y * WIDTH + x) * CHANNELS + c];
    return floor(sum / (f * f) + 0.5);
}

/* Linear interpolation between the centres of blocks. */
static double enlarged(const uint8_t *pixels, int32_t f, int32_t y, int32_t x, int32_t c) {
    const double row = (y + 0.5) / f - 0.5, column = (x + 0.5) / f - 0.5;
    const int32_t i = (int32_t)floor(row), j = (int32_t)floor(column);
    const double v = row - i, u = column - j;
    return (1 - v) *
               ((1 - u) * block_mean(pixels, f, i, j, c) + u * block_mean(pixels, f, i, j + 1, c)) +
           v * ((1 - u) * block_mean(pixels, f, i + 1, j, c) +
                u * block_mean(pixels, f, i + 1, j + 1, c));
}

START_TEST(downscaled_images) {
    static const int32_t factors[] = {2, 3, 6};
    static arrays a;
    const int32_t f = factors[_i];
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *source, *dataset;
    uint8_t image[IMAGE], pixels[IMAGE];
    float vector[SIZE];
    fill(&a);
    dm_dataset_memory m = memory_of(&a);
    m.condition_channels = 0;
    m.condition_images = NULL;
    m.condition_image_bytes = 0;
    test_accepted(context, dm_dataset_create_from_memory(&source, context, &m));
    test_accepted(context, dm_dataset_create_downscaled(&dataset, source, f));
    ck_assert_int_eq(info_of(dataset).condition_channels, CHANNELS);
    ck_assert_int_eq(info_of(dataset).condition_size, SIZE);
    ck_assert(info_of(dataset).fingerprint != 0 &&
              info_of(dataset).fingerprint != info_of(source).fingerprint);
    test_accepted(context, dm_dataset_get_image(dataset, 4, pixels, IMAGE, NULL));
    ck_assert_mem_eq(pixels, a.pixels + 4 * IMAGE, IMAGE);
    test_accepted(context, dm_dataset_get_condition(dataset, 4, image, IMAGE, vector, SIZE));
    ck_assert_mem_eq(vector, a.vectors + 4 * SIZE, sizeof vector);
    for (int32_t k = 0; k < IMAGE; k++) {
        double want = enlarged(pixels, f, k / CHANNELS / WIDTH, k / CHANNELS % WIDTH, k % CHANNELS);
        ck_assert_msg(fabs(image[k] - want) <= 0.5 + 1e-9, "element %d is %d, not %g", (int)k,
                      image[k], want);
    }
    dm_dataset_destroy(dataset);
    dm_dataset_destroy(source);
    dm_context_destroy(context);
}
END_TEST

START_TEST(downscaled_refusals) {
    static arrays a;
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *source, *dataset, *twice;
    test_accepted(context, dm_dataset_create_shapes(&source, context, 18, 10, 1));
    test_refused(context, dm_dataset_create_downscaled(&dataset, source, 1),
                 DM_ERROR_INVALID_ARGUMENT, "'factor' is 1|from 2 to 64");
    test_refused(context, dm_dataset_create_downscaled(&dataset, source, 4),
                 DM_ERROR_INVALID_ARGUMENT, "'factor' is 4|divide|18 x 18");
    test_refused(context, dm_dataset_create_downscaled(NULL, source, 2), DM_ERROR_INVALID_ARGUMENT,
                 "'out' is NULL");
    ck_assert_int_eq(dm_dataset_create_downscaled(&dataset, NULL, 2), DM_ERROR_INVALID_ARGUMENT);
    test_accepted(context, dm_dataset_create_downscaled(&dataset, source, 3));
    ck_assert_str_eq(dm_dataset_class_name(dataset, 3), "star");
    test_refused(context, dm_dataset_create_downscaled(&twice, dataset, 2),
                 DM_ERROR_INVALID_ARGUMENT, "condition images of 3 channels already");
    dm_dataset_destroy(dataset);
    dm_dataset_destroy(source);

    /* Of a callback, whose errors come through. */
    reader r = {&a, false, NAN};
    dm_dataset_callback c;
    float vector[SIZE];
    ck_assert_int_eq(dm_dataset_callback_init(&c, sizeof c), DM_OK);
    c.count = COUNT;
    c.height = HEIGHT;
    c.width = WIDTH;
    c.channels = CHANNELS;
    c.condition_size = SIZE;
    c.read = read_item;
    c.user = &r;
    test_accepted(context, dm_dataset_create_from_callback(&source, context, &c));
    test_accepted(context, dm_dataset_create_downscaled(&dataset, source, 2));
    ck_assert_uint_eq(info_of(dataset).fingerprint, 0);
    test_refused(context, dm_dataset_get_condition(dataset, 0, NULL, 0, vector, SIZE),
                 DM_ERROR_CALLBACK_FAILED, "image 0");
    dm_dataset_destroy(dataset);
    dm_dataset_destroy(source);
    dm_context_destroy(context);
}
END_TEST

/* ---- shapes ---- */

/* Every tenth shape is a circle, of which pixels and vector can be compared: area and centre from
 * the share of its colour in each pixel. */
static void check_circle(const uint8_t *pixels, int32_t side, const float v[6]) {
    const double radius = (0.35 + 0.06 * (double)v[2]) * side * 0.92;
    const double x = (0.5 + 0.13 * (double)v[0]) * side, y = (0.5 + 0.13 * (double)v[1]) * side;
    double area = 0, of_x = 0, of_y = 0;
    for (int32_t i = 0; i < side * side; i++) {
        double at_x = i % side + 0.5, at_y = i / side + 0.5;
        double distance = hypot(at_x - x, at_y - y) - radius;
        double inside = fmin(fmax(0.5 - distance, 0), 1);
        area += inside;
        of_x += inside * at_x;
        of_y += inside * at_y;
        if (distance > -1) continue;
        for (int32_t c = 0; c < 3; c++)
            ck_assert_double_eq_tol(pixels[i * 3 + c], ((double)v[3 + c] + 1) * 127.5, 0.51);
    }
    ck_assert_double_eq_tol(of_x / area, x, 0.05);
    ck_assert_double_eq_tol(of_y / area, y, 0.05);
    /* Outside there is no pixel of its colour. */
    for (int32_t i = 0; i < side * side; i++)
        if (hypot(i % side + 0.5 - x, i / side + 0.5 - y) > radius + 1)
            ck_assert(fabs(pixels[i * 3] - ((double)v[3] + 1) * 127.5) > 1 ||
                      fabs(pixels[i * 3 + 1] - ((double)v[4] + 1) * 127.5) > 1 ||
                      fabs(pixels[i * 3 + 2] - ((double)v[5] + 1) * 127.5) > 1);
}

START_TEST(described_shapes) {
    enum { SHAPES = 200, SIDE = 32, BYTES = SIDE * SIDE * 3 };
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *plain, *described;
    static uint8_t one[BYTES], other[BYTES];
    float v[6], low[6], high[6];
    test_accepted(context, dm_dataset_create_shapes(&plain, context, SIDE, SHAPES, 4));
    test_accepted(context,
                  dm_dataset_create_described_shapes(&described, context, SIDE, SHAPES, 4));
    ck_assert_int_eq(info_of(described).condition_size, 6);
    ck_assert_int_eq(info_of(described).vector_invariant, 0);
    ck_assert_uint_ne(info_of(described).fingerprint, info_of(plain).fingerprint);
    for (int32_t k = 0; k < 6; k++) low[k] = INFINITY, high[k] = -INFINITY;
    for (uint64_t i = 0; i < SHAPES; i++) {
        test_accepted(context, dm_dataset_get_image(plain, i, one, BYTES, NULL));
        test_accepted(context, dm_dataset_get_image(described, i, other, BYTES, NULL));
        ck_assert_mem_eq(one, other, BYTES);
        test_accepted(context, dm_dataset_get_condition(described, i, NULL, 0, v, 6));
        for (int32_t k = 0; k < 6; k++)
            low[k] = fminf(low[k], v[k]), high[k] = fmaxf(high[k], v[k]);
        if (i % 10 == 0) check_circle(other, SIDE, v);
    }
    for (int32_t k = 0; k < 6; k++) {
        const float reached = k == 2 ? 0.9f : 0.5f;
        ck_assert(low[k] >= -1.0001f && low[k] < -reached);
        ck_assert(high[k] <= 1.0001f && high[k] > reached);
    }
    dm_dataset_destroy(plain);
    test_refused(context, dm_dataset_create_described_shapes(&plain, context, 15, 1, 0),
                 DM_ERROR_INVALID_ARGUMENT, "'size' is 15");
    ck_assert_int_eq(dm_dataset_create_described_shapes(&plain, NULL, 16, 1, 0),
                     DM_ERROR_INVALID_ARGUMENT);
    dm_dataset_destroy(described);
    dm_context_destroy(context);
}
END_TEST

Suite *test_condition_data_suite(void);
Suite *test_condition_data_suite(void) {
    Suite *suite = suite_create("condition_data");
    TCase *tcase = tcase_create("condition_data");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, conditions_in_memory, 0, 2);
    tcase_add_test(tcase, fingerprints_cover_conditions);
    tcase_add_test(tcase, memory_refusals);
    tcase_add_test(tcase, conditions_of_a_callback);
    tcase_add_loop_test(tcase, downscaled_images, 0, 3);
    tcase_add_test(tcase, downscaled_refusals);
    tcase_add_test(tcase, described_shapes);
    suite_add_tcase(suite, tcase);
    return suite;
}
