/* SPDX-License-Identifier: MIT */
/* The public enumerations by name. */
#ifndef DM_SRC_CORE_ENUMS_H
#define DM_SRC_CORE_ENUMS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dmi_enum_value {
    int32_t value;
    const char *name; /* "ddim" */
    const char *help; /* one line */
} dmi_enum_value;

typedef struct dmi_enum {
    const char *name; /* "dm_solver" */
    const dmi_enum_value *values;
    int32_t count;
} dmi_enum;

int32_t dmi_enum_total(void);
const dmi_enum *dmi_enum_at(int32_t index);
/* NULL: there is none of that name. */
const dmi_enum *dmi_enum_find(const char *name);
/* The entry of a value or of a name; NULL: there is none. */
const dmi_enum_value *dmi_enum_find_value(const dmi_enum *of, int32_t value);
const dmi_enum_value *dmi_enum_find_name(const dmi_enum *of, const char *name);
/* The name of a value, for messages; "unknown" where it has none. */
const char *dmi_enum_text(const char *enumeration, int32_t value);

#endif
