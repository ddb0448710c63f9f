/* The U-Net's insides. */
#ifndef DM_SRC_UNET_H
#define DM_SRC_UNET_H

#include "autograd/graph.h"
#include "core/context.h"
#include "io/safetensors.h"
#include "optim/ema.h"

/* A graph of the network for one batch size, with the values that its user fills and reads. */
typedef struct dmi_unet_graph {
    dmi_graph *graph;
    int32_t batch;
    dmi_value x;      /* [batch, h, w, in_channels], twice as many with self_conditioning */
    dmi_value t;      /* [batch, 1, 1, 1] timesteps as floats */
    dmi_value labels; /* [batch, 1, 1, 1] as floats, DMI_NONE without classes; options.classes means
                         none */
    dmi_value output; /* [batch, h, w, out_channels], likewise with learned_variance */
} dmi_unet_graph;

struct dm_unet {
    dm_context *context;
    dm_unet_options options;
    dmi_params params;
    dmi_unet_graph forward; /* of the last batch size that was run; graph is NULL before */
    dmi_unet_graph beside;  /* of a second one that a sampler goes to and fro with; graph is NULL
                               where there is none */
    bool trained;           /* a trainer holds it */
};

/* A network of checked options whose parameters are declared and not yet allocated. */
int32_t dmi_unet_new(dm_unet **out, dm_context *context, const dm_unet_options *options);
/* Builds and plans the graph. recompute: DM_RECOMPUTE_*, of no meaning but for training. */
int32_t dmi_unet_graph_create(dm_unet *unet, dmi_unet_graph *out, int32_t batch, bool train,
                              int32_t recompute);
void dmi_unet_graph_destroy(dmi_unet_graph *graph);
/* The network for `count` pictures in unet->forward, which is made anew where its batch size
 * differs. */
int32_t dmi_unet_forward_graph(dm_unet *unet, dmi_unet_graph **out, size_t count);
/* Both graphs, for a sampler that asks now for one count and now for the other. */
int32_t dmi_unet_forward_graphs(dm_unet *unet, size_t count, size_t beside);
/* dm_unet_forward with one timestep for all. */
int32_t dmi_unet_denoise(dm_unet *unet, float *output, const float *x_t, float timestep,
                         const int32_t *labels, size_t count);

/* Parameters (block: one laid out like params.data) as tensors named prefix + name, and back. */
int32_t dmi_unet_write_block(dmi_host *host, dmi_safetensors_writer *writer, const dm_unet *unet,
                             const char *prefix, const float *block);
int32_t dmi_unet_read_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                            const char *prefix, float *block);
/* What the names of a checkpoint's averages begin with. */
extern const char *const dmi_average_prefixes[DMI_EMA_MAX];
/* The options as metadata "unet.*". */
int32_t dmi_unet_write_options(dmi_host *host, dmi_safetensors_writer *writer,
                               const dm_unet_options *options);
int32_t dmi_unet_read_options(dmi_host *host, const dmi_safetensors *file,
                              dm_unet_options *options);
/* The name of the first option in which two networks differ; NULL: they are the same but for their
 * weights. */
const char *dmi_unet_options_difference(const dm_unet_options *a, const dm_unet_options *b);

#endif
