/* The way from noise to the picture, worked out in double before the run: timesteps, levels of
 * noise, and the solver's stages. */
#include <math.h>

#include "sample/sampler.h"
#include "sample/spacing.h"

static int32_t whole_timesteps(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    int32_t steps = s->options.steps, *whole;
    int32_t status =
        dmi_alloc_array(host, &whole, (size_t)steps, sizeof *whole, "sampler: whole timesteps");
    if (!status) status = dmi_spacing(host, &s->options, s->schedule->steps, whole);
    for (int32_t i = 0; !status && i < steps; i++) s->timesteps[i] = whole[i];
    dmi_free(host, whole);
    return status;
}

/* Solvers that go between timesteps take a linear spacing as it is. */
static void spread_timesteps(dm_sampler *s) {
    int32_t steps = s->options.steps;
    double last = s->schedule->steps - 1;
    for (int32_t i = 0; i < steps; i++)
        s->timesteps[i] = steps > 1 ? last * (steps - 1 - i) / (steps - 1) : 0;
}

/* Element i of `steps` from `first` to `last`, evenly after `root` has been taken (1: of the
 * logarithms, see below). */
static double sigma_on_grid(const dm_sampler_options *o, double first, double last, int32_t i) {
    double part = (double)i / (o->steps - 1);
    if (o->grid == DM_GRID_EXPONENTIAL) return exp(log(first) + part * (log(last) - log(first)));
    double high = pow(first, 1 / o->rho), low = pow(last, 1 / o->rho);
    return pow(high + part * (low - high), o->rho);
}

static int32_t use_grid(dm_sampler *s) {
    const dm_sampler_options *o = &s->options;
    double first = dmi_level_sigma(s->levels[0]), last = dmi_level_sigma(s->levels[o->steps - 1]);
    if (!isfinite(first))
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'grid' %d and the schedule don't go together: at timestep %g it "
                        "is noise alone, and sigma "
                        "infinite",
                        (int)o->grid, s->timesteps[0]);
    /* The ends stay as they are: rounded, the last could lie beyond where the run ends. */
    for (int32_t i = 1; i < o->steps - 1; i++) {
        double sigma = sigma_on_grid(o, first, last, i);
        s->levels[i] = dmi_schedule_level_of_sigma(s->schedule, sigma);
        s->timesteps[i] = dmi_schedule_timestep_of_sigma(s->schedule, sigma);
        /* Networks know whole timesteps best. */
        if (!s->solver->between && dmi_schedule_has_betas(s->schedule))
            s->levels[i].time = nearbyint(s->levels[i].time);
    }
    return DM_OK;
}

int32_t dmi_sampler_plan_levels(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    const dm_sampler_options *o = &s->options;
    size_t count = (size_t)o->steps + 1;
    int32_t status =
        dmi_alloc_array(host, &s->timesteps, count, sizeof(double), "sampler: timesteps");
    if (!status)
        status = dmi_alloc_array(host, &s->levels, count, sizeof *s->levels, "sampler: levels");
    if (!status)
        status = dmi_alloc_array(host, &s->begins, count, sizeof *s->begins, "sampler: steps");
    if (!status)
        status = dmi_alloc_array(host, &s->stages, (size_t)o->steps * (size_t)s->solver->stages,
                                 sizeof *s->stages, "sampler: stages");
    if (status) return status;
    status = whole_timesteps(s);
    if (status) return status;
    if (s->solver->between && o->spacing == DM_SPACING_LINSPACE) spread_timesteps(s);
    for (int32_t i = 0; i < o->steps; i++)
        s->levels[i] = dmi_schedule_level(s->schedule, s->timesteps[i]);
    if (o->grid != DM_GRID_TIMESTEPS) status = use_grid(s);
    if (status) return status;
    bool clean = o->final_alpha_one || s->solver->to_clean;
    if (!clean && !dmi_level_has_signal(dmi_schedule_level(s->schedule, 0)))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'final_alpha_one' 0 and the schedule's 'timesteps' %d don't go "
                        "together: timestep 0, where the run would end, is noise alone",
                        (int)s->schedule->steps);
    s->levels[o->steps] = clean ? (dmi_level){.signal = 1} : dmi_schedule_level(s->schedule, 0);
    s->timesteps[o->steps] = clean ? -1 : 0;
    return DM_OK;
}

/* A step to a level that is noise alone, where sigma is infinite, or from the clean picture, where
 * lambda is. */
static int32_t plain_step(const dmi_solver *solver, const dmi_path *path, int32_t i,
                          dmi_stage *stages) {
    stages[0] = dmi_stage_at(path, i);
    stages[0].move = dmi_sum_straight(path->levels[i + 1]);
    stages[0].saves = true;
    stages[0].remembers = solver->multistep;
    stages[0].remember[solver->keeps_eps] = 1;
    return 1;
}

void dmi_sampler_plan_stages(dm_sampler *s, int32_t first) {
    dmi_path path = {.schedule = s->schedule,
                     .options = &s->options,
                     .levels = s->levels,
                     .timesteps = s->timesteps,
                     .steps = s->options.steps,
                     .first = first,
                     .order = s->options.order ? s->options.order : s->solver->order};
    int32_t count = 0;
    for (int32_t i = first; i < path.steps; i++) {
        s->begins[i] = count;
        bool is_plain = !dmi_level_has_signal(path.levels[i + 1]) || path.levels[i].noise == 0;
        count += is_plain ? plain_step(s->solver, &path, i, s->stages + count)
                          : s->solver->step(&path, i, s->stages + count);
    }
    s->begins[path.steps] = count;
    s->planned_first = first;
}

dmi_reading dmi_sampler_reading(const dm_sampler *s, const dmi_stage *stage) {
    dmi_reading r = dmi_reading_at(stage->at, s->prediction, s->sigma_data);
    const dm_sampler_options *o = &s->options;
    bool rederives =
        s->solver->rederives || (o->rederive_eps < 0 ? o->guidance != 1 : o->rederive_eps == 1);
    if (o->clip && rederives) {
        /* From x_0 as it is after clipping. */
        dmi_reading again = dmi_reading_at(stage->at, DM_PREDICT_X0, s->sigma_data);
        r.eps_x = again.eps_x;
        r.eps_output = again.eps_output;
        r.eps_of_x0 = true;
    }
    return r;
}
