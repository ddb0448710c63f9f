/* SPDX-License-Identifier: MIT */
/* Memory, its limit, error texts, checked arithmetic, shapes and the processor. */
#include <pthread.h>

#include "base/cpu.h"
#include "base/sort.h"
#include "base/system.h"
#include "support/support.h"
#include "tensor/shape.h"

/* An allocator that keeps count and never gives more than 8-byte alignment. */
typedef struct counting {
    size_t live, calls, fail_from;
} counting;

static void *odd_allocate(void *user, size_t size) {
    counting *c = user;
    if (c->fail_from != 0 && c->calls + 1 >= c->fail_from) return NULL;
    c->calls++;
    unsigned char *raw = malloc(size + 24);
    size_t shift = (uintptr_t)raw % 16 == 0 ? 8 : 16;
    raw[shift - 1] = (unsigned char)shift;
    c->live += size;
    return raw + shift;
}

static void odd_release(void *user, void *pointer, size_t size) {
    counting *c = user;
    c->live -= size;
    unsigned char *block = pointer;
    free(block - block[-1]);
}

START_TEST(blocks_are_aligned_and_counted) {
    counting c = {0};
    dmi_host host = {.allocate = odd_allocate, .release = odd_release, .allocator_user = &c};
    void *blocks[100];
    for (size_t i = 0; i < 100; i++) {
        ck_assert_int_eq(dmi_alloc(&host, &blocks[i], 7 * i, "block"), DMI_OK);
        ck_assert_uint_eq((uintptr_t)blocks[i] % DMI_ALIGNMENT, 0);
        memset(blocks[i], 0xa5, 7 * i);
        ck_assert_uint_eq(host.used, c.live);
    }
    ck_assert_uint_eq(host.allocations, 100);
    const uint64_t peak = host.used;
    for (size_t i = 0; i < 100; i++) dmi_free(&host, blocks[i]);
    dmi_free(&host, NULL);
    ck_assert_uint_eq(host.used, 0);
    ck_assert_uint_eq(c.live, 0);
    ck_assert_uint_eq(host.peak, peak);
}
END_TEST

START_TEST(zeroed_blocks_are_zero) {
    dmi_host host = {0};
    void *block;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(dmi_alloc_zero(&host, &block, 1000, 4, "block"), DMI_OK);
        for (size_t k = 0; k < 4000; k++) ck_assert_int_eq(((char *)block)[k], 0);
        memset(block, 1, 4000);
        dmi_free(&host, block);
    }
}
END_TEST

START_TEST(the_limit_is_kept) {
    dmi_host host = {.limit = 10 * 1000 * 1000};
    void *first, *second = &host;
    ck_assert_int_eq(dmi_alloc(&host, &first, 8100000, "first"), DMI_OK);
    ck_assert_int_eq(dmi_alloc(&host, &second, 3200000, "unet: the plan"),
                     DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_null(second);
    ck_assert_str_eq(
        host.error,
        "unet: the plan: 3.2 MB would exceed the memory limit of 10.0 MB (8.1 MB in use)");
    ck_assert_uint_eq(host.allocations, 1);
    dmi_free(&host, first);
    ck_assert_int_eq(dmi_alloc(&host, &second, 3200000, "unet: the plan"), DMI_OK);
    dmi_free(&host, second);
    ck_assert_int_eq(dmi_alloc(&host, &second, SIZE_MAX - 100, "huge"), DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

enum { SHARING_THREADS = 4, SHARING_ROUNDS = 200000, SHARING_BYTES = 1000 };

static pthread_barrier_t all_started;

/* Gives each thread the same memory again: the time goes into the host's counts. */
static void *reuse_block(void *user, size_t size) {
    static _Thread_local unsigned char block[2 * SHARING_BYTES];
    (void)user;
    return size <= sizeof block ? block : NULL;
}

static void leave_block(void *user, void *pointer, size_t size) {
    (void)user, (void)pointer, (void)size;
}

static void *allocate_and_free(void *argument) {
    dmi_host *host = argument;
    pthread_barrier_wait(&all_started);
    for (int i = 0; i < SHARING_ROUNDS; i++) {
        void *block;
        if (dmi_alloc(host, &block, SHARING_BYTES, "block")) return host;
        dmi_free(host, block);
    }
    return NULL;
}

/* Threads that hold one block each fit a limit of as many blocks exactly: no allocation fails and
 * no count is lost. */
START_TEST(threads_share_a_host) {
    dmi_host host = {.allocate = reuse_block, .release = leave_block};
    void *block;
    ck_assert_int_eq(dmi_alloc(&host, &block, SHARING_BYTES, "block"), DMI_OK);
    host.limit = SHARING_THREADS * host.used;
    dmi_free(&host, block);
    pthread_t threads[SHARING_THREADS];
    ck_assert_int_eq(pthread_barrier_init(&all_started, NULL, SHARING_THREADS), 0);
    for (int i = 0; i < SHARING_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_and_free, &host), 0);
    for (int i = 0; i < SHARING_THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_msg(!failed, "%s", host.error);
    }
    pthread_barrier_destroy(&all_started);
    ck_assert_uint_eq(host.used, 0);
    ck_assert_uint_eq(host.allocations, 1 + SHARING_THREADS * SHARING_ROUNDS);
    ck_assert_uint_le(host.peak, host.limit);
}
END_TEST

START_TEST(a_failing_allocator_is_reported) {
    counting c = {.fail_from = 1};
    dmi_host host = {.allocate = odd_allocate, .release = odd_release, .allocator_user = &c};
    void *block = &c;
    ck_assert_int_eq(dmi_alloc(&host, &block, 100, "small"), DMI_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_null(block);
    ck_assert_ptr_nonnull(strstr(host.error, "small: no memory for "));
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(products_that_overflow_are_refused) {
    dmi_host host = {0};
    void *block = &host;
    ck_assert_int_eq(dmi_alloc_array(&host, &block, SIZE_MAX / 2, 3, "array"),
                     DMI_ERROR_OUT_OF_MEMORY);
    ck_assert_ptr_null(block);
    ck_assert_int_eq(dmi_alloc_zero(&host, &block, SIZE_MAX / 8 + 1, 8, "array"),
                     DMI_ERROR_OUT_OF_MEMORY);
    ck_assert_int_eq(dmi_alloc(&host, &block, SIZE_MAX, "block"), DMI_ERROR_OUT_OF_MEMORY);

    size_t value = 7;
    ck_assert(!dmi_mul(SIZE_MAX / 2 + 1, 2, &value));
    ck_assert(!dmi_add(SIZE_MAX, 1, &value));
    ck_assert_uint_eq(value, 7);
    ck_assert(dmi_mul(SIZE_MAX / 2, 2, &value));
    ck_assert_uint_eq(value, SIZE_MAX - 1);
    ck_assert(dmi_mul(SIZE_MAX, 0, &value));
    ck_assert_uint_eq(value, 0);
    ck_assert(dmi_add(SIZE_MAX - 1, 1, &value));
    ck_assert_uint_eq(value, SIZE_MAX);
}
END_TEST

/* An array that grows keeps its elements, also where the next block is refused. */
START_TEST(arrays_grow) {
    dmi_host host = {0};
    int32_t *numbers = NULL;
    size_t capacity = 0, blocks = 0;
    for (int32_t i = 0; i < 1000; i++) {
        const size_t before = capacity;
        ck_assert_int_eq(dmi_reserve(&host, &numbers, &capacity, (size_t)i + 1, 4, "test"), DMI_OK);
        ck_assert_uint_gt(capacity, (size_t)i);
        blocks += capacity != before;
        numbers[i] = i;
    }
    ck_assert_uint_lt(blocks, 8);
    /* Where twice the room is too much, just the room is enough. */
    host.limit = host.used + (capacity + 200) * sizeof *numbers;
    const size_t exact = capacity + 1;
    ck_assert_int_eq(dmi_reserve(&host, &numbers, &capacity, exact, 4, "test"), DMI_OK);
    ck_assert_uint_eq(capacity, exact);
    host.limit = 1;
    const size_t before = capacity;
    ck_assert_int_eq(dmi_reserve(&host, &numbers, &capacity, capacity + 1, 4, "test"),
                     DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_int_eq(dmi_reserve(&host, &numbers, &capacity, SIZE_MAX / 2, 4, "test"),
                     DMI_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(capacity, before);
    for (int32_t i = 0; i < 1000; i++) ck_assert_int_eq(numbers[i], i);
    dmi_free(&host, numbers);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

typedef struct sorted_item {
    uint16_t key;
    uint8_t check; /* follows from the key: items move as a whole */
} sorted_item;

static int compare_items(const void *a, const void *b) {
    const sorted_item *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* Random, sorted, reversed and equal keys, of every small count. */
START_TEST(sorting) {
    enum { COUNT_MAX = 70 };
    static sorted_item items[COUNT_MAX];
    for (size_t count = 0; count <= COUNT_MAX; count++)
        for (int order = 0; order < 4; order++) {
            uint32_t sum = 0, after = 0, state = 1;
            for (size_t i = 0; i < count; i++) {
                state = state * 1664525 + 1013904223;
                const uint16_t keys[] = {(uint16_t)(state >> 20), (uint16_t)i,
                                         (uint16_t)(count - i), 7};
                items[i] = (sorted_item){keys[order], (uint8_t)(keys[order] * 37)};
                sum += items[i].key;
            }
            dmi_sort(items, count, sizeof *items, compare_items);
            for (size_t i = 0; i < count; i++) {
                after += items[i].key;
                ck_assert_uint_eq(items[i].check, (uint8_t)(items[i].key * 37));
                ck_assert(i == 0 || items[i - 1].key <= items[i].key);
            }
            ck_assert_uint_eq(sum, after);
        }
}
END_TEST

START_TEST(error_texts) {
    dmi_host host = {0};
    ck_assert_int_eq(dmi_fail(&host, DMI_ERROR_IO, "%s: %d", "here", 5), DMI_ERROR_IO);
    ck_assert_str_eq(host.error, "here: 5");
    dmi_fail(&host, DMI_ERROR_IO, "around (%s)", host.error); /* the old text in the new one */
    ck_assert_str_eq(host.error, "around (here: 5)");

    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    dmi_fail(&host, DMI_ERROR_IO, "%s", longer);
    ck_assert_uint_eq(strlen(host.error), sizeof host.error - 1);

    char text[64];
    ck_assert_str_eq(dmi_errno_text(2, text, sizeof text), "No such file or directory");
}
END_TEST

static void keep_log(void *user, int32_t level, const char *message) {
    snprintf(user, 100, "%d %s", (int)level, message);
}

START_TEST(the_log) {
    char kept[100] = "";
    dmi_host host = {0};
    dmi_log(&host, 1, "dropped %d", 1);
    host.log = keep_log;
    host.log_user = kept;
    dmi_log(&host, 1, "kept %d", 2);
    ck_assert_str_eq(kept, "1 kept 2");
}
END_TEST

START_TEST(shapes) {
    ck_assert(dmi_shape_valid(dmi_shape_of(1, 1, 1, 1)));
    ck_assert(dmi_shape_valid(dmi_shape_of(128, 32, 32, 256)));
    ck_assert(!dmi_shape_valid(dmi_shape_of(0, 1, 1, 1)));
    ck_assert(!dmi_shape_valid(dmi_shape_of(1, -1, 1, 1)));
    ck_assert(!dmi_shape_valid(dmi_shape_of(1, 1, 0, 1)));
    ck_assert(!dmi_shape_valid(dmi_shape_of(1, 1, 1, INT32_MIN)));
    ck_assert(!dmi_shape_valid(dmi_shape_of(INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX)));
#if SIZE_MAX > UINT32_MAX
    const int32_t side = 1 << 15; /* 2^60 floats are 2^62 bytes: one too many; a column less fits */
    ck_assert(!dmi_shape_valid(dmi_shape_of(side, side, side, side)));
    ck_assert(dmi_shape_valid(dmi_shape_of(side, side, side, side - 1)));
#endif
}
END_TEST

START_TEST(the_processor) {
    ck_assert_int_ge(dmi_system_processors(), 1);
    const int32_t isa = dmi_cpu_isa();
#if defined(__x86_64__)
    /* The compiler's own detection must not know less than was found, nor more; MOVBE, LAHF and
     * LZCNT it does not know. */
    __builtin_cpu_init();
    const dmi_cpu_words words = dmi_cpu_read();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                    (words.leaf1_ecx & 0x400000) && (words.leaf80000001_ecx & 0x21) == 0x21;
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    ck_assert_int_eq(isa, v4 ? DMI_ISA_V4 : v3 ? DMI_ISA_V3 : DMI_ISA_BASE);
#else
    ck_assert_int_eq(isa, DMI_ISA_BASE);
#endif
    const double before = dmi_seconds();
    ck_assert(dmi_seconds() >= before);
}
END_TEST

#if defined(__x86_64__)
/* Bits that a level lacks where they are all that a complete processor lacks, one by one, by the
 * psABI's names. */
typedef struct lacking {
    const char *name;
    dmi_cpu_words bits;
    int32_t level;
    uint32_t without; /* DMI_BF16_* that are lost too, where the level stays */
} lacking;

static const lacking lackings[] = {
    {"nothing", {.xcr0 = 0}, DMI_ISA_V4, 0},
    {"SSE3", {.leaf1_ecx = 0x1}, DMI_ISA_BASE, 0},
    {"SSSE3", {.leaf1_ecx = 0x200}, DMI_ISA_BASE, 0},
    {"FMA", {.leaf1_ecx = 0x1000}, DMI_ISA_BASE, 0},
    {"CMPXCHG16B", {.leaf1_ecx = 0x2000}, DMI_ISA_BASE, 0},
    {"SSE4.1", {.leaf1_ecx = 0x80000}, DMI_ISA_BASE, 0},
    {"SSE4.2", {.leaf1_ecx = 0x100000}, DMI_ISA_BASE, 0},
    {"MOVBE", {.leaf1_ecx = 0x400000}, DMI_ISA_BASE, 0},
    {"POPCNT", {.leaf1_ecx = 0x800000}, DMI_ISA_BASE, 0},
    {"OSXSAVE", {.leaf1_ecx = 0x8000000}, DMI_ISA_BASE, 0},
    {"AVX", {.leaf1_ecx = 0x10000000}, DMI_ISA_BASE, 0},
    {"F16C", {.leaf1_ecx = 0x20000000}, DMI_ISA_BASE, 0},
    {"BMI1", {.leaf7_ebx = 0x8}, DMI_ISA_BASE, 0},
    {"AVX2", {.leaf7_ebx = 0x20}, DMI_ISA_BASE, 0},
    {"BMI2", {.leaf7_ebx = 0x100}, DMI_ISA_BASE, 0},
    {"LAHF", {.leaf80000001_ecx = 0x1}, DMI_ISA_BASE, 0},
    {"LZCNT", {.leaf80000001_ecx = 0x20}, DMI_ISA_BASE, 0},
    {"XMM saved", {.xcr0 = 0x2}, DMI_ISA_BASE, 0},
    {"YMM saved", {.xcr0 = 0x4}, DMI_ISA_BASE, 0},
    {"AVX512F", {.leaf7_ebx = 0x10000}, DMI_ISA_V3, 0},
    {"AVX512DQ", {.leaf7_ebx = 0x20000}, DMI_ISA_V3, 0},
    {"AVX512CD", {.leaf7_ebx = 0x10000000}, DMI_ISA_V3, 0},
    {"AVX512BW", {.leaf7_ebx = 0x40000000}, DMI_ISA_V3, 0},
    {"AVX512VL", {.leaf7_ebx = 0x80000000}, DMI_ISA_V3, 0},
    {"masks saved", {.xcr0 = 0x20}, DMI_ISA_V3, 0},
    {"upper halves of ZMM0-15 saved", {.xcr0 = 0x40}, DMI_ISA_V3, 0},
    {"ZMM16-31 saved", {.xcr0 = 0x80}, DMI_ISA_V3, 0},
    {"the state of x87", {.xcr0 = 0x1}, DMI_ISA_V4, 0},
    {"AVX-512 IFMA", {.leaf7_ebx = 0x200000}, DMI_ISA_V4, 0},
    {"RDRAND", {.leaf1_ecx = 0x40000000}, DMI_ISA_V4, 0},
    {"AVX512_BF16", {.leaf7_1_eax = 0x20}, DMI_ISA_V4, DMI_BF16_PAIRS},
    {"AMX-BF16", {.leaf7_edx = 0x400000}, DMI_ISA_V4, DMI_BF16_TILES},
    {"AMX-TILE", {.leaf7_edx = 0x1000000}, DMI_ISA_V4, DMI_BF16_TILES},
    {"configuration of tiles saved", {.xcr0 = 0x20000}, DMI_ISA_V4, DMI_BF16_TILES},
    {"data of tiles saved", {.xcr0 = 0x40000}, DMI_ISA_V4, DMI_BF16_TILES},
};

START_TEST(a_level_needs_all_of_its_features_and_registers) {
    const lacking *l = &lackings[_i];
    const dmi_cpu_words words = {.leaf1_ecx = ~l->bits.leaf1_ecx,
                                 .leaf7_ebx = ~l->bits.leaf7_ebx,
                                 .leaf80000001_ecx = ~l->bits.leaf80000001_ecx,
                                 .leaf7_edx = ~l->bits.leaf7_edx,
                                 .leaf7_1_eax = ~l->bits.leaf7_1_eax,
                                 .xcr0 = ~l->bits.xcr0};
    const int32_t level = dmi_cpu_level(&words);
    ck_assert_msg(level == l->level, "without %s the level is %d, not %d", l->name, (int)level,
                  (int)l->level);
    const uint32_t all = DMI_BF16_PAIRS | DMI_BF16_TILES, found = dmi_cpu_bf16_of(&words);
    ck_assert_msg(found == (level < DMI_ISA_V4 ? 0 : all & ~l->without),
                  "without %s the products of bfloat16 are %u", l->name, (unsigned)found);
    const dmi_cpu_words none = {0};
    ck_assert_int_eq(dmi_cpu_level(&none), DMI_ISA_BASE);
    const dmi_cpu_words here = dmi_cpu_read();
    ck_assert_int_eq(dmi_cpu_level(&here), dmi_cpu_isa());
}
END_TEST
#endif

Suite *test_base_suite(void);
/* Large blocks are zero where they shall be, can be written to their ends, and are freed. */
START_TEST(blocks_of_large_pages) {
    static const size_t sizes[] = {(4u << 20) + 1, 16u << 20};
    dmi_host host = {.large_pages = true};
    for (size_t i = 0; i < 2; i++) {
        unsigned char *zeros, *plain;
        ck_assert_int_eq(dmi_alloc_zero(&host, &zeros, sizes[i], 1, "zeros"), DMI_OK);
        ck_assert_int_eq(dmi_alloc(&host, &plain, sizes[i], "block"), DMI_OK);
        size_t others = 0;
        for (size_t k = 0; k < sizes[i]; k++) others += zeros[k] != 0;
        ck_assert_uint_eq(others, 0);
        memset(plain, 7, sizes[i]);
        memset(zeros, 7, sizes[i]);
        ck_assert(plain[0] == 7 && plain[sizes[i] - 1] == 7 && zeros[sizes[i] - 1] == 7);
        dmi_free(&host, zeros);
        dmi_free(&host, plain);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

Suite *test_base_suite(void) {
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    tcase_add_test(tests, blocks_are_aligned_and_counted);
    tcase_add_test(tests, zeroed_blocks_are_zero);
    tcase_add_test(tests, blocks_of_large_pages);
    tcase_add_test(tests, the_limit_is_kept);
    tcase_add_test(tests, threads_share_a_host);
    tcase_add_test(tests, a_failing_allocator_is_reported);
    tcase_add_test(tests, products_that_overflow_are_refused);
    tcase_add_test(tests, arrays_grow);
    tcase_add_test(tests, sorting);
    tcase_add_test(tests, error_texts);
    tcase_add_test(tests, the_log);
    tcase_add_test(tests, shapes);
    tcase_add_test(tests, the_processor);
#if defined(__x86_64__)
    tcase_add_loop_test(tests, a_level_needs_all_of_its_features_and_registers, 0,
                        sizeof lackings / sizeof *lackings);
#endif
    suite_add_tcase(suite, tests);
    return suite;
}
