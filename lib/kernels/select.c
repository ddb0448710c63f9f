/* SPDX-License-Identifier: MIT */
/* Chooses a table of kernels: the best one compiled in that is not above the requested instruction
 * set. */
#include "base/cpu.h"
#include "kernels/kernels.h"

#ifdef DMI_HAVE_ISA_v3
extern const dmi_kernels dmi_table_v3;
#endif
#ifdef DMI_HAVE_ISA_v4
extern const dmi_kernels dmi_table_v4;
#endif
extern const dmi_kernels dmi_table_base;

const dmi_kernels *dmi_kernels_for(int32_t isa) {
#ifdef DMI_HAVE_ISA_v4
    if (isa >= DMI_ISA_V4) return &dmi_table_v4;
#endif
#ifdef DMI_HAVE_ISA_v3
    if (isa >= DMI_ISA_V3) return &dmi_table_v3;
#endif
    (void)isa;
    return &dmi_table_base;
}
