/* The schedule's insides: its series in double, and the levels of noise that solvers, loss and
 * trainer read. */
#ifndef DM_SRC_SCHEDULE_H
#define DM_SRC_SCHEDULE_H

#include "core/context.h"
#include "io/safetensors.h"

/* The most timesteps, and the `kind` of a schedule whose betas are the caller's. */
enum { DMI_SCHEDULE_STEPS_MOST = 100000, DMI_SCHEDULE_CUSTOM = -1 };

struct dm_schedule {
    dm_context *context;
    dm_schedule_options options;
    int32_t steps;         /* T */
    double *beta;          /* [T] */
    double *alpha_cumprod; /* [T] */
};

/* How noisy a picture is: x = signal x_0 + noise eps. */
typedef struct dmi_level {
    double signal, noise;
    double time; /* what the network is told */
} dmi_level;

/* noise / signal; infinite where there is no signal. */
double dmi_level_sigma(dmi_level level);
/* Of timestep t, from 0 to T-1. Between whole ones sigma goes in a straight line, as in Karras et
 * al.'s code. */
dmi_level dmi_schedule_level(const dm_schedule *schedule, double t);
/* Where sigma is as given, within those of the schedule or else at the nearest end; with betas, the
 * logarithm of sigma goes in a straight line from one timestep to the next. */
double dmi_schedule_timestep_of_sigma(const dm_schedule *schedule, double sigma);
/* Of exactly this sigma, above 0, at the time of that timestep. */
dmi_level dmi_schedule_level_of_sigma(const dm_schedule *schedule, double sigma);
/* Whether the process is made of betas, so that signal^2 + noise^2 = 1. */
bool dmi_schedule_has_betas(const dm_schedule *schedule);
/* What messages call them: "v" and "flow". */
const char *dmi_prediction_name(int32_t prediction);
const char *dmi_schedule_name(const dm_schedule *schedule);
/* Refuses what cannot go together: eps where the last timestep has no signal, EDM's schedule with
 * another prediction and the like. `owner` begins the message. */
int32_t dmi_schedule_check_prediction(dmi_host *host, const char *owner,
                                      const dm_schedule *schedule, int32_t prediction);

/* One value of a series (DM_SERIES_*) of dm_schedule_get. */
double dmi_schedule_value(const dm_schedule *schedule, int32_t series, int32_t t);

/* A copy in `context`, which may be another than the schedule's, that shares nothing. */
int32_t dmi_schedule_copy(dm_schedule **out, dm_context *context, const dm_schedule *schedule);
/* As metadata of a file, keys "schedule.*" (the caller's betas as a JSON list of %.17g numbers),
 * and back. */
int32_t dmi_schedule_write(dmi_host *host, dmi_safetensors_writer *writer,
                           const dm_schedule *schedule);
int32_t dmi_schedule_read(dm_schedule **out, dm_context *context, const dmi_safetensors *file);

#endif
