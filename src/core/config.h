/* SPDX-License-Identifier: MIT */
/* A JSON object of scalars and lists, as configuration files of diffusers are: read whole, then
 * looked up key by key. Files are not trusted: their size, keys and values are limited, and every
 * message names the file, the key and the value.
 *
 * The first error stays in `status`: from then on the functions return their defaults, so that a
 * caller looks up all keys and checks the status once, with dmi_config_end. */
#ifndef DM_SRC_CORE_CONFIG_H
#define DM_SRC_CORE_CONFIG_H

#include "base/host.h"
#include "diffusion.h"

enum {
    DMI_CONFIG_SIZE_MAX = 8000000,
    DMI_CONFIG_KEYS_MAX = 256,
    DMI_CONFIG_ELEMENTS_MAX = 200000 /* of all lists; one may have a beta for each timestep */
};

typedef enum dmi_config_kind {
    DMI_CONFIG_NULL,
    DMI_CONFIG_BOOL,
    DMI_CONFIG_NUMBER, /* perhaps infinite or NaN */
    DMI_CONFIG_TEXT,
    DMI_CONFIG_LIST, /* of the four kinds above */
    DMI_CONFIG_OTHER /* an object, or a list with lists or objects */
} dmi_config_kind;

typedef struct dmi_config_value {
    dmi_config_kind kind;
    double number;       /* of a bool: 0 or 1 */
    const char *text;    /* of a text */
    size_t first, count; /* of a list: its elements, in `elements` */
    size_t begin, end;   /* of the JSON text in the file */
} dmi_config_value;

typedef struct dmi_config_pair {
    const char *key;
    bool used; /* it was asked for */
    dmi_config_value value;
} dmi_config_pair;

typedef struct dmi_config {
    dmi_host *host;
    const char *from; /* the path, for messages; belongs to the caller */
    dm_status status;
    char *text, *raw; /* the JSON text with decoded strings, and as it was */
    dmi_config_pair *pairs;
    dmi_config_value *elements;
    size_t pair_count, pair_capacity, element_count, element_capacity;
} dmi_config;

/* DM_ERROR_NOT_FOUND where there is no such file. On failure there is nothing to free. `from` must
 * outlive the config. */
dm_status dmi_config_read(dmi_host *host, dmi_config *out, const char *from);
/* The same from text [length], which is copied. */
dm_status dmi_config_parse(dmi_host *host, dmi_config *out, const char *text, size_t length,
                           const char *from);
void dmi_config_free(dmi_config *config);

/* NULL: the file has no such key. Marks it as known. */
const dmi_config_value *dmi_config_find(dmi_config *config, const char *key);
/* Whether the key is missing or null. */
bool dmi_config_is_null(dmi_config *config, const char *key);

/* The value of a key, or `otherwise` where it is missing. What has another type or lies outside the
 * range is refused, null too. */
int32_t dmi_config_i32(dmi_config *config, const char *key, int32_t otherwise, int32_t minimum,
                       int32_t maximum);
double dmi_config_double(dmi_config *config, const char *key, double otherwise, double minimum,
                         double maximum);
bool dmi_config_bool(dmi_config *config, const char *key, bool otherwise);
/* A text, or NULL for null; valid until the config is freed. */
const char *dmi_config_text(dmi_config *config, const char *key, const char *otherwise);

/* A name and what it stands for; tables end with the name NULL. */
typedef struct dmi_config_name {
    const char *name;
    int32_t value;
} dmi_config_name;
/* What a text stands for; other texts are refused with the list of names. `otherwise` is a name. */
int32_t dmi_config_choice(dmi_config *config, const char *key, const char *otherwise,
                          const dmi_config_name *names);

/* Refuses the value of a key, "FILE: 'KEY' is VALUE; REASON", as DM_ERROR_UNSUPPORTED or, for one
 * that diffusers would not accept either, DM_ERROR_BAD_FORMAT. A key that is missing is said to be
 * "missing (DEFAULT)". Does nothing after an error. */
void dmi_config_refuse(dmi_config *config, dm_status status, const char *key, const char *reason);

/* Refuses keys that nobody asked for, unless they begin with '_' or are null. Returns the status.
 */
dm_status dmi_config_end(dmi_config *config);

#endif
