/* SPDX-License-Identifier: MIT */
/* See shape.h. */
#include "tensor/shape.h"

#include "base/host.h"

bool dmi_shape_valid(dmi_shape s) {
    if (s.n < 1 || s.h < 1 || s.w < 1 || s.c < 1) return false;
    size_t bytes = sizeof(float);
    const int32_t sides[4] = {s.n, s.h, s.w, s.c};
    for (int i = 0; i < 4; i++) {
        if (!dmi_mul(bytes, (size_t)sides[i], &bytes)) return false;
    }
    return bytes <= SIZE_MAX / 4;
}
