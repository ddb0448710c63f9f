/* SPDX-License-Identifier: MIT */
/* See conditions.h. */
#include "sample/conditions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/listing.h"
#include "picture/model_image.h"

static int32_t out_of_memory(const command_line *line) {
    return command_line_refuse(line, "--condition: out of memory");
}

/* Pictures of a folder, in turn. */
static int32_t read_folder(conditions *c, const command_line *line, const dm_unet_options *u,
                           size_t count, const char *path) {
    listing list;
    char error[512];
    size_t n = (size_t)u->height * (size_t)u->width * (size_t)u->condition_channels;
    if (listing_read(&list, path, NULL, error, sizeof error))
        return command_line_refuse(line, "--condition %s", error);
    int32_t status =
        list.count ? 0 : command_line_refuse(line, "--condition %s: no PNG or JPEG is in it", path);
    for (size_t i = 0; list.count && !status && i < count; i++)
        status = read_image(line, list.pictures[i % list.count].path, c->images + i * n, u->height,
                            u->width, u->condition_channels);
    listing_free(&list);
    return status;
}

static int32_t read_images(conditions *c, const command_line *line, const dm_unet_options *u,
                           size_t count, const char *path) {
    struct stat is;
    size_t n = (size_t)u->height * (size_t)u->width * (size_t)u->condition_channels;
    c->image_elements = count * n;
    c->images = malloc(c->image_elements * sizeof *c->images);
    if (!c->images) return out_of_memory(line);
    if (!stat(path, &is) && S_ISDIR(is.st_mode)) return read_folder(c, line, u, count, path);
    if (read_image(line, path, c->images, u->height, u->width, u->condition_channels))
        return REPORTED;
    for (size_t i = 1; i < count; i++) memcpy(c->images + i * n, c->images, n * sizeof *c->images);
    return 0;
}

static int32_t read_vector(conditions *c, const command_line *line, const dm_unet_options *u,
                           size_t count, const char *text) {
    size_t n = (size_t)u->condition_size;
    const char *rest = text;
    c->vector_elements = count * n;
    if (c->vector_elements == 0) return 0;
    c->vectors = malloc(c->vector_elements * sizeof *c->vectors);
    if (!c->vectors) return out_of_memory(line);
    for (size_t k = 0; k < n; k++) {
        char *end;
        c->vectors[k] = strtof(rest, &end);
        if (end == rest || !isfinite(c->vectors[k]) || *end != (k + 1 < n ? ',' : 0))
            return command_line_refuse(line, "--vector is '%s'; it must be %zu numbers with commas",
                                       text, n);
        rest = end + 1;
    }
    for (size_t i = 1; i < count; i++)
        memcpy(c->vectors + i * n, c->vectors, n * sizeof *c->vectors);
    return 0;
}

/* Refuses a condition that is missing, or that the network does not take. */
static int32_t check(const command_line *line, const char *name, const char *given, int32_t taken) {
    if (!given == !taken) return 0;
    return given ? command_line_refuse(line, "--%s has no effect: the network takes none", name)
                 : command_line_refuse(line, "--%s is needed: the network is conditioned on it",
                                       name);
}

int32_t read_conditions(conditions *out, const command_line *line, const dm_unet_options *u,
                        size_t count, const char *path, const char *vector) {
    *out = (conditions){0};
    if (check(line, "condition", path, u->condition_channels) ||
        check(line, "vector", vector, u->condition_size))
        return REPORTED;
    int32_t status = path ? read_images(out, line, u, count, path) : 0;
    return !status && vector ? read_vector(out, line, u, count, vector) : status;
}

void free_conditions(conditions *c) {
    free(c->images);
    free(c->vectors);
    *c = (conditions){0};
}

void set_conditions(dm_sampler_request *r, const conditions *c) {
    r->condition_image = c->images;
    r->condition_image_elements = c->image_elements;
    r->condition_vector = c->vectors;
    r->condition_vector_elements = c->vector_elements;
}
