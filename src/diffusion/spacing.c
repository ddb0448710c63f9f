/* SPDX-License-Identifier: MIT */
/* See spacing.h. */
#include "diffusion/spacing.h"

int32_t dmi_divide_round(int64_t n, int64_t d) {
    int64_t quotient = n / d, twice = 2 * (n % d);
    return (int32_t)(quotient + (twice > d || (twice == d && quotient % 2 == 1)));
}

int32_t dmi_trailing_timestep(int32_t total, int32_t steps, int32_t i) {
    return dmi_divide_round((int64_t)total * (steps - i), steps) - 1;
}

/* (timestep + 1) steps / total differs from steps - i by at most steps / (2 total), a quarter. */
int32_t dmi_trailing_entry(int32_t total, int32_t steps, int32_t timestep) {
    int32_t i = steps - dmi_divide_round((int64_t)(timestep + 1) * steps, total);
    bool is_entry = i >= 0 && i < steps && dmi_trailing_timestep(total, steps, i) == timestep;
    return is_entry ? i : -1;
}
