/* SPDX-License-Identifier: MIT */
/* See show.h. */
#include "picture/show.h"

#include <stdlib.h>

#include "console/output.h"
#include "console/terminal.h"
#include "console/terminal_picture.h"
#include "picture/image_write.h"

enum { PIXELS_A_COLUMN = 8, COLUMNS_MAX = 1000 };

static terminal_kind kind = TERMINAL_NONE;

void show_begin(void) { kind = terminal_picture_kind(); }

void show_grid(const dm_image_grid_options *grid, const float *images) {
    uint8_t *pixels;
    int32_t height, width;
    char error[256];
    if (kind == TERMINAL_NONE) return;
    int columns = terminal_width(stdout);
    if (columns > COLUMNS_MAX) columns = COLUMNS_MAX;
    if (draw_grid(grid, images, &pixels, &height, &width) == DM_OK) {
        /* As large as it is, if that fits. */
        int own =
            kind == TERMINAL_BLOCKS ? columns : (width + PIXELS_A_COLUMN - 1) / PIXELS_A_COLUMN;
        (void)terminal_picture_show(stdout, kind, pixels, height, width, grid->channels,
                                    own < columns ? own : columns, error, sizeof error);
        flush_standard_output();
    }
    free(pixels);
}
