# SPDX-License-Identifier: MIT
"""diffusers' schedulers for make_solvers.py: the classes that its cases run, those whose steps are
put right, and short names of their options.

All schedulers are imported here, before diffusers_runs: that turns float32 into float64 in the
modules of schedulers that are imported by then, and only in those. So a module with cases takes its
schedulers from here and not from diffusers, and imports this before diffusers_runs. The name of
this module must not begin with "diffusers", by which give_noise knows diffusers' own classes.
"""

import sys

import torch
from diffusers import (  # noqa: F401
    DDIMInverseScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

# See the head.
assert "diffusers_runs" not in sys.modules, "import corrected_schedulers before diffusers_runs"
from diffusers_runs import betas_of, network, start_of

KARRAS, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}
LEADING, TRAILING = {"timestep_spacing": "leading"}, {"timestep_spacing": "trailing"}
KEEP = {"final_sigmas_type": "sigma_min"}
V = "v_prediction"
SDE = {"algorithm_type": "sde-dpmsolver++"}
LATE = {"lower_order_final": False}
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.6}


def third_order(self, model_output_list, *args, sample=None, noise=None, **kwargs):
    """DPM-Solver++'s third multistep order. With a = (m0 - m1) / r0 and b = (m1 - m2) / r1 the
    second divided difference of x_0 over lambda, times h^2, is 2 (a - b) / (r0 + r1); diffusers
    (0.42) and the authors' code lack the 2, and so fall to second order
    (tests/unit/test_solver_order.c)."""
    levels = [
        self._sigma_to_alpha_sigma_t(self.sigmas[self.step_index + k]) for k in (1, 0, -1, -2)
    ]
    (alpha, sigma), (_, sigma0) = levels[:2]
    to, l0, l1, l2 = (torch.log(a) - torch.log(s) for a, s in levels)
    m0, m1, m2 = model_output_list[-1], model_output_list[-2], model_output_list[-3]
    h = to - l0
    r0, r1 = (l0 - l1) / h, (l1 - l2) / h
    a, b = (m0 - m1) / r0, (m1 - m2) / r1
    d1, d2 = a + r0 / (r0 + r1) * (a - b), 2 * (a - b) / (r0 + r1)
    left = torch.exp(-h) - 1
    return (
        sigma / sigma0 * sample
        - alpha * left * m0
        + alpha * (left / h + 1) * d1
        - alpha * ((left + h) / h**2 - 0.5) * d2
    )


def from_pure_noise(self, sigma):
    """The limit that diffusers' formula misses, inf * 0, so that the signal may be exactly 0."""
    if torch.isinf(sigma):
        return torch.tensor(0.0), torch.tensor(1.0)
    alpha = 1 / (sigma**2 + 1) ** 0.5
    return alpha, sigma * alpha


class Multistep(DPMSolverMultistepScheduler):
    multistep_dpm_solver_third_order_update = third_order


class EDMMultistep(EDMDPMSolverMultistepScheduler):
    multistep_dpm_solver_third_order_update = third_order


class UniPCAfterNoise(UniPCMultistepScheduler):
    """After pure noise, where lambda is infinite and no polynomial goes through its x_0, it
    restarts: that step isn't corrected, and the next is of first order. Diffusers' own handling,
    with 2^-24 for the signal squared, ends 4e-4 away after 12 steps, of which 2e-4 is the
    signal's."""

    def step(self, *args, **kwargs):
        result = super().step(*args, **kwargs)
        if self.step_index == 1:
            self.lower_order_nums = 0
        return result


def gap_of_third_orders(steps):
    """How far diffusers' own third order ends from the one put right, relative to its norm."""
    images = []
    for scheduler_class in (DPMSolverMultistepScheduler, Multistep):
        scheduler = scheduler_class(
            trained_betas=betas_of("linear"), solver_order=3, final_sigmas_type="zero"
        )
        scheduler.set_timesteps(steps)
        scheduler.set_begin_index(0)
        x = start_of(1.0)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t), t, x).prev_sample
        images.append(x)
    theirs, right = images
    return float((theirs - right).norm() / right.norm())
