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
    ANY(beta_start, "1e-4", SAVED, "First beta of linear, scaled_linear and sigmoid."),
    ANY(beta_end, "0.02", SAVED, "Last beta of linear, scaled_linear and sigmoid."),
    FLAG(scale_betas, "0", SAVED, "1: multiply beta_start and beta_end by 1000 / timesteps."),
    PADDING(padding),
    ANY(flow_shift, "1", SAVED, "Shift of the flow schedule towards noise."),
    ANY(sigma_min, "0.002", SAVED, "Smallest sigma of the EDM schedule."),
    ANY(sigma_max, "80", SAVED, "Largest sigma of the EDM schedule."),
    ANY(rho, "7", SAVED, "Exponent of the EDM schedule's spacing."),
};
DMI_STRUCT(dmi_struct_schedule_options, "dm_schedule_options", "schedule");
/* clang-format on */
