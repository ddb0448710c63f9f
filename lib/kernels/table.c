/* SPDX-License-Identifier: MIT */
/* The table of one instruction set. */
#include "kernels/families.h"
#include "kernels/product.h"
#include "kernels/winograd.h"

#define TEXT2(name) #name
#define TEXT(name) TEXT2(name)

const dmi_kernels DMI_KERNEL(table) = {
    .isa = TEXT(DMI_ISA),
#define DMI_ENTRY(result, name, parameters) .name = DMI_KERNEL(name),
#include "kernels/kernels.inc"
#undef DMI_ENTRY
    .product = &DMI_KERNEL(product_table),
    .winograd = &DMI_KERNEL(winograd_table),
    .winograd_bf16 = &DMI_KERNEL(winograd_table_bf16),
};
