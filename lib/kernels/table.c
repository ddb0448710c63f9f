/* The table of one instruction set. */
#include "kernels/families.h"
#include "kernels/product.h"
#include "kernels/winograd_table.h"

#define TEXT2(name) #name
#define TEXT(name) TEXT2(name)

const dmi_kernels DMI_KERNEL(table) = {
    .isa = TEXT(DMI_ISA),
    .silu_forward = DMI_KERNEL(silu_forward),
    .silu_backward = DMI_KERNEL(silu_backward),
    .add = DMI_KERNEL(add),
    .scale = DMI_KERNEL(scale),
    .copy_rows = DMI_KERNEL(copy_rows),
    .sum_rows = DMI_KERNEL(sum_rows),
    .dropout = DMI_KERNEL(dropout),
    .random_words = DMI_KERNEL(random_words),
    .norm_forward = DMI_KERNEL(norm_forward),
    .norm_backward = DMI_KERNEL(norm_backward),
    .softmax_block = DMI_KERNEL(softmax_block),
    .softmax_finish = DMI_KERNEL(softmax_finish),
    .softmax_gradient = DMI_KERNEL(softmax_gradient),
    .rows_to_panel = DMI_KERNEL(rows_to_panel),
    .panel_to_rows = DMI_KERNEL(panel_to_rows),
    .row_dot = DMI_KERNEL(row_dot),
    .linear_forward = DMI_KERNEL(linear_forward),
    .linear_backward_x = DMI_KERNEL(linear_backward_x),
    .linear_backward_w = DMI_KERNEL(linear_backward_w),
    .mse = DMI_KERNEL(mse),
    .huber = DMI_KERNEL(huber),
    .bound = DMI_KERNEL(bound),
    .combine = DMI_KERNEL(combine),
    .from_u8 = DMI_KERNEL(from_u8),
    .shift = DMI_KERNEL(shift),
    .self_condition = DMI_KERNEL(self_condition),
    .solver_input = DMI_KERNEL(solver_input),
    .solver_read = DMI_KERNEL(solver_read),
    .solver_threshold = DMI_KERNEL(solver_threshold),
    .solver_sum = DMI_KERNEL(solver_sum),
    .solver_spread = DMI_KERNEL(solver_spread),
    .solver_keep = DMI_KERNEL(solver_keep),
    .moments = DMI_KERNEL(moments),
    .solver_quantile = DMI_KERNEL(solver_quantile),
    .adamw = DMI_KERNEL(adamw),
    .average = DMI_KERNEL(average),
    .sum_squares = DMI_KERNEL(sum_squares),
    .all_finite = DMI_KERNEL(all_finite),
    .product = &DMI_KERNEL(product_table),
    .winograd = &DMI_KERNEL(winograd_table),
};
