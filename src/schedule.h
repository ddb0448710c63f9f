/* The schedule's insides: its series in double, as solvers, loss and trainer read them. */
#ifndef DM_SRC_SCHEDULE_H
#define DM_SRC_SCHEDULE_H

#include "context.h"
#include "io/safetensors.h"

/* The most timesteps, and the `kind` of a schedule whose betas are the caller's. */
enum { DMI_SCHEDULE_STEPS_MOST = 100000, DMI_SCHEDULE_CUSTOM = -1 };

struct dm_schedule {
    dm_context *context;
    dm_schedule_options options;
    int32_t steps;               /* T */
    double *beta;                /* [T] */
    double *alpha_cumprod;       /* [T] */
};

/* A copy in `context`, which may be another than the schedule's, that shares nothing. */
int32_t dmi_schedule_copy(dm_schedule **out, dm_context *context, const dm_schedule *schedule);
/* As metadata of a file, keys "schedule.*" (the caller's betas as a JSON list of %.17g numbers), and back. */
int32_t dmi_schedule_write(dmi_host *host, dmi_safetensors_writer *writer, const dm_schedule *schedule);
int32_t dmi_schedule_read(dm_schedule **out, dm_context *context, const dmi_safetensors *file);

#endif
