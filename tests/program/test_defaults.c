/* SPDX-License-Identifier: MIT */
/* The networks that train chooses: every size that it may give one gives a network. */
#include "train/defaults.h"

#include "support/allocator.h"
#include "support/refusal.h"
#include "support/support.h"
#include "train/machine.h"

typedef struct choice {
    dm_unet_options unet;
    dm_schedule_options schedule;
    dm_trainer_options trainer;
} choice;

static choice choose(const char *preset, int32_t height, int32_t width) {
    choice c;
    ck_assert_int_eq(dm_schedule_options_init(&c.schedule, sizeof c.schedule), DM_OK);
    ck_assert_int_eq(dm_trainer_options_init(&c.trainer, sizeof c.trainer), DM_OK);
    choose_trainer(&c.trainer);
    choose_network(&c.unet, &c.schedule, &c.trainer, preset, height, width);
    return c;
}

/* All heights and widths of multiples of 4. Levels are added until the lowest has 8 pixels, where
 * the size can be halved that often, with one of them in which attention sees 16 pixels or less. */
START_TEST(levels_of_sizes) {
    for (int32_t height = 8; height <= 512; height += 4)
        for (int32_t width = 8; width <= 512; width += 4 * (1 + height % 5)) {
            const choice c = choose(NULL, height, width);
            const dm_unet_options *u = &c.unet;
            const int32_t side = height > width ? height : width, block = 1 << (u->levels - 1);
            ck_assert_int_ge(u->levels, 3);
            ck_assert_int_le(u->levels, DM_LEVELS_MAX);
            ck_assert(height % block == 0 && width % block == 0);
            ck_assert(side <= 32 ? u->levels == 3 : side >> (u->levels - 1) >= 8);
            int32_t attention = 0;
            for (int32_t i = 0; i < u->levels; i++) {
                ck_assert(u->channels[i] > 0 && u->blocks[i] > 0);
                attention += u->attention[i];
                if (side > 32 && u->attention[i]) ck_assert_int_le(side >> i, 16);
            }
            ck_assert_int_le(attention, side > 32 ? 1 : 3);
            for (int32_t i = u->levels; i < DM_LEVELS_MAX; i++) ck_assert_int_eq(u->channels[i], 0);
        }
    ck_assert_int_eq(choose(NULL, 64, 64).unet.levels, 4);
    ck_assert_int_eq(choose(NULL, 256, 256).unet.levels, 6);
}
END_TEST

START_TEST(batches_and_rates) {
    ck_assert_int_eq(choose(NULL, 32, 32).trainer.batch_size, 64);
    ck_assert_int_eq(choose(NULL, 32, 64).trainer.batch_size, 32);
    ck_assert_int_eq(choose(NULL, 128, 8).trainer.batch_size, 16);
    ck_assert_double_eq(choose(NULL, 32, 32).trainer.learning_rate, 1e-3);
    ck_assert_double_eq(choose("small", 32, 32).trainer.learning_rate, 5e-4);
    const choice ddpm = choose("ddpm-cifar10", 32, 32);
    ck_assert_double_eq(ddpm.trainer.learning_rate, 2e-4);
    ck_assert_int_eq(ddpm.schedule.kind, DM_SCHEDULE_LINEAR);
}
END_TEST

/* Each preset and the usual networks can be created at their size. */
START_TEST(networks_can_be_created) {
    static const int32_t sizes[][2] = {{8, 8}, {28, 28}, {36, 48}, {64, 64}, {40, 40}, {96, 64}};
    dm_context *context = test_context_new(NULL, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        choice c = choose(NULL, sizes[i][0], sizes[i][1]);
        dm_unet *unet;
        c.unet.height = sizes[i][0];
        c.unet.width = sizes[i][1];
        test_accepted(context, dm_unet_create(&unet, context, &c.unet, 1));
        dm_unet_destroy(unet);
    }
    dm_context_destroy(context);
}
END_TEST

START_TEST(machine) {
    char name[200], shortened[5];
    ck_assert_str_ne(machine_name(name, sizeof name), "");
    ck_assert_uint_lt(strlen(machine_name(shortened, sizeof shortened)), sizeof shortened);
    const uint64_t used = machine_used_memory();
    ck_assert(used == 0 || used > 100000);
    ck_assert(machine_free_memory() == 0 || machine_free_memory() > 1000000);
}
END_TEST

Suite *test_defaults_suite(void);
Suite *test_defaults_suite(void) {
    Suite *suite = suite_create("defaults");
    TCase *tests = tcase_create("defaults");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, levels_of_sizes);
    tcase_add_test(tests, batches_and_rates);
    tcase_add_test(tests, networks_can_be_created);
    tcase_add_test(tests, machine);
    suite_add_tcase(suite, tests);
    return suite;
}
