# SPDX-License-Identifier: MIT
"""Cases of make_solvers.py for solvers that work in sigma: Euler, Euler ancestral, Heun, DPM2 and
LMS on schedules of betas, those of EDM's schedule, and churn on both. make_solvers.py, whose head
lists the conventions, calls make_beta_cases() and make_edm_cases().
"""

import math

import numpy as np

from corrected_schedulers import (
    EXPONENTIAL,
    KARRAS,
    KEEP,
    LEADING,
    TRAILING,
    EDMEulerScheduler,
    EDMMultistep,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
    V,
)
from diffusers_runs import (
    SIGMA_DATA,
    betas_of,
    finish,
    give_noise,
    level_sigma,
    network,
    noise_of,
    run,
    start_of,
    times_of,
    x_0_of,
)

# ---- Euler, Euler ancestral, Heun, DPM2, LMS on schedules of betas ----


def by_sigma(
    case,
    scheduler_class,
    steps,
    prediction="epsilon",
    kind="linear",
    outside=False,
    order=None,
    stages=1,
    **config,
):
    prediction_type, grid = "epsilon" if outside else prediction, {}
    if scheduler_class is EulerAncestralDiscreteScheduler:  # it has no grids, and gets Euler's
        grid = {name: config.pop(name) for name in (*KARRAS, *EXPONENTIAL) if name in config}
    scheduler = scheduler_class(
        trained_betas=betas_of(kind), prediction_type=prediction_type, **config
    )
    if kind == "zero":
        # Where diffusers has 2^-24, a sigma of 4096, to be finite: one so large that the rest is
        # below a float's last bit.
        scheduler.alphas_cumprod[-1] = 1e-16
    scheduler.set_timesteps(steps)
    if grid:
        euler = EulerDiscreteScheduler(trained_betas=betas_of(kind), **grid)
        euler.set_timesteps(steps)
        scheduler.sigmas, scheduler.timesteps = euler.sigmas, euler.timesteps
    times = scheduler.timesteps
    if scheduler_class is KDPM2DiscreteScheduler and config.get(
        "use_karras_sigmas"
    ):  # it rounds those on the grid
        times = times_of(scheduler, [level_sigma(scheduler, k) for k in range(len(times))])
    sigma = float(scheduler.sigmas[0])
    noise = (
        1.0 if config.get("timestep_spacing") == "leading" else sigma / math.sqrt(1 + sigma * sigma)
    )
    of_step = {} if order is None else {"order": order}
    run(
        case,
        scheduler,
        by_sigma=True,
        prediction=prediction,
        outside=outside,
        times=times,
        start=noise,
        stages=stages,
        **of_step,
    )


def make_beta_cases():
    """On schedules of betas, without churn."""
    by_sigma("euler-eps", EulerDiscreteScheduler, 12)
    by_sigma("euler-x0", EulerDiscreteScheduler, 12, "sample")
    by_sigma("euler-v", EulerDiscreteScheduler, 12, V)
    by_sigma("euler-leading", EulerDiscreteScheduler, 12, steps_offset=1, **LEADING)
    by_sigma("euler-trailing", EulerDiscreteScheduler, 12, **TRAILING)
    by_sigma("euler-karras", EulerDiscreteScheduler, 12, **KARRAS)
    by_sigma("euler-exponential", EulerDiscreteScheduler, 12, V, **EXPONENTIAL)
    by_sigma("euler-keep", EulerDiscreteScheduler, 12, **KEEP, **TRAILING)
    by_sigma("euler-cosine", EulerDiscreteScheduler, 12, V, "squaredcos_cap_v2")
    by_sigma("euler-scaled", EulerDiscreteScheduler, 12, kind="scaled_linear")
    by_sigma("euler-sigmoid", EulerDiscreteScheduler, 12, kind="sigmoid")
    by_sigma("euler-zero", EulerDiscreteScheduler, 12, V, "zero", **TRAILING)
    by_sigma("ancestral-eps", EulerAncestralDiscreteScheduler, 12)
    by_sigma("ancestral-x0", EulerAncestralDiscreteScheduler, 12, "sample", outside=True)
    by_sigma("ancestral-v", EulerAncestralDiscreteScheduler, 12, V)
    by_sigma("ancestral-trailing", EulerAncestralDiscreteScheduler, 20, **TRAILING)
    by_sigma("ancestral-karras", EulerAncestralDiscreteScheduler, 12, **KARRAS)
    by_sigma("ancestral-exponential", EulerAncestralDiscreteScheduler, 12, V, **EXPONENTIAL)
    by_sigma("ancestral-zero", EulerAncestralDiscreteScheduler, 12, V, "zero", **TRAILING)
    by_sigma("heun-eps", HeunDiscreteScheduler, 8, stages=2)
    by_sigma("heun-x0", HeunDiscreteScheduler, 8, "sample", stages=2)
    by_sigma("heun-v", HeunDiscreteScheduler, 8, V, stages=2)
    by_sigma("heun-karras", HeunDiscreteScheduler, 8, stages=2, **KARRAS)
    by_sigma("heun-exponential", HeunDiscreteScheduler, 8, V, stages=2, **EXPONENTIAL)
    by_sigma("heun-clip", HeunDiscreteScheduler, 8, stages=2, clip_sample=True)
    by_sigma("heun-cosine", HeunDiscreteScheduler, 8, V, "squaredcos_cap_v2", stages=2, **TRAILING)
    by_sigma("dpm2-eps", KDPM2DiscreteScheduler, 8, stages=2)
    by_sigma("dpm2-x0", KDPM2DiscreteScheduler, 8, "sample", outside=True, stages=2)
    by_sigma("dpm2-v", KDPM2DiscreteScheduler, 8, V, stages=2)
    by_sigma("dpm2-karras", KDPM2DiscreteScheduler, 8, stages=2, **KARRAS)
    by_sigma("dpm2-exponential", KDPM2DiscreteScheduler, 8, V, stages=2, **EXPONENTIAL)
    by_sigma("dpm2-trailing", KDPM2DiscreteScheduler, 8, kind="scaled_linear", stages=2, **TRAILING)
    for order in (1, 2, 3, 4):
        by_sigma(f"lms-{order}", LMSDiscreteScheduler, 12, order=order)
    by_sigma("lms-x0", LMSDiscreteScheduler, 12, "sample")
    by_sigma("lms-v", LMSDiscreteScheduler, 12, V)
    by_sigma("lms-karras", LMSDiscreteScheduler, 12, **KARRAS)
    by_sigma("lms-exponential", LMSDiscreteScheduler, 12, V, **EXPONENTIAL)
    by_sigma("lms-cosine", LMSDiscreteScheduler, 20, V, "squaredcos_cap_v2", **LEADING)


# ---- EDM, and churn ----


def edm(case, scheduler, steps):
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    x, middle = start_of(80.0), None
    for k, t in enumerate(scheduler.timesteps, 1):
        output = network(scheduler.scale_model_input(x, t), t)
        give_noise(scheduler, noise_of(k))
        result = scheduler.step(output, t, x)
        x = result.prev_sample
        if k == (steps + 1) // 2:
            middle = x_0_of(scheduler, result)
    finish(case, steps, x, middle)


def karras_algorithm_2(
    case, denoised, sigmas, start, heun, churn=0.0, low=0.0, high=math.inf, s_noise=1.0
):
    """Karras et al. (2022), algorithm 2 as printed, from sigmas that end with 0; without `heun`,
    without its lines 7 and 8."""
    steps, x = len(sigmas) - 1, start
    for i in range(steps):
        gamma = min(churn / steps, math.sqrt(2) - 1) if low <= sigmas[i] <= high else 0.0
        raised = sigmas[i] + gamma * sigmas[i]
        x = x + math.sqrt(raised**2 - sigmas[i] ** 2) * s_noise * noise_of(i + 1)
        slope = (x - denoised(x, raised)) / raised
        after = x + (sigmas[i + 1] - raised) * slope
        if heun and sigmas[i + 1] != 0:
            there = (after - denoised(after, sigmas[i + 1])) / sigmas[i + 1]
            after = x + (sigmas[i + 1] - raised) * (0.5 * slope + 0.5 * there)
        x = after
    finish(case, steps, x)


def edm_denoised(x, sigma):
    """Table 1."""
    both = sigma**2 + SIGMA_DATA**2
    output = network(x / math.sqrt(both), math.log(sigma) / 4)
    return SIGMA_DATA**2 / both * x + sigma * SIGMA_DATA / math.sqrt(both) * output


def edm_sigmas(steps, low=0.002, high=80.0, rho=7.0):
    ramp = np.arange(steps) / (steps - 1)
    return [
        *map(float, (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho),
        0.0,
    ]


def churn_with_betas(case, heun):
    scheduler = EulerDiscreteScheduler(trained_betas=betas_of("linear"))
    scheduler.set_timesteps(12)
    sigmas = [float(s) for s in scheduler.sigmas]
    # Between timesteps diffusers interpolates sigma linearly, and the timestep of a sigma by its
    # logarithm.
    known = dict(zip(sigmas, scheduler.timesteps))

    def denoised(x, sigma):
        t = known[sigma] if sigma in known else times_of(scheduler, [sigma])[0]
        return x - sigma * network(x / math.sqrt(1 + sigma * sigma), t)

    signal = 1 / math.sqrt(1 + sigmas[0] ** 2)
    karras_algorithm_2(
        case, denoised, sigmas, start_of(sigmas[0] * signal) / signal, heun, 3.0, 0.1, 100.0, 1.01
    )


def make_edm_cases():
    """On EDM's schedule; and churn, on schedules of betas too."""
    churn = 5.0, 0.05, 50.0, 1.003  # S_churn, S_tmin, S_tmax, S_noise
    edm("edm-euler", EDMEulerScheduler(), 12)
    edm("edm-euler-exponential", EDMEulerScheduler(sigma_schedule="exponential"), 12)
    for order in (1, 2, 3):
        edm(f"edm-dpmpp-{order}", EDMMultistep(solver_order=order), 12)
    edm("edm-dpmpp-exponential", EDMMultistep(sigma_schedule="exponential"), 20)
    edm("edm-sde", EDMMultistep(algorithm_type="sde-dpmsolver++"), 18)
    karras_algorithm_2("edm-heun", edm_denoised, edm_sigmas(18), start_of(80.0), True)
    karras_algorithm_2("edm-heun-churn", edm_denoised, edm_sigmas(18), start_of(80.0), True, *churn)
    karras_algorithm_2("edm-heun-most", edm_denoised, edm_sigmas(12), start_of(80.0), True, 40.0)
    karras_algorithm_2(
        "edm-euler-churn", edm_denoised, edm_sigmas(18), start_of(80.0), False, *churn
    )
    churn_with_betas("euler-churn", False)
    churn_with_betas("heun-churn", True)
