/* SPDX-License-Identifier: MIT */
/* What follows from the tables of structs: defaults, reading and writing across versions, and
 * range checks. */
#include "core/structs.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/enums.h"
#include "core/text.h"

static const dmi_struct *const structs[] = {
    &dmi_struct_member_info,      &dmi_struct_context_options,    &dmi_struct_profile_row,
    &dmi_struct_schedule_options, &dmi_struct_unet_options,       &dmi_struct_tensor_info,
    &dmi_struct_unet_input,       &dmi_struct_diffusers_options,  &dmi_struct_dataset_info,
    &dmi_struct_dataset_memory,   &dmi_struct_dataset_item,       &dmi_struct_dataset_callback,
    &dmi_struct_trainer_options,  &dmi_struct_train_stats,        &dmi_struct_checkpoint_info,
    &dmi_struct_train_batch,      &dmi_struct_sampler_options,    &dmi_struct_sampler_progress,
    &dmi_struct_noise_request,    &dmi_struct_denoiser_input,     &dmi_struct_denoiser,
    &dmi_struct_guidance_step,    &dmi_struct_sampler_request,    &dmi_struct_evaluation_options,
    &dmi_struct_evaluation,       &dmi_struct_image_grid_options, &dmi_struct_image_animation,
};
enum { STRUCT_COUNT = sizeof structs / sizeof *structs };

int32_t dmi_struct_total(void) { return STRUCT_COUNT; }

const dmi_struct *dmi_struct_at(int32_t index) {
    return index >= 0 && index < STRUCT_COUNT ? structs[index] : NULL;
}

const dmi_struct *dmi_struct_find(const char *name) {
    for (int32_t i = 0; name && i < STRUCT_COUNT; i++)
        if (strcmp(structs[i]->name, name) == 0) return structs[i];
    return NULL;
}

const dmi_member *dmi_struct_find_member(const dmi_struct *of, const char *name) {
    for (int32_t i = 0; name && i < of->count; i++)
        if (strcmp(of->members[i].name, name) == 0) return &of->members[i];
    return NULL;
}

/* ---- reading and writing across versions ---- */

/* A larger struct_size is one that was never set; a smaller one that of a pointer to the struct. */
enum { SIZE_MIN_PLAUSIBLE = 16, SIZE_MAX_PLAUSIBLE = 4096 };

static size_t end_of(const dmi_member *m) { return m->offset + (size_t)m->count * m->element_size; }

/* Whether a struct of that size may be an older or newer version: members have 4 or 8 bytes, and
 * none is cut in two. */
static bool is_plausible(const dmi_struct *of, size_t size) {
    if (size < SIZE_MIN_PLAUSIBLE || size > SIZE_MAX_PLAUSIBLE || size % sizeof(uint32_t) != 0)
        return false;
    for (int32_t i = 0; i < of->count; i++)
        if (size > of->members[i].offset && size < end_of(&of->members[i])) return false;
    return true;
}

dm_status dmi_struct_check_size(dmi_host *host, const dmi_struct *of, size_t size) {
    if (is_plausible(of, size)) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "%s: 'struct_size' is %zu; was the struct initialised with its init function?",
                    of->name, size);
}

void dmi_struct_defaults(const dmi_struct *of, void *values) {
    const uint32_t size = (uint32_t)of->size;
    memset(values, 0, of->size);
    memcpy(values, &size, sizeof size);
    for (int32_t i = 0; i < of->count; i++)
        if (of->members[i].default_text)
            dmi_member_parse(&of->members[i], values, of->members[i].default_text, false);
}

dm_status dmi_struct_init(const dmi_struct *of, void *target, size_t size) {
    /* Every struct fits: a test compares their sizes with this one. */
    union {
        uint8_t bytes[DMI_STRUCT_SIZE_MAX];
        double align;
        void *pointer;
    } full;
    dmi_host no_context = {0};
    dmi_struct_defaults(of, &full);
    return dmi_struct_write(&no_context, of, target, size, &full);
}

dm_status dmi_struct_read(dmi_host *host, const dmi_struct *of, void *values, const void *source) {
    dmi_struct_defaults(of, values);
    if (!source) return DM_OK;
    uint32_t given;
    memcpy(&given, source, sizeof given);
    dm_status status = dmi_struct_check_size(host, of, given);
    if (status) return status;
    const uint8_t *bytes = source;
    for (size_t i = of->size; i < given; i++)
        if (bytes[i] != 0)
            return dmi_fail(host, DM_ERROR_UNSUPPORTED_VERSION,
                            "%s: a member at byte %zu is set, which this version (%s, %zu bytes) "
                            "does not know",
                            of->name, i, dm_version_string(), of->size);
    memcpy(values, source, given < of->size ? given : of->size);
    const uint32_t size = (uint32_t)of->size;
    memcpy(values, &size, sizeof size);
    return DM_OK;
}

dm_status dmi_struct_read_checked(dmi_host *host, const dmi_struct *of, void *values,
                                  const void *source) {
    dm_status status = dmi_struct_read(host, of, values, source);
    return status ? status : dmi_struct_check(host, of, values);
}

dm_status dmi_struct_write(dmi_host *host, const dmi_struct *of, void *target, size_t target_size,
                           const void *values) {
    if (!target)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: the struct to fill is NULL",
                        of->name);
    dm_status status = dmi_struct_check_size(host, of, target_size);
    if (status) return status;
    const uint32_t size = (uint32_t)target_size;
    const size_t common = target_size < of->size ? target_size : of->size;
    memcpy(target, values, common);
    memset((uint8_t *)target + common, 0, target_size - common);
    memcpy(target, &size, sizeof size);
    return DM_OK;
}

dm_status dmi_struct_write_back(dmi_host *host, const dmi_struct *of, void *target,
                                const void *values) {
    uint32_t size = 0;
    if (target) memcpy(&size, target, sizeof size);
    return dmi_struct_write(host, of, target, size, values);
}

/* ---- checks ---- */

dm_status dmi_check_range(dmi_host *host, const char *owner, const char *name, int32_t value,
                          int32_t minimum, int32_t maximum) {
    if (value >= minimum && value <= maximum) return DM_OK;
    if (minimum == maximum)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s' is %d; it must be %d", owner,
                        name, (int)value, (int)maximum);
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s' is %d; it must be from %d to %d",
                    owner, name, (int)value, (int)minimum, (int)maximum);
}

enum { RANGE_TEXT_SIZE = 96 };

/* "from 0 to 1", "above 0 and at most 5", "a finite number, at least 0". */
static void describe_range(const dmi_member *m, char *text) {
    char low[DMI_NUMBER_SIZE], high[DMI_NUMBER_SIZE];
    dmi_format_double(low, sizeof low, m->minimum, 8);
    dmi_format_double(high, sizeof high, m->maximum, m->type == DM_TYPE_I32 ? 10 : 8);
    if (m->maximum >= (double)FLT_MAX && m->minimum == (double)FLT_MIN)
        snprintf(text, RANGE_TEXT_SIZE, "a finite number above 0");
    else if (m->maximum >= (double)FLT_MAX)
        snprintf(text, RANGE_TEXT_SIZE, "a finite number, at least %s", low);
    else if (m->minimum == (double)FLT_MIN)
        snprintf(text, RANGE_TEXT_SIZE, "above 0 and at most %s", high);
    else snprintf(text, RANGE_TEXT_SIZE, "from %s to %s", low, high);
}

/* The entry as a number; exact for all types but integers above 2^53. */
static double entry_of(const dmi_member *m, const void *values, uint32_t index) {
    const uint8_t *from = (const uint8_t *)values + m->offset + (size_t)index * m->element_size;
    int32_t i32;
    uint64_t u64;
    float f32;
    double f64;
    switch (m->type) {
        case DM_TYPE_I32: memcpy(&i32, from, sizeof i32); return i32;
        case DM_TYPE_U64: memcpy(&u64, from, sizeof u64); return (double)u64;
        case DM_TYPE_F32: memcpy(&f32, from, sizeof f32); return (double)f32;
        case DM_TYPE_F64: memcpy(&f64, from, sizeof f64); return f64;
        default: return 0;
    }
}

static dm_status check_entry(dmi_host *host, const dmi_struct *of, const dmi_member *m,
                             const void *values, uint32_t index) {
    const double value = entry_of(m, values, index);
    if (value >= m->minimum && value <= m->maximum) return DM_OK; /* false for NaN */
    char range[RANGE_TEXT_SIZE], number[DMI_NUMBER_SIZE] = "not finite", entry[24] = "";
    dmi_format_double(number, sizeof number, value, 15);
    if (isnan(value)) snprintf(number, sizeof number, "NaN");
    if (m->count > 1) snprintf(entry, sizeof entry, "[%u]", (unsigned)index);
    describe_range(m, range);
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s%s' is %s; it must be %s", of->owner,
                    m->name, entry, number, range);
}

/* "0 (ddpm), 1 (ddim), 2 (pndm) ...", as much as fits. */
static void list_values(const dmi_enum *of, char *text, size_t capacity) {
    size_t length = 0;
    for (int32_t i = 0; i < of->count && length < capacity; i++)
        length += (size_t)snprintf(text + length, capacity - length, "%s%d (%s)", i ? ", " : "",
                                   (int)of->values[i].value, of->values[i].name);
}

static dm_status check_enum(dmi_host *host, const dmi_struct *of, const dmi_member *m,
                            const void *values, uint32_t index) {
    const uint8_t *from = (const uint8_t *)values + m->offset + (size_t)index * m->element_size;
    int32_t value;
    memcpy(&value, from, sizeof value);
    const dmi_enum *known = dmi_enum_find(m->enumeration);
    if (dmi_enum_find_value(known, value)) return DM_OK;
    char text[320], entry[24] = "";
    list_values(known, text, sizeof text);
    if (m->count > 1) snprintf(entry, sizeof entry, "[%u]", (unsigned)index);
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s%s' is %d; it must be one of %s",
                    of->owner, m->name, entry, (int)value, text);
}

static dm_status check_padding(dmi_host *host, const dmi_struct *of, const dmi_member *m,
                               const void *values) {
    const uint8_t *bytes = (const uint8_t *)values + m->offset;
    for (size_t i = 0; i < m->element_size; i++)
        if (bytes[i] != 0)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "%s: '%s' is set; it must be 0",
                            of->name, m->name);
    return DM_OK;
}

dm_status dmi_struct_check_member(dmi_host *host, const dmi_struct *of, const dmi_member *m,
                                  const void *values) {
    dm_status status = DM_OK;
    for (uint32_t k = 0; m->enumeration && !status && k < m->count; k++)
        status = check_enum(host, of, m, values, k);
    if (status) return status;
    if (strncmp(m->name, "padding", strlen("padding")) == 0)
        return check_padding(host, of, m, values);
    bool has_range = m->minimum != 0 || m->maximum != 0;
    for (uint32_t k = 0; has_range && !status && k < m->count; k++)
        status = check_entry(host, of, m, values, k);
    return status;
}

dm_status dmi_struct_check(dmi_host *host, const dmi_struct *of, const void *values) {
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < of->count; i++)
        status = dmi_struct_check_member(host, of, &of->members[i], values);
    return status;
}

bool dmi_member_is_default(const dmi_struct *of, const dmi_member *member, const void *values) {
    union {
        uint8_t bytes[DMI_STRUCT_SIZE_MAX];
        double align;
        void *pointer;
    } defaults;
    dmi_struct_defaults(of, &defaults);
    return memcmp(defaults.bytes + member->offset, (const uint8_t *)values + member->offset,
                  (size_t)member->count * member->element_size) == 0;
}

int32_t dmi_struct_format_version(const dmi_struct *of, const void *values) {
    for (int32_t i = 0; i < of->count; i++)
        if (of->members[i].saved == DMI_SAVED_IF_SET &&
            !dmi_member_is_default(of, &of->members[i], values))
            return 2;
    return 1;
}

const dmi_member *dmi_struct_difference(const dmi_struct *of, const void *a, const void *b) {
    for (int32_t i = 0; i < of->count; i++) {
        const dmi_member *m = &of->members[i];
        const uint8_t *in_a = (const uint8_t *)a + m->offset,
                      *in_b = (const uint8_t *)b + m->offset;
        if (m->saved && memcmp(in_a, in_b, (size_t)m->count * m->element_size) != 0) return m;
    }
    return NULL;
}
