/* How elementwise operations cut their work: each picture by itself, from its start, so that an
 * element falls into the same lane of the same loop whatever stands beside its picture in the
 * batch. */
#ifndef DMI_AUTOGRAD_OPS_PIECES_H
#define DMI_AUTOGRAD_OPS_PIECES_H

#include "tensor/shape.h"

/* Rows (pixels) of one task: about 64 KiB of floats, long enough to be worth handing out and short
 * enough for L2. */
static inline size_t dmi_piece_rows(dmi_shape s) {
    size_t rows = 16384 / (size_t)s.c;
    return rows ? rows : 1;
}

static inline int32_t dmi_pieces_per_picture(dmi_shape s) {
    size_t rows = dmi_piece_rows(s);
    return (int32_t)(((size_t)s.h * (size_t)s.w + rows - 1) / rows);
}

static inline int32_t dmi_piece_count(dmi_shape s) { return s.n * dmi_pieces_per_picture(s); }

/* Piece `task`: its first row of all rows of the tensor, and its number of rows. */
static inline size_t dmi_piece(dmi_shape s, int32_t task, size_t *rows) {
    int32_t per_picture = dmi_pieces_per_picture(s);
    size_t pixels = (size_t)s.h * (size_t)s.w, step = dmi_piece_rows(s);
    size_t first = (size_t)(task % per_picture) * step;
    *rows = pixels - first < step ? pixels - first : step;
    return (size_t)(task / per_picture) * pixels + first;
}

#endif
