/* SPDX-License-Identifier: MIT */
/* Bytes as text (RFC 4648, section 4). */
#ifndef DIFFUSION_CONSOLE_BASE64_H
#define DIFFUSION_CONSOLE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Writes 4 digits for each 3 bytes begun, the last padded with '=', without a 0 at the end. Returns
 * their number. */
size_t base64_encode(char *to, const uint8_t *bytes, size_t count);

#endif
