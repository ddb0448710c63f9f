/* SPDX-License-Identifier: MIT */
/* The network: handle, weights and graphs. */
#ifndef DM_SRC_UNET_H
#define DM_SRC_UNET_H

#include "autograd/graph.h"
#include "core/class_names.h"
#include "core/context.h"
#include "io/safetensors.h"
#include "unet/weights.h"

/* A graph of the network for one batch size, with the values that its user fills and reads. */
typedef struct dmi_unet_graph {
    dmi_graph *graph;
    int32_t batch;
    dmi_value x;      /* [batch, h, w, in_channels], twice the channels with self_conditioning */
    dmi_value t;      /* [batch, 1, 1, 1] times as floats */
    dmi_value labels; /* [batch, 1, 1, 1] rows of the embedding as floats, see dmi_unet_label_row;
                         DMI_NONE without classes */
    dmi_value condition_image;  /* [batch, h, w, condition_channels], or DMI_NONE */
    dmi_value condition_vector; /* [batch, 1, 1, condition_size], or DMI_NONE */
    dmi_value output; /* [batch, h, w, out_channels], twice the channels with learned_variance */
} dmi_unet_graph;

/* Whether "no class" was trained, as classifier-free guidance needs; of networks without classes,
 * conditions of zeros. */
enum {
    DMI_NULL_CLASS_UNKNOWN = 0,
    DMI_NULL_CLASS_TRAINED = 1,
    DMI_NULL_CLASS_UNTRAINED = 2 /* trained with labels or conditions, of which none was dropped */
};

struct dm_unet {
    dm_context *context;
    dm_unet_options options;     /* never change */
    dmi_unet_weights *weights;   /* perhaps of another context; the pointer never changes */
    bool is_share;               /* made by dm_unet_share */
    bool trained;                /* a trainer has the weights exclusively */
    bool destroyed;              /* by the caller, while it has users */
    int32_t users;               /* the trainer, and samplers */
    int32_t null_class;          /* changes in exclusive use of the weights only */
    dmi_class_names class_names; /* likewise */
    dmi_unet_graph forward;      /* of the last batch size that was run; graph is NULL before */
    dmi_unet_graph second;       /* of a second batch size, for samplers that alternate between two;
                                    graph is NULL if there is none */
    dmi_unet_graph gradient;     /* of the last batch size of dm_unet_input_gradient; NULL before */
    int32_t wrap;                /* DMI_WRAP_*, of graphs that are built from now on */
};

/* A network of checked options whose parameters are declared and not yet allocated. */
dm_status dmi_unet_new(dm_unet **out, dm_context *context, const dm_unet_options *options);
/* Frees a network without users. NULL is accepted. The network retains its context: where the
 * caller's handle of the context may be gone, the call in progress needs a reference of its own. */
void dmi_unet_free(dm_unet *unet);
/* One user more, within a call of the context: dm_unet_destroy then takes effect with the last
 * user. */
void dmi_unet_hold(dm_unet *unet);
void dmi_unet_release(dm_unet *unet);
/* Exclusive use of the weights: refused, with a message that begins with `owner`, while they are
 * shared or used by another trainer or writer. */
dm_status dmi_unet_lock(dm_unet *unet, const char *owner);
void dmi_unet_unlock(dm_unet *unet);

/* Refuses a precision that a network cannot compute in; `owner` begins the error text. */
dm_status dmi_check_computes_in(dmi_host *host, const char *owner, dm_precision precision);
/* Builds and plans a graph in the network's precision. recompute: DM_RECOMPUTE_*, for training. */
dm_status dmi_unet_graph_create(dm_unet *unet, dmi_unet_graph *out, int32_t batch, bool train,
                                dm_recompute recompute);
/* The same for training in another precision. */
dm_status dmi_unet_training_graph(dm_unet *unet, dmi_unet_graph *out, int32_t batch,
                                  dm_recompute recompute, dm_precision precision);
void dmi_unet_graph_destroy(dmi_unet_graph *graph);
/* The graph for `count` images, unet->forward unless unet->second has that size; it is built if
 * neither has. */
dm_status dmi_unet_forward_graph(dm_unet *unet, dmi_unet_graph **out, size_t count);
/* Both graphs, for samplers that alternate between `count` and `second` images. */
dm_status dmi_unet_forward_graphs(dm_unet *unet, size_t count, size_t second);
/* The inputs of a forward pass of `count` images, in arrays that were checked. */
typedef struct dmi_unet_pass {
    size_t count;
    const float *x;        /* [count, h, w, channels_in] */
    const double *times;   /* [count], or one for all images where time_stride is 0 */
    size_t time_stride;    /* 0 or 1 */
    const int32_t *labels; /* [count], or NULL: no class */
    const float *condition_image, *condition_vector; /* likewise, or NULL: zeros */
} dmi_unet_pass;
/* dm_unet_forward within a call of the context. output [count, h, w, channels_out] */
dm_status dmi_unet_forward(dm_unet *unet, float *output, const dmi_unet_pass *pass);
/* Copies the inputs of a pass to a graph for as many images. */
void dmi_unet_fill(const dm_unet *unet, const dmi_unet_graph *f, const dmi_unet_pass *pass);
/* Writes the conditions to the graph's inputs, zeros for NULL. */
void dmi_unet_set_conditions(const dmi_unet_graph *graph, const float *image, const float *vector);
/* The graph for the gradient of the input of `count` images, 1 to 65536: without dropout, and
 * without gradients of parameters. */
dm_status dmi_unet_gradient_graph(dm_unet *unet, dmi_unet_graph **out, size_t count);
/* Destroys the graphs that are kept for passes. */
void dmi_unet_drop_graphs(dm_unet *unet);
/* A caller's input of any version, checked but for its labels. */
dm_status dmi_unet_read_input(const dm_unet *unet, dm_unet_input *full, const dm_unet_input *input);
/* Floats of the outputs of `count` images. */
uint64_t dmi_unet_outputs(const dm_unet *unet, uint64_t count);
/* Refuses a size that is not `want`, by its name. */
dm_status dmi_unet_check_size(const dm_unet *unet, const char *name, uint64_t value, uint64_t want);

/* The labels that a network has: `minimum` to classes - 1; -1 is no class. */
typedef struct dmi_label_range {
    int32_t classes; /* 0: the network takes no labels */
    int32_t minimum; /* -1, or 0 where the table of classes has no row for no class */
} dmi_label_range;
dmi_label_range dmi_unet_label_range(const dm_unet_options *options);
/* Labels supplied by the caller: [count], NULL for none, which is -1 for each. Refused if the
 * network has no classes, or if one is outside the range: "unet: label 3 is 12; ...". */
dm_status dmi_unet_check_labels(dmi_host *host, const char *owner, const int32_t *labels,
                                uint64_t count, dmi_label_range range);
/* The row of the class embedding for a label; the last row means "no class". */
static inline float dmi_unet_label_row(int32_t label, int32_t classes) {
    return (float)(label < 0 ? classes : label);
}

/* What guidance leaves out: the class, unless the table has no row for none, and conditions. */
static inline bool dmi_unet_can_leave_class(const dm_unet_options *o) {
    return o->classes && o->null_row;
}
static inline bool dmi_unet_has_condition(const dm_unet_options *o) {
    return o->condition_channels || o->condition_size;
}

/* Refuses a condition vector [count], or NULL for zeros, that the network embeds like the time and
 * that is no such time: with fourier features 0 is none. Conditions of other kinds are accepted. */
dm_status dmi_unet_check_condition_times(const dm_unet *unet, const char *owner,
                                         const float *vector, uint64_t count);
/* Likewise the condition of the dataset's image `index`, which it names. */
dm_status dmi_unet_check_condition_of_image(const dm_unet *unet, const char *owner, uint64_t index,
                                            const float *vector);

/* Refuses a schedule whose time inputs the network cannot take. */
dm_status dmi_unet_check_schedule(const dm_unet *unet, const char *owner,
                                  const dm_schedule *schedule);

/* ---- files ---- */

/* Parameters (block: laid out like params.data) as tensors named prefix + name, and back, from a
 * file that dmi_unet_check_block accepts. */
dm_status dmi_unet_write_block(dmi_host *host, dmi_safetensors_writer *writer, const dm_unet *unet,
                               const char *prefix, const float *block);
/* Refuses infinite values and NaN (DM_ERROR_NOT_FINITE) and, with `not_negative`, values below 0
 * (DM_ERROR_BAD_FORMAT). */
dm_status dmi_unet_read_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                              const char *prefix, float *block, bool not_negative);
/* Refuses values [count] of a tensor of which one is infinite or NaN; `subject` begins the text. */
dm_status dmi_unet_check_tensor(const dm_unet *unet, const char *subject, const char *name,
                                const float *values, size_t count);
/* Refuses a block with an infinite value or NaN before it is saved; `owner` begins the text. */
dm_status dmi_unet_check_finite(const dm_unet *unet, const char *owner, const char *prefix,
                                const float *block);
dm_status dmi_unet_check_precision(dmi_host *host, dm_precision precision);
/* Refuses a file that under that prefix lacks one of the network's tensors, or has another one. */
dm_status dmi_unet_check_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                               const char *prefix);
/* What the names of a checkpoint's EMAs begin with: "ema_0.". */
extern const char *const dmi_ema_prefixes[DM_EMA_MAX];
/* Whether a checkpoint has EMA `index`; `name` receives that of the tensor that says so. */
bool dmi_unet_has_ema(const dmi_safetensors *file, int32_t index, char *name, size_t size);
/* The options, null_class and names of classes as metadata "unet.*". Options that are read are
 * checked; names are read by dmi_class_names_read. */
dm_status dmi_unet_write_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                  const dm_unet *unet);
dm_status dmi_unet_read_metadata(dmi_host *host, const dmi_safetensors *file,
                                 dm_unet_options *options, int32_t *null_class);

/* "[64, 3, 3, 3]" of at most 8 dimensions. */
enum { DMI_SHAPE_TEXT = 192 };
const char *dmi_shape_text(char text[DMI_SHAPE_TEXT], int32_t rank, const int64_t *shape);

#endif
