/* SPDX-License-Identifier: MIT */
/* The engine's statuses. Their values are those of the public header; src/core/status.c asserts
 * that they agree. */
#ifndef DMI_BASE_STATUS_H
#define DMI_BASE_STATUS_H

#include <stdint.h>

enum {
    DMI_OK = 0,
    DMI_ERROR_INVALID_ARGUMENT = -1,
    DMI_ERROR_OUT_OF_MEMORY = -2,
    DMI_ERROR_LIMIT_EXCEEDED = -3,
    DMI_ERROR_IO = -4,
    DMI_ERROR_BAD_FORMAT = -5,
    DMI_ERROR_UNSUPPORTED_VERSION = -6,
    DMI_ERROR_CHECKSUM = -7,
    DMI_ERROR_SHAPE_MISMATCH = -8,
    DMI_ERROR_NOT_FOUND = -9,
    DMI_ERROR_WRONG_STATE = -10,
    DMI_ERROR_UNSUPPORTED = -11,
    DMI_ERROR_CANCELLED = -12,
    DMI_ERROR_NOT_FINITE = -13,
    DMI_ERROR_THREAD = -14,
    DMI_ERROR_CALLBACK_FAILED = -15,
    DMI_ERROR_INTERNAL = -16
};

#endif
