/* SPDX-License-Identifier: MIT */
/* A user's program, built against an installed library by pkg-config alone. */
#include <diffusion.h>
#include <stdio.h>

int main(void) {
    dm_context *context;
    dm_unet_options options;
    dm_unet *unet;
    if (dm_unet_options_preset(&options, sizeof options, DM_PRESET_DDPM_CIFAR10)) return 1;
    char error[256];
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    if (dm_unet_create(&unet, context, &options, 1)) {
        fprintf(stderr, "%s\n", dm_context_error(context));
        return 1;
    }
    printf("libdiffusion %s: %llu parameters\n", dm_version_string(),
           (unsigned long long)dm_unet_parameter_count(unet));
    int right = dm_unet_parameter_count(unet) == 35746307;
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return right ? 0 : 1;
}
