/* SPDX-License-Identifier: MIT */
/* Rows of bfloat16: to and from floats, copies and sums. */
#include "kernels/bfloat16.h"
#include "base/math.h"
#include "kernels/column_sums.h"
#include "kernels/families.h"

void DMI_KERNEL(widen_rows)(float *y, size_t sy, const uint16_t *x, size_t sx, size_t rows,
                            size_t columns) {
    for (size_t r = 0; r < rows; r++, y += sy, x += sx) {
        size_t c = 0;
        for (; c + W <= columns; c += W) store(y + c, load_bf16(x + c));
        if (c < columns) {
            const int32_t count = (int32_t)(columns - c);
            store_part(y + c, load_bf16_part(x + c, count), count);
        }
    }
}

void DMI_KERNEL(widen_add)(float *y, const uint16_t *x, size_t n) {
    for (size_t i = 0; i < n; i += W) {
        const int32_t count = (int32_t)dmi_min_size(n - i, W);
        store_part(y + i, load_part(y + i, count) + load_bf16_part(x + i, count), count);
    }
}

void DMI_KERNEL(narrow_rows)(uint16_t *y, size_t sy, const float *x, size_t sx, size_t rows,
                             size_t columns, bool add) {
    for (size_t r = 0; r < rows; r++, y += sy, x += sx) {
        for (size_t c = 0; c < columns; c += W) {
            const int32_t count = (int32_t)dmi_min_size(columns - c, W);
            vec value = load_part(x + c, count);
            if (add) value += load_bf16_part(y + c, count);
            store_bf16_part(y + c, value, count);
        }
    }
}

void DMI_KERNEL(copy_rows_bf16)(uint16_t *y, size_t sy, const uint16_t *x, size_t sx, size_t rows,
                                size_t columns, bool add) {
    for (size_t r = 0; r < rows; r++, y += sy, x += sx) {
        if (!add) {
            memmove(y, x, columns * sizeof *y);
            continue;
        }
        for (size_t c = 0; c < columns; c += W) {
            const int32_t count = (int32_t)dmi_min_size(columns - c, W);
            store_bf16_part(y + c, load_bf16_part(y + c, count) + load_bf16_part(x + c, count),
                            count);
        }
    }
}

void DMI_KERNEL(sum_rows_bf16)(float *y, const uint16_t *x, size_t rows, size_t columns, bool add) {
    float block[DMI_FLOAT_ROWS * DMI_COLUMNS];
    double total[DMI_COLUMNS], sums[DMI_COLUMNS];
    for (size_t c0 = 0; c0 < columns; c0 += DMI_COLUMNS) {
        const size_t width = dmi_min_size(columns - c0, DMI_COLUMNS);
        memset(total, 0, sizeof total);
        for (size_t r = 0, count; r < rows; r += count) {
            count = dmi_min_size(rows - r, DMI_FLOAT_ROWS);
            DMI_KERNEL(widen_rows)(block, width, x + r * columns + c0, columns, count, width);
            dmi_column_sums(sums, block, width, count, width);
            for (size_t c = 0; c < width; c++) total[c] += sums[c];
        }
        for (size_t c = 0; c < width; c++)
            y[c0 + c] = (float)(add ? y[c0 + c] + total[c] : total[c]);
    }
}
