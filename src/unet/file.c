/* Networks in safetensors files: tensors under their names, options as metadata. */
#include <stdio.h>
#include <string.h>

#include "core/metadata.h"
#include "diffusion/schedule.h"
#include "unet/options.h"
#include "unet/unet.h"

#define OPTION(type, count, member)                                                                \
    { "unet." #member, type, count, offsetof(dm_unet_options, member) }

static const dmi_meta option_table[] = {
    OPTION(DMI_META_I32, 1, height),
    OPTION(DMI_META_I32, 1, width),
    OPTION(DMI_META_I32, 1, in_channels),
    OPTION(DMI_META_I32, 1, out_channels),
    OPTION(DMI_META_I32, 1, levels),
    OPTION(DMI_META_I32, DM_MAX_LEVELS, channels),
    OPTION(DMI_META_I32, DM_MAX_LEVELS, blocks),
    OPTION(DMI_META_I32, DM_MAX_LEVELS, attention),
    OPTION(DMI_META_I32, 1, mid_attention),
    OPTION(DMI_META_I32, 1, attention_head_size),
    OPTION(DMI_META_I32, 1, norm_groups),
    OPTION(DMI_META_F32, 1, norm_eps),
    OPTION(DMI_META_F32, 1, dropout),
    OPTION(DMI_META_I32, 1, time_embedding),
    OPTION(DMI_META_I32, 1, time_channels),
    OPTION(DMI_META_F32, 1, time_frequency_shift),
    OPTION(DMI_META_I32, 1, time_cos_first),
    OPTION(DMI_META_I32, 1, downsample_padding),
    OPTION(DMI_META_I32, 1, classes),
    OPTION(DMI_META_I32, 1, prediction),
};

/* Of options that older files don't know; those mean the defaults. */
static const dmi_meta later_table[] = {
    OPTION(DMI_META_I32, 1, learned_variance),
    OPTION(DMI_META_I32, 1, self_conditioning),
    OPTION(DMI_META_F32, 1, sigma_data),
};
enum { LATER_COUNT = sizeof later_table / sizeof *later_table };

int32_t dmi_unet_write_options(dmi_host *host, dmi_safetensors_writer *writer,
                               const dm_unet_options *options) {
    int32_t status = dmi_meta_write(host, writer, option_table,
                                    sizeof option_table / sizeof *option_table, options);
    return status ? status : dmi_meta_write(host, writer, later_table, LATER_COUNT, options);
}

int32_t dmi_unet_read_options(dmi_host *host, const dmi_safetensors *file,
                              dm_unet_options *options) {
    *options = dmi_unet_default_options();
    int32_t status = dmi_meta_read(host, file, option_table,
                                   sizeof option_table / sizeof *option_table, options);
    if (!status && dmi_safetensors_metadata(file, later_table[0].key))
        status = dmi_meta_read(host, file, later_table, LATER_COUNT, options);
    if (!status) status = dmi_unet_check_options(host, options);
    if (status != DM_ERROR_INVALID_ARGUMENT) return status;
    /* A value out of its range is the file's fault here, not the caller's. */
    return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: %s", dmi_safetensors_from(file), host->error);
}

const char *dmi_unet_options_difference(const dm_unet_options *a, const dm_unet_options *b) {
    enum { VALUE_SIZE = 4 }; /* of every member */
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
        const dmi_meta *option = &option_table[i];
        /* The levels stand before the arrays; entries past them are not used. */
        size_t count = (size_t)(option->count == DM_MAX_LEVELS ? a->levels : option->count);
        if (memcmp((const char *)a + option->offset, (const char *)b + option->offset,
                   count * VALUE_SIZE))
            return option->key + strlen("unet.");
    }
    for (size_t i = 0; i < LATER_COUNT; i++)
        if (memcmp((const char *)a + later_table[i].offset, (const char *)b + later_table[i].offset,
                   VALUE_SIZE))
            return later_table[i].key + strlen("unet.");
    return NULL;
}

/* Writes one parameter as files have it: [out, in, k, k]. */
static void fill(const void *param, const float *block, float *out, size_t count) {
    (void)count;
    dmi_params_export(param, block, out);
}

int32_t dmi_unet_write_block(dmi_host *host, dmi_safetensors_writer *writer, const dm_unet *unet,
                             const char *prefix, const float *block) {
    char name[2 * DMI_NAME_MAX];
    for (int32_t i = 0; i < unet->params.count; i++) {
        const dmi_param *p = &unet->params.items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        int32_t status = dmi_safetensors_add(host, writer, name, p->rank, p->shape, fill, p, block);
        if (status) return status;
    }
    return DM_OK;
}

/* "[64, 3, 3, 3]". */
static const char *shape_text(char *text, size_t capacity, int32_t rank, const int64_t *shape) {
    size_t length = (size_t)snprintf(text, capacity, "[");
    for (int32_t i = 0; i < rank && length < capacity; i++)
        length += (size_t)snprintf(text + length, capacity - length, "%s%lld", i ? ", " : "",
                                   (long long)shape[i]);
    if (length < capacity) snprintf(text + length, capacity - length, "]");
    return text;
}

/* Refuses an entry that is not `p`. */
static int32_t check_entry(dmi_host *host, const char *from, const char *name,
                           const dmi_safetensors_entry *e, const dmi_param *p) {
    if (!e)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: there is no tensor '%s', which the network has", from, name);
    if (strcmp(e->dtype, "F32"))
        return dmi_fail(host, DM_ERROR_UNSUPPORTED, "%s: tensor '%s' is of type %s; it must be F32",
                        from, name, e->dtype);
    bool same = e->rank == p->rank;
    for (int32_t k = 0; same && k < p->rank; k++) same = e->shape[k] == p->shape[k];
    if (same) return DM_OK;
    char its[192], ours[192]; /* 8 sides of 20 digits each */
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "%s: tensor '%s' is %s; the network's is %s",
                    from, name, shape_text(its, sizeof its, e->rank, e->shape),
                    shape_text(ours, sizeof ours, p->rank, p->shape));
}

/* Whether a network of some options has a tensor of such a name: of another's, the first part is
 * another. */
static bool is_network_name(const char *name) {
    static const char *const parts[] = {"conv_in",       "time_embedding", "class_embedding",
                                        "down_blocks",   "mid_block",      "up_blocks",
                                        "conv_norm_out", "conv_out"};
    size_t length = strcspn(name, ".");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i]) == length && !strncmp(name, parts[i], length)) return true;
    return false;
}

/* Refuses a file that under that prefix lacks any of the network's tensors, or has others: its
 * options are not those of its tensors then. */
static int32_t check_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                           const char *prefix) {
    char name[2 * DMI_NAME_MAX];
    const char *from = dmi_safetensors_from(file);
    size_t length = strlen(prefix);
    for (int32_t i = 0; i < unet->params.count; i++) {
        const dmi_param *p = &unet->params.items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        int32_t status = check_entry(host, from, name, dmi_safetensors_find(file, name), p);
        if (status) return status;
    }
    for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
        const char *its = dmi_safetensors_at(file, i)->name;
        if (strncmp(its, prefix, length) || !is_network_name(its + length)) continue;
        if (dmi_params_find(&unet->params, its + length) < 0)
            return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                            "%s: tensor '%s' is none of the network that its options describe",
                            from, its);
    }
    return DM_OK;
}

int32_t dmi_unet_read_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                            const char *prefix, float *block) {
    char name[2 * DMI_NAME_MAX];
    size_t largest = 1;
    float *outside;
    int32_t status = check_block(host, file, unet, prefix);
    if (status) return status;
    for (int32_t i = 0; i < unet->params.count; i++)
        if (unet->params.items[i].count > largest) largest = unet->params.items[i].count;
    status = dmi_alloc_array(host, &outside, largest, sizeof(float), "reading a network");
    if (status) return status;
    for (int32_t i = 0; !status && i < unet->params.count; i++) {
        const dmi_param *p = &unet->params.items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        status = dmi_safetensors_read(host, file, dmi_safetensors_find(file, name), outside);
        if (!status) dmi_params_import(p, block, outside);
    }
    dmi_free(host, outside);
    return status;
}

int32_t dm_unet_save(const dm_unet *unet, const dm_schedule *schedule, const char *path) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &unet->context->host;
    if (!path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: the path to save to is NULL");
    dmi_safetensors_writer *writer;
    int32_t status = dmi_safetensors_begin(host, &writer);
    if (status) return status;
    status = dmi_format_write(host, writer, dmi_format_unet);
    if (!status) status = dmi_unet_write_options(host, writer, &unet->options);
    if (!status && schedule) status = dmi_schedule_write(host, writer, schedule);
    if (!status) status = dmi_unet_write_block(host, writer, unet, "", unet->params.data);
    if (!status) status = dmi_safetensors_write(host, writer, path);
    dmi_safetensors_free(host, writer);
    return status;
}

const char *const dmi_average_prefixes[DMI_EMA_MAX] = {"average.", "average_1.", "average_2.",
                                                        "average_3."};

/* *prefix is that of the weights that were asked for. */
static int32_t choose_weights(dmi_host *host, const dmi_safetensors *file, int32_t weights,
                              const char **prefix) {
    char name[64];
    *prefix = "";
    if (weights == DM_WEIGHTS_TRAINED) return DM_OK;
    int32_t index = weights == DM_WEIGHTS_AVERAGE ? 0 : weights - DM_WEIGHTS_AVERAGE_1 + 1;
    snprintf(name, sizeof name, "%sconv_in.weight", dmi_average_prefixes[index]);
    bool there = dmi_safetensors_find(file, name);
    if (there) *prefix = dmi_average_prefixes[index];
    if (there || index == 0) return DM_OK;
    return dmi_fail(host, DM_ERROR_NOT_FOUND,
                    "%s: it has no average %d of the weights: there is no tensor '%s'",
                    dmi_safetensors_from(file), (int)index, name);
}

/* The network in an open file. */
static int32_t load(dm_unet **out, dm_context *context, const dmi_safetensors *file,
                    int32_t weights) {
    dmi_host *host = &context->host;
    dm_unet_options options;
    const char *prefix;
    int32_t status = dmi_format_check(host, file, false);
    if (!status) status = dmi_unet_read_options(host, file, &options);
    if (!status) status = choose_weights(host, file, weights, &prefix);
    if (status) return status;
    dm_unet *unet;
    status = dmi_unet_new(&unet, context, &options);
    if (status) return status;
    /* Before the memory that the options ask for: they may lie, the tensors are there in full. */
    status = check_block(host, file, unet, prefix);
    if (!status) status = dmi_params_allocate(host, &unet->params);
    if (!status) status = dmi_unet_read_block(host, file, unet, prefix, unet->params.data);
    if (status) {
        dm_unet_destroy(unet);
        return status;
    }
    unet->params.version++;
    *out = unet;
    return DM_OK;
}

/* Both ways to load begin alike. */
static int32_t check_load(dm_unet **out, dm_context *context, const void *source, int32_t weights) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!out) return dmi_fail(&context->host, DM_ERROR_INVALID_ARGUMENT, "unet: 'out' is NULL");
    if (!source)
        return dmi_fail(&context->host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: what to load from is NULL");
    if (weights >= DM_WEIGHTS_AVERAGE && weights <= DM_WEIGHTS_AVERAGE_3) return DM_OK;
    return dmi_fail(
        &context->host, DM_ERROR_INVALID_ARGUMENT,
        "unet: 'weights' is %d; it must be DM_WEIGHTS_AVERAGE (0), DM_WEIGHTS_TRAINED (1), or from "
        "DM_WEIGHTS_AVERAGE_1 (2) to DM_WEIGHTS_AVERAGE_3 (4)",
        (int)weights);
}

int32_t dm_unet_load(dm_unet **out, dm_context *context, const char *path, int32_t weights) {
    int32_t status = check_load(out, context, path, weights);
    if (status) return status;
    dmi_safetensors *file;
    status = dmi_safetensors_open(&context->host, &file, path);
    if (status) return status;
    status = load(out, context, file, weights);
    dmi_safetensors_close(&context->host, file);
    return status;
}

int32_t dm_unet_load_memory(dm_unet **out, dm_context *context, const void *bytes, size_t size,
                            int32_t weights) {
    int32_t status = check_load(out, context, bytes, weights);
    if (status) return status;
    dmi_safetensors *file;
    status = dmi_safetensors_parse(&context->host, &file, bytes, size, "memory");
    if (status) return status;
    status = load(out, context, file, weights);
    dmi_safetensors_close(&context->host, file);
    return status;
}
