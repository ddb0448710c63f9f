/* SPDX-License-Identifier: MIT */
/* See session.h: how far samples are from the data, measured while training goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/interrupt.h"
#include "measure/compare.h"
#include "sample/run_sampler.h"
#include "train/run_folder.h"
#include "train/session.h"
#include "train/train_log.h"

static int stop(void *user) {
    (void)user;
    return interrupt_signal() != 0;
}

/* Samples `count` images and compares them with as many of the data. */
static int32_t measure(session *s, comparison *result) {
    const dm_unet_options *u = &s->o->unet;
    uint64_t count = (uint64_t)s->o->evaluate_count;
    feature_network *network = NULL;
    feature_set data = {0}, samples = {0};
    dm_sampler_options options;
    int32_t status;
    training_sampler(s, &options);
    sample_run run = {.schedule = s->schedule,
                      .options = &options,
                      .conditions = s->data.dataset,
                      .count = count,
                      .seed = 1000};
    run.unet = sampled_network(s, &status);
    size_t elements = (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    float *images = malloc((size_t)count * elements * sizeof *images);
    if (!images) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status)
        status = feature_network_create(&network, s->context, u->height, u->width, u->out_channels);
    if (!status) status = add_data_features(&data, network, s->data.dataset, 0, count, stop, NULL);
    if (!status) status = run_sampler(&run, images, NULL);
    if (!status) status = feature_set_add(&samples, network, images, (size_t)count);
    if (!status) status = compare_sets(result, &data, &samples, stop, NULL);
    feature_network_destroy(network);
    feature_set_free(&data);
    feature_set_free(&samples);
    free(images);
    return status;
}

int32_t check_evaluations(session *s) {
    const dm_unet_options *u = &s->o->unet;
    feature_network *network = NULL;
    if (!s->o->evaluate_every) return DM_OK;
    int32_t status =
        feature_network_create(&network, s->context, u->height, u->width, u->out_channels);
    feature_network_destroy(network);
    if (status)
        return command_line_refuse(s->line,
                                   "--evaluate-every: images of %d x %d cannot be measured: %s",
                                   (int)u->height, (int)u->width, dm_context_error(s->context));
    return DM_OK;
}

int32_t begin_evaluations(session *s) {
    char path[OUTPUT_PATH_SIZE], before[OUTPUT_PATH_SIZE];
    output rows;
    if (!s->o->evaluate_every) return DM_OK;
    path_in(s, evaluation_name, path);
    snprintf(before, sizeof before, "%s", path);
    if (s->o->resume) beside(s->checkpoint, evaluation_name, before);
    if (continue_rows(&rows, s->line->program, path, before,
                      "step,distance,kernel_distance,precision,recall", steps_done(s)))
        return REPORTED;
    return output_close(&rows, s->line->program) ? REPORTED : DM_OK;
}

int32_t write_evaluation(session *s, uint64_t step) {
    char path[OUTPUT_PATH_SIZE];
    comparison c;
    output rows;
    int32_t status = measure(s, &c);
    if (status) return status;
    path_in(s, evaluation_name, path);
    if (!output_open(&rows, path, "a"))
        output_print(&rows, "%llu,%.4f,%.6f,%.4f,%.4f\n", (unsigned long long)step, c.distance,
                     c.kernel.value, c.pr.precision, c.pr.recall);
    progress_clear(&s->bar);
    fprintf(stderr, "step %llu: distance to the data %.2f, precision %.2f, recall %.2f\n",
            (unsigned long long)step, c.distance, c.pr.precision, c.pr.recall);
    return output_close(&rows, s->line->program) ? REPORTED : DM_OK;
}
