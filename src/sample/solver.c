/* The solvers that there are. */
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
};
enum { SOLVER_COUNT = sizeof solvers / sizeof solvers[0] };

const dmi_solver *dmi_solver_find(int32_t id) {
    return id >= 0 && id < SOLVER_COUNT ? solvers[id] : NULL;
}

int32_t dm_solver_count(void) { return SOLVER_COUNT; }

const char *dm_solver_name(int32_t solver) {
    const dmi_solver *s = dmi_solver_find(solver);
    return s ? s->name : NULL;
}

const char *dm_solver_advice(int32_t solver) {
    const dmi_solver *s = dmi_solver_find(solver);
    return s ? s->advice : NULL;
}
