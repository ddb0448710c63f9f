/* SPDX-License-Identifier: MIT */
/* The table of solvers. */
#include "sample/solver.h"

static const dmi_solver *const solvers[] = {
    [DM_SOLVER_DDPM] = &dmi_solver_ddpm,
    [DM_SOLVER_DDIM] = &dmi_solver_ddim,
    [DM_SOLVER_PNDM] = &dmi_solver_pndm,
    [DM_SOLVER_PLMS] = &dmi_solver_plms,
    [DM_SOLVER_EULER] = &dmi_solver_euler,
    [DM_SOLVER_EULER_ANCESTRAL] = &dmi_solver_euler_ancestral,
    [DM_SOLVER_HEUN] = &dmi_solver_heun,
    [DM_SOLVER_DPM2] = &dmi_solver_dpm2,
    [DM_SOLVER_LMS] = &dmi_solver_lms,
    [DM_SOLVER_DPMPP] = &dmi_solver_dpmpp,
    [DM_SOLVER_DPMPP_SINGLE] = &dmi_solver_dpmpp_single,
    [DM_SOLVER_DPMPP_SDE] = &dmi_solver_dpmpp_sde,
    [DM_SOLVER_UNIPC] = &dmi_solver_unipc,
    [DM_SOLVER_DEIS] = &dmi_solver_deis,
    [DM_SOLVER_FLOW_EULER] = &dmi_solver_flow_euler,
    [DM_SOLVER_FLOW_HEUN] = &dmi_solver_flow_heun,
    [DM_SOLVER_CONSISTENCY] = &dmi_solver_consistency,
};

const dmi_solver *dmi_solver_find(dm_solver solver) { return solvers[solver]; }
