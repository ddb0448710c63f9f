/* The Winograd convolution's entry for the table of kernels. */
#ifndef DMI_KERNELS_WINOGRAD_TABLE_H
#define DMI_KERNELS_WINOGRAD_TABLE_H

#include "kernels/kernels.h"
#include "kernels/winograd.h"

extern const dmi_winograd DMI_KERNEL(winograd_table);

#endif
