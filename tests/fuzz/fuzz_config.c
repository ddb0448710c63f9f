/* SPDX-License-Identifier: MIT */
/* Fuzz target: a config.json of diffusers, or after '!' a scheduler_config.json, or after '?' one
 * to be compatible. What is accepted is within the ranges of the options, and a scheduler can be
 * checked for writing. */
#include <string.h>

#include "core/context.h"
#include "diffusion/diffusers.h"
#include "fuzz/fuzz.h"
#include "unet/diffusers.h"
#include "unet/options.h"

enum { LIMIT = 16 << 20 };

static void read_network(dm_context *context, dmi_config *config) {
    dm_diffusers_options none;
    dm_unet_options o;
    FUZZ_CHECK(!dm_diffusers_options_init(&none, sizeof none));
    if (!fuzz_ok(context, dmi_diffusers_read_options(config, &none, &o))) return;
    FUZZ_CHECK(o.levels >= 1 && o.levels <= DM_LEVELS_MAX);
    dm_status status = dmi_struct_check(&context->host, &dmi_struct_unet_options, &o);
    FUZZ_CHECK(!status);
    fuzz_ok(context, dmi_unet_check_options(&context->host, &o));
}

static void read_scheduler(dm_context *context, dmi_config *config, bool compatible) {
    dm_sampler_options o;
    dm_schedule *schedule;
    const char *name;
    FUZZ_CHECK(!dm_sampler_options_init(&o, sizeof o));
    dm_status status = dmi_diffusers_read_scheduler(&schedule, context, config, compatible, &o);
    if (!fuzz_created(context, status, schedule)) return;
    FUZZ_CHECK(!dmi_struct_check(&context->host, &dmi_struct_sampler_options, &o));
    const dmi_diffusers_model model = {o.expected_prediction, true, 0.5};
    fuzz_ok(context,
            dmi_diffusers_write_scheduler(&context->host, NULL, schedule, &o, &model, &name));
    dmi_schedule_free(schedule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dm_context *context;
    if (!context) context = fuzz_context(LIMIT);
    const uint64_t used = fuzz_used(context);
    const bool compatible = size > 0 && data[0] == '?',
               scheduler = compatible || (size > 0 && data[0] == '!');
    dmi_config config;
    dm_status status = dmi_config_parse(&context->host, &config, (const char *)data + scheduler,
                                        size - scheduler, "config");
    if (fuzz_ok(context, status)) {
        if (scheduler) read_scheduler(context, &config, compatible);
        else read_network(context, &config);
        dmi_config_free(&config);
    }
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
