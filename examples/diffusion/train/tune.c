/* SPDX-License-Identifier: MIT */
/* See tune.h. */
#include "train/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Classes must agree in their number, and in their names where both have them. */
static int has_classes_of_data(const session *s) {
    int32_t classes = s->o->no_labels ? 0 : s->data.info.classes;
    if (s->o->unet.classes != classes) return 0;
    for (int32_t i = 0; i < classes; i++) {
        const char *ours = dm_unet_class_name(s->unet, i),
                   *theirs = dm_dataset_class_name(s->data.dataset, i);
        if (ours && theirs && strcmp(ours, theirs) != 0) return 0;
    }
    return 1;
}

/* Finds a tensor by its name. 1, or 0 if there is none. */
static int find_tensor(const dm_unet *unet, const char *name, dm_tensor_info *info) {
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info_init(info, sizeof *info);
        if (!dm_unet_get_tensor_info(unet, i, info) && !strcmp(info->name, name)) return 1;
    }
    return 0;
}

/* The network's label of a name; -1 if it has none. */
static int32_t label_named(const dm_unet *unet, int32_t classes, const char *name) {
    for (int32_t i = 0; name && i < classes; i++) {
        const char *other = dm_unet_class_name(unet, i);
        if (other && !strcmp(name, other)) return i;
    }
    return -1;
}

/* What is copied between two networks, and how much it was. */
typedef struct copying {
    const session *s;
    dm_unet *to;
    const dm_unet *from;
    int32_t classes;       /* of `from` */
    int null_row;          /* `from` has a row for "no class" */
    int32_t tensors, rows; /* rows: of the table of classes */
} copying;

static dm_status copy_tensor(copying *c, const dm_tensor_info *info) {
    float *values = malloc(info->elements * sizeof *values);
    if (!values) return DM_ERROR_OUT_OF_MEMORY;
    dm_status status = dm_unet_get_tensor(c->from, info->name, values, info->elements);
    if (!status)
        status =
            dm_unet_set_tensor(c->to, info->name, values, info->elements, info->shape, info->rank);
    free(values);
    c->tensors += status == DM_OK;
    return status;
}

/* The rows of the table of classes whose names both networks have. */
static dm_status copy_rows(copying *c, const dm_tensor_info *a, const dm_tensor_info *b) {
    size_t width = (size_t)a->shape[1];
    float *to = malloc(a->elements * sizeof *to), *from = malloc(b->elements * sizeof *from);
    dm_status status = to && from ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_unet_get_tensor(c->to, a->name, to, a->elements);
    if (!status) status = dm_unet_get_tensor(c->from, b->name, from, b->elements);
    for (int32_t i = 0; !status && i < c->s->data.info.classes; i++) {
        int32_t k = label_named(c->from, c->classes, dm_dataset_class_name(c->s->data.dataset, i));
        if (k < 0 || i >= a->shape[0] || k >= b->shape[0]) continue;
        memcpy(to + (size_t)i * width, from + (size_t)k * width, width * sizeof *to);
        c->rows++;
    }
    const int32_t null_to = c->s->data.info.classes; /* behind the classes */
    if (!status && c->null_row && null_to < a->shape[0] && c->classes < b->shape[0])
        memcpy(to + (size_t)null_to * width, from + (size_t)c->classes * width, width * sizeof *to);
    if (!status) status = dm_unet_set_tensor(c->to, a->name, to, a->elements, a->shape, a->rank);
    free(to);
    free(from);
    return status;
}

/* Copies what both networks have in the same shape. */
static dm_status copy_weights(copying *c) {
    dm_tensor_info a, b;
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < dm_unet_tensor_count(c->to); i++) {
        dm_tensor_info_init(&a, sizeof a);
        status = dm_unet_get_tensor_info(c->to, i, &a);
        if (status || !find_tensor(c->from, a.name, &b) || a.rank != b.rank) continue;
        if (!memcmp(a.shape, b.shape, sizeof a.shape) &&
            strcmp(a.name, "class_embedding.weight") != 0)
            status = copy_tensor(c, &a);
        else if (a.rank == 2 && a.shape[1] == b.shape[1]) status = copy_rows(c, &a, &b);
    }
    return status;
}

int32_t fit_network(session *s) {
    dm_unet_options *u = &s->o->unet;
    const dm_dataset_info *d = &s->data.info;
    copying c = {.s = s, .from = s->unet, .classes = u->classes, .null_row = u->null_row};
    if (has_classes_of_data(s) && u->height == d->height && u->width == d->width) return DM_OK;
    u->classes = s->o->no_labels ? 0 : d->classes;
    u->null_row = 1;
    u->height = d->height;
    u->width = d->width;
    int32_t status = dm_unet_create(&c.to, s->context, u, s->o->trainer.seed);
    if (!status) status = copy_weights(&c);
    if (status) {
        dm_unet_destroy(c.to);
        return status;
    }
    fprintf(stderr, "%d of %d tensors are those of %s", (int)c.tensors,
            (int)dm_unet_tensor_count(c.to), s->o->init);
    if (u->classes)
        fprintf(stderr, ", and %d of %d classes by their names; the rest is initialised randomly",
                (int)c.rows, (int)u->classes);
    fprintf(stderr, "\n");
    dm_unet_destroy(s->unet);
    s->unet = c.to;
    return DM_OK;
}
