/* The solvers that there are. */
#include "solver.h"

static const dmi_solver *const solvers[] = {&dmi_solver_ddpm, &dmi_solver_ddim};

const dmi_solver *dmi_solver_find(int32_t id) {
    for (size_t i = 0; i < sizeof solvers / sizeof solvers[0]; i++)
        if (solvers[i]->id == id) return solvers[i];
    return NULL;
}
