/* SPDX-License-Identifier: MIT */
/* What a build without BLAS promises and OpenBLAS does not, as tests/tools/no_blas.sh runs it: it
 * works where no thread can be started, and a training step needs no memory, also with
 * convolutions that are products of matrices. The program takes the places of malloc and
 * pthread_create for the whole process. */
#include <diffusion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 16, STEPS = 3 };

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static int refused, requests; /* while refused */

static int refuses(void) {
    requests += refused;
    return refused;
}

void *malloc(size_t size) { return refuses() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return refuses() ? NULL : __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { return refuses() ? NULL : __libc_realloc(block, size); }

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    (void)thread, (void)attributes, (void)start, (void)argument;
    return EAGAIN;
}

/* Few channels: its convolutions are im2col. */
static dm_status make_unet(dm_context *context, dm_unet **out) {
    dm_unet_options options;
    dm_unet_options_init(&options, sizeof options);
    options.height = options.width = SIDE;
    options.levels = 2;
    memset(options.channels, 0, sizeof options.channels);
    options.channels[0] = options.channels[1] = 8;
    options.norm_groups = 4;
    return dm_unet_create(out, context, &options, 1);
}

static dm_status train(dm_context *context) {
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_dataset *dataset = NULL;
    dm_trainer *trainer = NULL;
    dm_trainer_options options;
    dm_trainer_options_init(&options, sizeof options);
    options.batch_size = 2;
    dm_status status = make_unet(context, &unet);
    if (!status) status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = dm_dataset_create_shapes(&dataset, context, SIDE, 100, 1);
    if (!status) status = dm_trainer_create(&trainer, unet, schedule, dataset, &options);
    refused = 1;
    for (int i = 0; i < STEPS && !status; i++) status = dm_trainer_step(trainer, NULL);
    refused = 0;
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    return status;
}

int main(void) {
    dm_context_options options;
    dm_context *context;
    char error[256];
    dm_context_options_init(&options, sizeof options);
    options.threads = 2;
    if (dm_context_create(&context, &options, error, sizeof error) != DM_ERROR_THREAD) return 3;
    options.threads = 1;
    if (dm_context_create(&context, &options, error, sizeof error)) return 4;
    dm_status status = train(context);
    if (status) fprintf(stderr, "%s: %s\n", dm_status_name(status), dm_context_error(context));
    if (requests) fprintf(stderr, "training steps requested memory %d times\n", requests);
    dm_context_destroy(context);
    return status ? 1 : requests ? 5 : 0;
}
