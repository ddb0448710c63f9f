/* SPDX-License-Identifier: MIT */
/* Macros for the tables of public structs. A file defines STRUCT and lists its members; type,
 * offset and count come from the compiler, so that they cannot differ from the header. */
#ifndef DM_SRC_CORE_TABLE_H
#define DM_SRC_CORE_TABLE_H

#include <float.h>

#include "core/structs.h"

#define DMI_MEMBER_OF(m) (((STRUCT *)0)->m)

/* An array member decays to a pointer to non-const; pointers to data are const or void or bytes. */
#define DMI_TYPE_OF(m)                                                                             \
    _Generic(DMI_MEMBER_OF(m),                                                                     \
        int32_t: DM_TYPE_I32,                                                                      \
        int32_t *: DM_TYPE_I32,                                                                    \
        uint32_t: DM_TYPE_U32,                                                                     \
        int64_t: DM_TYPE_I64,                                                                      \
        int64_t *: DM_TYPE_I64,                                                                    \
        uint64_t: DM_TYPE_U64,                                                                     \
        float: DM_TYPE_F32,                                                                        \
        double: DM_TYPE_F64,                                                                       \
        double *: DM_TYPE_F64,                                                                     \
        char *: DM_TYPE_CHAR,                                                                      \
        const char *: DM_TYPE_STRING,                                                              \
        void *: DM_TYPE_POINTER,                                                                   \
        const char *const *: DM_TYPE_POINTER,                                                      \
        const void *: DM_TYPE_POINTER,                                                             \
        uint8_t *: DM_TYPE_POINTER,                                                                \
        const uint8_t *: DM_TYPE_POINTER,                                                          \
        const int32_t *: DM_TYPE_POINTER,                                                          \
        const uint64_t *: DM_TYPE_POINTER,                                                         \
        const float *: DM_TYPE_POINTER,                                                            \
        const double *: DM_TYPE_POINTER,                                                           \
        default: DM_TYPE_FUNCTION)

#define DMI_ELEMENT_OF(m)                                                                          \
    _Generic(DMI_MEMBER_OF(m),                                                                     \
        int32_t *: sizeof(int32_t),                                                                \
        int64_t *: sizeof(int64_t),                                                                \
        double *: sizeof(double),                                                                  \
        char *: sizeof(char),                                                                      \
        default: sizeof DMI_MEMBER_OF(m))

#define DMI_PLACE_OF(m)                                                                            \
#m, DMI_TYPE_OF(m), offsetof(STRUCT, m), sizeof DMI_MEMBER_OF(m) / (DMI_ELEMENT_OF(m)),        \
        DMI_ELEMENT_OF(m)

enum { TRANSIENT = DMI_TRANSIENT, SAVED = DMI_SAVED, SAVED_IF_SET = DMI_SAVED_IF_SET };

/* Columns: name, default, minimum, maximum, saved, help. */
#define NUMBER(m, text, low, high, saved, help)                                                    \
    { DMI_PLACE_OF(m), text, low, high, NULL, saved, help }
/* 0 or 1. */
#define FLAG(m, text, saved, help)                                                                 \
    { DMI_PLACE_OF(m), text, 0, 1, NULL, saved, help }
/* Any value of the type. */
#define ANY(m, text, saved, help)                                                                  \
    { DMI_PLACE_OF(m), text, 0, 0, NULL, saved, help }
#define ENUM(m, enumeration, text, saved, help)                                                    \
    { DMI_PLACE_OF(m), text, 0, 0, #enumeration, saved, help }
/* An enumeration of which only the values from low to high are allowed. */
#define ENUM_RANGE(m, enumeration, text, low, high, saved, help)                                   \
    { DMI_PLACE_OF(m), text, low, high, #enumeration, saved, help }
/* Pointers, functions, outputs and padding: neither default nor range. */
#define FIELD(m, help)                                                                             \
    { DMI_PLACE_OF(m), NULL, 0, 0, NULL, TRANSIENT, help }
/* A pointer to numbers that are not const, which FIELD takes for an array. */
#define POINTER(m, help)                                                                           \
    {                                                                                              \
#m, DM_TYPE_POINTER, offsetof(STRUCT, m), 1, sizeof(void *), NULL, 0, 0, NULL, TRANSIENT,  \
            help                                                                                   \
    }
#define SIZE_MEMBER FIELD(struct_size, "Size of the struct in bytes.")
#define PADDING(m) FIELD(m, "Must be 0.")

#define DMI_STRUCT(variable, title, owner)                                                         \
    const dmi_struct variable = {title, owner, sizeof(STRUCT), members,                            \
                                 sizeof members / sizeof *members}

/* The largest double below 1 that is below 1 as a float too, and the smallest number above 0. */
#define BELOW_ONE 0.99999994
#define ABOVE_ZERO ((double)FLT_MIN)
#define LARGEST ((double)FLT_MAX)

#endif
