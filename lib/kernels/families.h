/* SPDX-License-Identifier: MIT */
/* Declares the kernels of one instruction set, those of kernels.inc, and their table. */
#ifndef DMI_KERNELS_FAMILIES_H
#define DMI_KERNELS_FAMILIES_H

#include "kernels/kernels.h"

/* NOLINTNEXTLINE(bugprone-macro-parentheses): types and lists of parameters have none */
#define DMI_ENTRY(result, name, parameters) result DMI_KERNEL(name) parameters;
#include "kernels/kernels.inc"
#undef DMI_ENTRY

extern const dmi_kernels DMI_KERNEL(table);

#endif
