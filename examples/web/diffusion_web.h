/* SPDX-License-Identifier: MIT */
/* The functions of diffusion_web.c, which the worker of the page and tests/web call. */
#ifndef EXAMPLES_DIFFUSION_WEB_H
#define EXAMPLES_DIFFUSION_WEB_H

#include <stdint.h>

/* The reason of the last failure. */
const char *web_error(void);

/* Starts training anew. */
int web_begin(uint32_t seed, double learning_rate);
void web_end(void);
/* One training step; web_loss and web_steps_done tell about it. */
int web_train_step(void);
double web_loss(void);
double web_steps_done(void);
double web_parameters(void);

/* Names of solvers, from index 0 to web_solvers() - 1; NULL: not for this network. */
int web_solvers(void);
const char *web_solver_name(int index);
/* Starts sampling web_image_count() images, two rows with one of each class. */
int web_sample_begin(const char *solver, int steps, double guidance, uint32_t seed);
/* One step, and the images so far; returns the steps that are left, or -1. */
int web_sample_step(void);
/* The images as [web_image_count(), size, size, 4], RGBA, and [web_image_count(), size, size, 3] in
 * [-1, 1]. */
const uint8_t *web_colors(void);
const float *web_images(void);
int web_image_count(void);
int web_image_size(void);
const char *web_class_name(int label);
const char *web_build(void);

#endif
