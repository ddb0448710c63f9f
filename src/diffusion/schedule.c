/* Schedules and how they are made: betas and their running product (Ho et al. 2020; Nichol and
 * Dhariwal 2021), in double. Of the processes that have none, flow and EDM, they are those of the
 * process that is the same but for a factor of x_t. */
#include "diffusion/schedule.h"

#include <math.h>
#include <string.h>

#include "core/options.h"

static const double cosine_offset = 0.008, cosine_beta_most = 0.999;
static const double pi = 3.14159265358979323846;
/* The length of the chain that beta_start and beta_end were chosen for, and the sigmoid's two
 * ends. */
static const double usual_timesteps = 1000, sigmoid_end = 6;

static const dm_schedule_options defaults = {
    .struct_size = sizeof(dm_schedule_options),
    .kind = DM_SCHEDULE_LINEAR,
    .timesteps = 1000,
    .beta_start = 1e-4,
    .beta_end = 0.02,
    .flow_shift = 1,
    .sigma_min = 0.002,
    .sigma_max = 80,
    .rho = 7,
};

int32_t dm_schedule_options_init(dm_schedule_options *options, size_t size) {
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults,
                             "dm_schedule_options");
}

/* ---- making ---- */

static int32_t schedule_new(dm_schedule **out, dm_context *context,
                            const dm_schedule_options *options) {
    dmi_host *host = &context->host;
    dm_schedule *schedule;
    int32_t status = dmi_alloc_zero(host, &schedule, 1, sizeof *schedule, "schedule");
    if (status) return status;
    schedule->context = context;
    schedule->options = *options;
    schedule->steps = options->timesteps;
    status = dmi_alloc_array(host, &schedule->beta, (size_t)schedule->steps, sizeof(double),
                             "schedule: beta");
    if (!status)
        status = dmi_alloc_array(host, &schedule->alpha_cumprod, (size_t)schedule->steps,
                                 sizeof(double), "schedule: alpha_cumprod");
    if (status) {
        dm_schedule_destroy(schedule);
        return status;
    }
    *out = schedule;
    return DM_OK;
}

static void accumulate(dm_schedule *schedule) {
    double product = 1;
    for (int32_t t = 0; t < schedule->steps; t++) {
        product *= 1 - schedule->beta[t];
        schedule->alpha_cumprod[t] = product;
    }
}

/* Element t of T in equal steps from first to last. */
static double equal_steps(double first, double last, int32_t t, int32_t steps) {
    return t == 0 ? first : first + (last - first) * t / (steps - 1);
}

static double beta_factor(const dm_schedule_options *o) {
    return o->scale_betas ? usual_timesteps / o->timesteps : 1;
}

static void linear_betas(double *beta, const dm_schedule_options *o) {
    double factor = beta_factor(o);
    for (int32_t t = 0; t < o->timesteps; t++)
        beta[t] = factor * equal_steps(o->beta_start, o->beta_end, t, o->timesteps);
}

static void scaled_linear_betas(double *beta, const dm_schedule_options *o) {
    double factor = beta_factor(o);
    for (int32_t t = 0; t < o->timesteps; t++) {
        double root = equal_steps(sqrt(o->beta_start), sqrt(o->beta_end), t, o->timesteps);
        beta[t] = factor * root * root;
    }
}

static void sigmoid_betas(double *beta, const dm_schedule_options *o) {
    double factor = beta_factor(o);
    for (int32_t t = 0; t < o->timesteps; t++) {
        double u = equal_steps(-sigmoid_end, sigmoid_end, t, o->timesteps);
        beta[t] = factor * (o->beta_start + (o->beta_end - o->beta_start) / (1 + exp(-u)));
    }
}

/* Nichol and Dhariwal 2021, eq. 17. */
static double cosine_signal(double u) {
    double c = cos((u + cosine_offset) / (1 + cosine_offset) * pi / 2);
    return c * c;
}

static void cosine_betas(double *beta, const dm_schedule_options *o) {
    double steps = o->timesteps;
    for (int32_t t = 0; t < o->timesteps; t++) {
        double b = 1 - cosine_signal((t + 1) / steps) / cosine_signal(t / steps);
        beta[t] = b < cosine_beta_most ? b : cosine_beta_most;
    }
}

/* The betas whose running product is that of flow's and EDM's levels: 1 - a_t / a_(t-1). */
static void betas_of_levels(dm_schedule *s) {
    double before = 1;
    for (int32_t t = 0; t < s->steps; t++) {
        dmi_level level = dmi_schedule_level(s, t);
        double signal = level.signal * level.signal, noise = level.noise * level.noise;
        s->alpha_cumprod[t] = signal / (signal + noise);
        s->beta[t] = 1 - s->alpha_cumprod[t] / before;
        before = s->alpha_cumprod[t];
    }
}

/* Lin et al. 2024, algorithm 1: sqrt(a) is shifted so that it ends at 0, and stretched so that it
 * begins where it did. Betas too small to make a fall, or so large that it has reached 0 before the
 * end, leave nothing to stretch. */
static int32_t rescale_to_zero_snr(dm_schedule *s) {
    int32_t last = s->steps - 1;
    double first_root = sqrt(s->alpha_cumprod[0]), last_root = sqrt(s->alpha_cumprod[last]),
           before = 1;
    if (!(s->alpha_cumprod[last - 1] > s->alpha_cumprod[last] && first_root > last_root))
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'zero_terminal_snr' and the betas don't go together: "
                        "alpha_cumprod, %g at timestep 0, is %g "
                        "at timestep %d and %g at %d; it must fall to its last",
                        s->alpha_cumprod[0], s->alpha_cumprod[last - 1], (int)last - 1,
                        s->alpha_cumprod[last], (int)last);
    for (int32_t t = 0; t <= last; t++) {
        double root =
            (sqrt(s->alpha_cumprod[t]) - last_root) * first_root / (first_root - last_root);
        s->alpha_cumprod[t] = t == last ? 0 : root * root;
        s->beta[t] = 1 - s->alpha_cumprod[t] / before;
        before = s->alpha_cumprod[t];
    }
    return DM_OK;
}

/* Written so that what is not a number fails too. */
static bool inside_unit(double x) { return x > 0 && x < 1; }

static bool uses_beta_range(int32_t kind) {
    return kind == DM_SCHEDULE_LINEAR || kind == DM_SCHEDULE_SCALED_LINEAR ||
           kind == DM_SCHEDULE_SIGMOID;
}

static bool has_betas(int32_t kind) { return kind != DM_SCHEDULE_FLOW && kind != DM_SCHEDULE_EDM; }

bool dmi_schedule_has_betas(const dm_schedule *schedule) {
    return has_betas(schedule->options.kind);
}

static int32_t check_beta_range(dmi_host *host, const dm_schedule_options *o) {
    double factor = beta_factor(o);
    if (!inside_unit(o->beta_start))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'beta_start' is %g; it must be above 0 and below 1",
                        o->beta_start);
    if (!inside_unit(o->beta_end))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'beta_end' is %g; it must be above 0 and below 1", o->beta_end);
    if (inside_unit(factor * o->beta_start) && inside_unit(factor * o->beta_end)) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "schedule: 'scale_betas' with %d 'timesteps' multiplies the betas by %g, to %g "
                    "and %g; they must stay below 1",
                    (int)o->timesteps, factor, factor * o->beta_start, factor * o->beta_end);
}

static int32_t check_levels(dmi_host *host, const dm_schedule_options *o) {
    if (o->zero_terminal_snr)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'zero_terminal_snr' and 'kind' %d don't go together: only "
                        "schedules with betas are rescaled",
                        (int)o->kind);
    if (o->kind == DM_SCHEDULE_FLOW) {
        if (o->flow_shift > 0 && o->flow_shift <= 1e6) return DM_OK;
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'flow_shift' is %g; it must be above 0, at most 1e6",
                        o->flow_shift);
    }
    if (!(o->sigma_min >= 1e-6 && o->sigma_min <= 1e6))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'sigma_min' is %g; it must be 1e-6 to 1e6", o->sigma_min);
    if (!(o->sigma_max > o->sigma_min && o->sigma_max <= 1e6))
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "schedule: 'sigma_max' is %g; it must be above 'sigma_min' (%g), at most 1e6",
            o->sigma_max, o->sigma_min);
    if (o->rho >= 1 && o->rho <= 100) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'rho' is %g; it must be 1 to 100",
                    o->rho);
}

static int32_t check_options(dmi_host *host, const dm_schedule_options *o) {
    if (o->kind < DM_SCHEDULE_LINEAR || o->kind > DM_SCHEDULE_EDM)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'kind' is %d; it must be 0 (linear), 1 (cosine), 2 (scaled "
                        "linear), 3 (sigmoid), 4 "
                        "(flow) or 5 (EDM)",
                        (int)o->kind);
    if (o->timesteps < 1 || o->timesteps > DMI_SCHEDULE_STEPS_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'timesteps' is %d; it must be 1 to %d", (int)o->timesteps,
                        (int)DMI_SCHEDULE_STEPS_MOST);
    if (o->reserved != 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'reserved' is %d; it must be 0",
                        (int)o->reserved);
    int32_t status =
        dmi_check_range(host, "schedule", "zero_terminal_snr", o->zero_terminal_snr, 0, 1);
    if (!status) status = dmi_check_range(host, "schedule", "scale_betas", o->scale_betas, 0, 1);
    if (status) return status;
    if (o->zero_terminal_snr && o->timesteps < 2)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'zero_terminal_snr' and 'timesteps' %d don't go together: "
                        "rescaling needs 2 at least",
                        (int)o->timesteps);
    if (o->scale_betas && !uses_beta_range(o->kind))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: 'scale_betas' and 'kind' %d don't go together: it has no "
                        "beta_start and beta_end",
                        (int)o->kind);
    if (!has_betas(o->kind)) return check_levels(host, o);
    return uses_beta_range(o->kind) ? check_beta_range(host, o) : DM_OK;
}

static int32_t fill(dm_schedule *s) {
    static void (*const betas_of[])(double *, const dm_schedule_options *) = {
        [DM_SCHEDULE_LINEAR] = linear_betas,
        [DM_SCHEDULE_COSINE] = cosine_betas,
        [DM_SCHEDULE_SCALED_LINEAR] = scaled_linear_betas,
        [DM_SCHEDULE_SIGMOID] = sigmoid_betas,
    };
    if (!has_betas(s->options.kind)) {
        betas_of_levels(s);
        return DM_OK;
    }
    betas_of[s->options.kind](s->beta, &s->options);
    accumulate(s);
    return s->options.zero_terminal_snr ? rescale_to_zero_snr(s) : DM_OK;
}

int32_t dm_schedule_create(dm_schedule **out, dm_context *context,
                           const dm_schedule_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'out' is NULL");
    dm_schedule_options full = defaults;
    int32_t status = dmi_options_read(host, &full, sizeof full, options, "dm_schedule_options");
    if (!status) status = check_options(host, &full);
    dm_schedule *schedule;
    if (!status) status = schedule_new(&schedule, context, &full);
    if (status) return status;
    status = fill(schedule);
    if (status) {
        dm_schedule_destroy(schedule);
        return status;
    }
    *out = schedule;
    return DM_OK;
}

int32_t dm_schedule_create_from_betas(dm_schedule **out, dm_context *context, const double *betas,
                                      size_t count) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'out' is NULL");
    if (!betas) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: 'betas' is NULL");
    if (count < 1 || count > DMI_SCHEDULE_STEPS_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "schedule: the count of betas is %zu; it must be 1 to %d", count,
                        (int)DMI_SCHEDULE_STEPS_MOST);
    for (size_t t = 0; t < count; t++)
        if (!inside_unit(betas[t]))
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "schedule: beta %zu is %g; it must be above 0 and below 1", t,
                            betas[t]);
    dm_schedule_options options = {.struct_size = sizeof options,
                                   .kind = DMI_SCHEDULE_CUSTOM,
                                   .timesteps = (int32_t)count};
    dm_schedule *schedule;
    int32_t status = schedule_new(&schedule, context, &options);
    if (status) return status;
    memcpy(schedule->beta, betas, count * sizeof *betas);
    accumulate(schedule);
    *out = schedule;
    return DM_OK;
}

int32_t dmi_schedule_copy(dm_schedule **out, dm_context *context, const dm_schedule *schedule) {
    *out = NULL;
    dm_schedule *copy;
    int32_t status = schedule_new(&copy, context, &schedule->options);
    if (status) return status;
    memcpy(copy->beta, schedule->beta, (size_t)schedule->steps * sizeof(double));
    memcpy(copy->alpha_cumprod, schedule->alpha_cumprod, (size_t)schedule->steps * sizeof(double));
    *out = copy;
    return DM_OK;
}

void dm_schedule_destroy(dm_schedule *schedule) {
    if (!schedule) return;
    dmi_host *host = &schedule->context->host;
    dmi_free(host, schedule->beta);
    dmi_free(host, schedule->alpha_cumprod);
    dmi_free(host, schedule);
}
