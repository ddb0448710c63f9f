/* SPDX-License-Identifier: MIT */
/* The public functions that step: single steps, steps on the caller's images, and runs. */
#include <stdio.h>

#include "diffusion/spacing.h"
#include "train/trainer.h"

enum { SKIPPED_MAX = 10 };

dm_status dm_train_stats_init(dm_train_stats *stats, size_t size) {
    return dmi_struct_init(&dmi_struct_train_stats, stats, size);
}

dm_status dm_train_batch_init(dm_train_batch *batch, size_t size) {
    return dmi_struct_init(&dmi_struct_train_batch, batch, size);
}

/* ---- cancel ---- */

void dm_trainer_cancel(dm_trainer *trainer) {
    if (trainer) atomic_store(&trainer->cancelled, 1);
}

static dm_status check_cancelled(const dm_trainer *trainer) {
    if (!atomic_load(&trainer->cancelled)) return DM_OK;
    return dmi_fail(&trainer->context->host, DM_ERROR_CANCELLED,
                    "trainer: cancelled after step %llu",
                    (unsigned long long)trainer->progress.steps);
}

/* Ends a call; a request to cancel stands until a call has returned DM_ERROR_CANCELLED. */
static dm_status leave(dm_trainer *trainer, dm_status status) {
    if (status == DM_ERROR_CANCELLED) atomic_store(&trainer->cancelled, 0);
    return dmi_leave(trainer->context, status);
}

/* ---- single steps ---- */

static dm_status write_stats(dmi_host *host, dm_train_stats *stats, const dm_train_stats *full) {
    if (!stats) return DM_OK;
    return dmi_struct_write_back(host, &dmi_struct_train_stats, stats, full);
}

static dm_status check_teacher(const dm_trainer *trainer) {
    if (!trainer->options.distill_steps || trainer->distillation.teacher) return DM_OK;
    return dmi_fail(&trainer->context->host, DM_ERROR_WRONG_STATE,
                    "trainer: 'distill_steps' is %d, so it needs a teacher before it steps: "
                    "dm_trainer_set_teacher",
                    (int)trainer->options.distill_steps);
}

/* A step whose stats the caller gets, 0 where it failed before they were known. A struct_size that
 * was never set is found before the step. */
static dm_status step_with_stats(dm_trainer *trainer, const dm_train_batch *given,
                                 dm_train_stats *stats) {
    dmi_host *host = &trainer->context->host;
    dm_train_stats full = {0};
    dm_status status = write_stats(host, stats, &full);
    if (!status) status = check_teacher(trainer);
    if (!status) status = check_cancelled(trainer);
    if (status) return status;
    status = dmi_trainer_step(trainer, given, &full);
    write_stats(host, stats, &full);
    return status;
}

static dm_status check_dataset(const dm_trainer *trainer) {
    if (trainer->batch.dataset) return DM_OK;
    return dmi_fail(&trainer->context->host, DM_ERROR_WRONG_STATE,
                    "trainer: it was created without a dataset, so only dm_trainer_step_batch can "
                    "be used");
}

static dm_status step(dm_trainer *trainer, dm_train_stats *stats) {
    dm_status status = check_dataset(trainer);
    return status ? status : step_with_stats(trainer, NULL, stats);
}

dm_status dm_trainer_step(dm_trainer *trainer, dm_train_stats *stats) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return leave(trainer, step(trainer, stats));
}

/* ---- the caller's images ---- */

static dm_status check_length(dmi_host *host, const char *name, uint64_t value, uint64_t want) {
    if (value == want) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "trainer: the batch's '%s' is %llu; it must be %llu", name,
                    (unsigned long long)value, (unsigned long long)want);
}

static dm_status check_timestep(const dm_trainer *trainer, uint64_t i, int32_t timestep) {
    dmi_host *host = &trainer->context->host;
    const int32_t steps = trainer->schedule->steps, visited = trainer->options.distill_steps;
    if (timestep < 0 || timestep >= steps)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: timestep %llu is %d; it must be from 0 to %d",
                        (unsigned long long)i, (int)timestep, (int)steps - 1);
    if (!visited || dmi_trailing_entry(steps, visited, timestep) >= 0) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "trainer: timestep %llu is %d; it must be one of the %d trailing timesteps "
                    "that 'distill_steps' visits, as %d",
                    (unsigned long long)i, (int)timestep, (int)visited,
                    (int)dmi_trailing_timestep(steps, visited, visited - 1));
}

/* `want`: the elements of all images, 0 where the network takes no such condition. */
static dm_status check_condition(dmi_host *host, const char *name, const char *elements_name,
                                 const float *array, uint64_t elements, uint64_t want) {
    if (array && want == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: the batch's '%s' is given, but the network takes none", name);
    return check_length(host, elements_name, elements, array ? want : 0);
}

static dm_status check_batch(const dm_trainer *trainer, const dm_train_batch *batch) {
    dmi_host *host = &trainer->context->host;
    const dm_trainer_options *o = &trainer->options;
    const uint64_t count = (uint64_t)o->batch_size * (uint64_t)o->accumulation;
    if (!batch->images)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: the batch's 'images' is NULL");
    dm_status status = check_length(host, "count", batch->count, count);
    if (!status)
        status = check_length(host, "elements", batch->elements,
                              count * (uint64_t)trainer->batch.elements);
    if (!status)
        status = check_length(host, "label_count", batch->label_count, batch->labels ? count : 0);
    if (!status)
        status = check_length(host, "timestep_count", batch->timestep_count,
                              batch->timesteps ? count : 0);
    if (!status)
        status = check_condition(host, "condition_image", "condition_image_elements",
                                 batch->condition_image, batch->condition_image_elements,
                                 count * (uint64_t)trainer->batch.condition_elements);
    if (!status)
        status = check_condition(host, "condition_vector", "condition_vector_elements",
                                 batch->condition_vector, batch->condition_vector_elements,
                                 count * (uint64_t)trainer->batch.condition_size);
    if (!status)
        status = dmi_unet_check_condition_times(trainer->unet, "trainer", batch->condition_vector,
                                                count);
    if (!status)
        status = dmi_unet_check_labels(host, "trainer", batch->labels, count,
                                       trainer->batch.label_range);
    for (uint64_t i = 0; !status && batch->timesteps && i < count; i++)
        status = check_timestep(trainer, i, batch->timesteps[i]);
    return status;
}

static dm_status step_batch(dm_trainer *trainer, const dm_train_batch *batch,
                            dm_train_stats *stats) {
    dmi_host *host = &trainer->context->host;
    dm_train_batch full;
    if (!batch) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'batch' is NULL");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_train_batch, &full, batch);
    if (!status) status = check_batch(trainer, &full);
    return status ? status : step_with_stats(trainer, &full, stats);
}

dm_status dm_trainer_step_batch(dm_trainer *trainer, const dm_train_batch *batch,
                                dm_train_stats *stats) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return leave(trainer, step_batch(trainer, batch, stats));
}

/* ---- runs ---- */

static dm_status report(dm_trainer *trainer, dm_train_callback callback, void *user,
                        const dm_train_stats *stats) {
    char what[64];
    if (!callback) return DM_OK;
    dmi_callback_begin(trainer->context);
    int32_t returned = callback(user, stats);
    snprintf(what, sizeof what, "trainer: the callback after step %llu",
             (unsigned long long)stats->step);
    return dmi_callback_result(trainer->context, returned, DM_ERROR_CANCELLED, what);
}

/* One step of a run and its report. *skipped counts the skipped steps in a row. */
static dm_status step_of_run(dm_trainer *trainer, dm_train_callback callback, void *user,
                             int32_t *skipped) {
    dm_train_stats stats = {0};
    dm_status status = dmi_trainer_step(trainer, NULL, &stats);
    if (status && status != DM_ERROR_NOT_FINITE) return status;
    *skipped = stats.skipped ? *skipped + 1 : 0;
    status = report(trainer, callback, user, &stats);
    if (status || *skipped < SKIPPED_MAX) return status;
    return dmi_fail(&trainer->context->host, DM_ERROR_NOT_FINITE,
                    "trainer: %d steps in a row were skipped; the last is step %llu: its loss is "
                    "%g, the norm of its gradient %g. A lower 'learning_rate' often helps",
                    (int)*skipped, (unsigned long long)stats.step, stats.loss, stats.gradient_norm);
}

static dm_status run(dm_trainer *trainer, uint64_t steps, dm_train_callback callback, void *user) {
    int32_t skipped = 0;
    dm_status status = check_dataset(trainer);
    if (!status) status = check_teacher(trainer);
    if (!status && trainer->progress.steps < steps) status = check_cancelled(trainer);
    while (!status && trainer->progress.steps < steps) {
        status = step_of_run(trainer, callback, user, &skipped);
        if (!status) status = check_cancelled(trainer);
    }
    return status;
}

dm_status dm_trainer_run(dm_trainer *trainer, uint64_t steps, dm_train_callback callback,
                         void *user) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return leave(trainer, run(trainer, steps, callback, user));
}
