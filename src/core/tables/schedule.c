/* SPDX-License-Identifier: MIT */
/* The members of dm_schedule_options. */
#include "core/tables/table.h"

/* clang-format off */
#define STRUCT dm_schedule_options
static const dmi_member members[] = {
    SIZE_MEMBER,
    ENUM(kind, dm_schedule_kind, "cosine", SAVED, "How much noise each timestep has."),
    NUMBER(timesteps, "1000", 1, 100000, SAVED, "Number of timesteps, T."),
    FLAG(zero_terminal_snr, "0", SAVED,
        "1: rescale betas so that the last timestep has no signal."),
    NUMBER(beta_start, "1e-4", ABOVE_ZERO, BELOW_ONE, SAVED,
        "First beta of linear, scaled_linear and sigmoid."),
    NUMBER(beta_end, "0.02", ABOVE_ZERO, BELOW_ONE, SAVED,
        "Last beta of linear, scaled_linear and sigmoid."),
    FLAG(scale_betas, "0", SAVED, "1: multiply beta_start and beta_end by 1000 / timesteps."),
    PADDING(padding),
    NUMBER(flow_shift, "1", ABOVE_ZERO, 1e6, SAVED, "Shift of the flow schedule towards noise."),
    NUMBER(sigma_min, "0.002", 1e-6, 1e6, SAVED, "Smallest sigma of the EDM schedule."),
    NUMBER(sigma_max, "80", 1e-6, 1e6, SAVED, "Largest sigma of the EDM schedule."),
    NUMBER(rho, "7", 1, 100, SAVED, "Exponent of the EDM schedule's spacing."),
    NUMBER(time_scale, "0", 0, 1e6, SAVED_IF_SET, "Factor of the EDM schedule's time input; 0: 1."),
    FLAG(float32_tables, "0", SAVED_IF_SET, "1: betas and alpha_cumprod in float32, as PyTorch's."),
    FLAG(terminal_signal, "0", SAVED_IF_SET,
        "1: zero_terminal_snr leaves 2^-24 of alpha_cumprod."),
};
DMI_STRUCT(dmi_struct_schedule_options, "dm_schedule_options", "schedule");
/* clang-format on */
