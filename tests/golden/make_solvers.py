# SPDX-License-Identifier: MIT
"""data/solvers.safetensors: what diffusers' schedulers make of one start, for every solver of the
library and the options that solver_cases.c lists too. Of each case: "<case>/x", the final images,
and, where the scheduler returns it, "<case>/x0", the x_0 predicted at the end of the step in the
middle.

Diffusers works in double here: in its modules float32 is float64 (InDouble). The network alone is
in single precision, as in the library: it takes x and t as floats and gives floats, of  0.9 x (t +
1) / (t + 2) + 0.1 sin(3 x + 0.01 t + label), computed in double. So both sides should agree to the
last bit of a float or two.

The start is fill("solvers/start") * 2, multiplied by the first level's noise where the solver works
in sigma; the noise of step i, 1 for the first, is fill("solvers/noise<i>") * sqrt(3), whose
variance is 1.

Where conventions differ, and neither is wrong, diffusers is given the library's:
- Schedulers that work in sigma hold x / signal; the start and what comes out are multiplied.
- The network gets the time that belongs to sigma: diffusers truncates that of some grids to whole
  numbers and rounds others. The library rounds it for solvers on timesteps, and not for those
  between them.
- What a scheduler doesn't take as a prediction, and what PNDM mixes of several levels before it
  converts it, is converted to eps before it gets it (outside=True).
- With zero terminal SNR, DPM-Solver has 2^-24 for a signal squared of 0, and Euler likewise; see
  there.
- After it, UniPC restarts (see UniPCAfterNoise). What diffusers gets wrong is put right here: the
  factor 2 of DPM-Solver++'s third order (see third_order), and churn, where it evaluates the
  network before the noise is added (so that is from the paper, see karras_algorithm_2).

Run as python3 tests/golden/make_solvers.py. Cases of solvers that work in sigma are in
solver_cases_sigma.py, all others here; corrected_schedulers.py has the schedulers, and
diffusers_runs.py runs them.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

import solver_cases_sigma
import unet_torch
from corrected_schedulers import (
    EXPONENTIAL,
    KARRAS,
    KEEP,
    LATE,
    LEADING,
    SDE,
    THRESHOLD,
    TRAILING,
    DDIMInverseScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverSinglestepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    Multistep,
    PNDMScheduler,
    UniPCAfterNoise,
    UniPCMultistepScheduler,
    V,
    from_pure_noise,
    gap_of_third_orders,
)
from diffusers_runs import (
    SHAPE,
    T,
    betas_of,
    finish,
    give_noise,
    network,
    noise_of,
    results,
    run,
    start_of,
    times_of,
)

# ---- PNDM, PLMS ----


def pndm(case, steps, prediction="epsilon", kind="linear", keep=False, plms=False, **config):
    scheduler = PNDMScheduler(
        trained_betas=betas_of(kind), skip_prk_steps=plms, set_alpha_to_one=not keep, **config
    )
    scheduler.set_timesteps(steps)
    run(case, scheduler, prediction=prediction, outside=True)


for name, plms in (("pndm", False), ("plms", True)):
    pndm(f"{name}-eps", 10, plms=plms)
    pndm(f"{name}-x0", 10, "sample", plms=plms)
    pndm(f"{name}-v", 20, "v_prediction", plms=plms)
    pndm(f"{name}-keep", 20, keep=True, plms=plms)
    pndm(f"{name}-cosine", 10, "v_prediction", "squaredcos_cap_v2", plms=plms)
    pndm(f"{name}-scaled", 20, kind="scaled_linear", plms=plms)
    pndm(f"{name}-trailing", 10, kind="sigmoid", plms=plms, timestep_spacing="trailing")


# ---- Euler, Euler ancestral, Heun, DPM2, LMS: by sigma ----

solver_cases_sigma.make_beta_cases()


# ---- DPM-Solver++, UniPC, DEIS ----


def by_lambda(
    case, scheduler_class, steps, prediction="epsilon", kind="linear", flow=None, **config
):
    config.setdefault("final_sigmas_type", "zero")
    if (
        scheduler_class is DEISMultistepScheduler
    ):  # it has timestep 0's level at the end, and no option
        del config["final_sigmas_type"]
    if flow:
        config.update(use_flow_sigmas=True, flow_shift=flow)
    scheduler = scheduler_class(trained_betas=betas_of(kind), prediction_type=prediction, **config)
    if kind == "zero":
        scheduler.alphas_cumprod[-1] = 0
        scheduler._sigma_to_alpha_sigma_t = from_pure_noise.__get__(scheduler)
    if flow and scheduler_class is UniPCMultistepScheduler:  # else it starts at 1 - 1e-6
        scheduler.set_timesteps(sigmas=(0.999 * np.arange(steps, 0, -1) / steps))
    else:
        scheduler.set_timesteps(steps)
    times = scheduler.timesteps
    if flow:
        times = scheduler.sigmas[:-1] * T
        if (
            scheduler_class is DEISMultistepScheduler
        ):  # it repeats the last; here too timestep 0's level is the end
            scheduler.sigmas[-1] = flow / T / (1 + (flow - 1) / T)
    elif config.get("use_karras_sigmas") or config.get("use_exponential_sigmas"):
        times = times_of(scheduler, scheduler.sigmas[:-1]).round()
    run(
        case,
        scheduler,
        prediction=prediction,
        times=times,
        start=float(scheduler.sigmas[0]) if flow else 1.0,
    )


Single, UniPC, DEIS = DPMSolverSinglestepScheduler, UniPCMultistepScheduler, DEISMultistepScheduler

for order in (1, 2, 3):
    by_lambda(f"dpmpp-{order}", Multistep, 12, solver_order=order)
    by_lambda(f"dpmpp-{order}-x0", Multistep, 20, "sample", solver_order=order)
    by_lambda(f"dpmpp-{order}-v", Multistep, 20, V, solver_order=order, **KEEP)
    by_lambda(f"single-{order}", Single, 12, solver_order=order)
    by_lambda(f"single-{order}-x0", Single, 13, "sample", solver_order=order)
    by_lambda(f"single-{order}-v", Single, 11, V, solver_order=order)
    by_lambda(f"single-{order}-keep", Single, 12, solver_order=order, **KEEP, **LATE)
    by_lambda(f"unipc-{order}", UniPC, 10, solver_order=order)
    by_lambda(f"unipc-{order}-x0", UniPC, 10, "sample", solver_order=order)
    by_lambda(f"unipc-{order}-v", UniPC, 16, V, solver_order=order, **KEEP, **LATE)
    by_lambda(f"deis-{order}", DEIS, 12, solver_order=order)
    by_lambda(f"deis-{order}-x0", DEIS, 12, "sample", solver_order=order)
    by_lambda(f"deis-{order}-v", DEIS, 20, V, solver_order=order, **LATE)
for order in (1, 2):
    by_lambda(f"sde-{order}", Multistep, 12, solver_order=order, **SDE)
    by_lambda(f"sde-{order}-x0", Multistep, 20, "sample", solver_order=order, **SDE)
    by_lambda(f"sde-{order}-v", Multistep, 12, V, solver_order=order, **SDE, **KEEP)
by_lambda("sde-karras", Multistep, 12, **SDE, **KARRAS)
for name, scheduler_class in (
    ("dpmpp", Multistep),
    ("single", Single),
    ("unipc", UniPC),
    ("deis", DEIS),
):
    by_lambda(f"{name}-karras", scheduler_class, 12, **KARRAS)
    by_lambda(f"{name}-exponential", scheduler_class, 12, V, **EXPONENTIAL)
    by_lambda(f"{name}-cosine", scheduler_class, 12, V, "squaredcos_cap_v2")
    by_lambda(f"{name}-threshold", scheduler_class, 12, **THRESHOLD)
    if scheduler_class is not Single:
        by_lambda(f"{name}-trailing", scheduler_class, 12, "sample", "sigmoid", **TRAILING)
    by_lambda(f"{name}-flow", scheduler_class, 9, "flow_prediction", flow=1.0)
    by_lambda(f"{name}-flow-shift", scheduler_class, 9, "flow_prediction", flow=3.0, solver_order=3)
by_lambda("sde-zero", Multistep, 12, V, "zero", **SDE, **TRAILING)
by_lambda("unipc-zero", UniPCAfterNoise, 12, V, "zero", disable_corrector=[0], **TRAILING)
by_lambda("dpmpp-zero", Multistep, 12, V, "zero", **TRAILING)
by_lambda("dpmpp-keep-short", Multistep, 12, solver_order=3, **KEEP)

print(
    f"diffusers' own third order is {gap_of_third_orders(20):.2g} from the one put right "
    "after 20 steps"
)


# ---- flow ----


def flow_euler(case, steps, shift, x0=False):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.arange(steps, 0, -1) / steps)
    run(case, scheduler, outside=x0, flow=True)


def flow_heun(case, steps, shift):
    scheduler = FlowMatchHeunDiscreteScheduler(shift=shift)
    scheduler.sigma_min = 1 / T  # it would shift the least sigma twice
    scheduler.set_timesteps(steps)
    run(case, scheduler, stages=2)


flow_euler("flow-euler", 10, 1.0)
flow_euler("flow-euler-shift", 20, 3.0)
flow_euler("flow-euler-x0", 20, 3.0, x0=True)
flow_heun("flow-heun", 8, 1.0)
flow_heun("flow-heun-shift", 8, 3.0)


# ---- DDIM and DDPM on the other schedules, and inversion ----


def by_timesteps(
    case, scheduler_class, steps, prediction="epsilon", kind="linear", eta=None, **config
):
    scheduler = scheduler_class(trained_betas=betas_of(kind), prediction_type=prediction, **config)
    scheduler.set_timesteps(steps)
    of_step = {} if eta is None else {"eta": eta}
    run(case, scheduler, prediction=prediction, **of_step)


by_timesteps("ddim-scaled", DDIMScheduler, 20, kind="scaled_linear")
by_timesteps("ddim-sigmoid", DDIMScheduler, 20, kind="sigmoid", eta=0.5)
by_timesteps("ddim-zero", DDIMScheduler, 20, V, "zero", **TRAILING)
by_timesteps(
    "ddim-zero-x0", DDIMScheduler, 20, "sample", "zero", eta=1.0, clip_sample=False, **TRAILING
)
by_timesteps("ddim-threshold", DDIMScheduler, 20, **THRESHOLD)
by_timesteps("ddpm-scaled", DDPMScheduler, 20, kind="scaled_linear", variance_type="fixed_small")
by_timesteps("ddpm-sigmoid", DDPMScheduler, 20, V, "sigmoid", variance_type="fixed_large")
by_timesteps("ddpm-threshold", DDPMScheduler, 20, variance_type="fixed_small", **THRESHOLD)
by_timesteps(
    "ddpm-zero",
    DDPMScheduler,
    20,
    V,
    "zero",
    variance_type="fixed_small",
    steps_offset=49,
    **LEADING,
)
by_timesteps("back-eps", DDIMInverseScheduler, 20, clip_sample=False)
by_timesteps("back-clip", DDIMInverseScheduler, 20)
by_timesteps("back-v", DDIMInverseScheduler, 20, V, clip_sample=False, **TRAILING)
by_timesteps(
    "back-x0", DDIMInverseScheduler, 20, "sample", clip_sample=False, set_alpha_to_one=False
)


def guided(case, steps, guidance, rescale):
    """The rescaling is rescale_noise_cfg of diffusers' pipelines (Lin et al. 2024, sec. 3.4)."""
    scheduler = DDIMScheduler(trained_betas=betas_of("linear"), prediction_type=V)
    scheduler.set_timesteps(steps)
    x = start_of(1.0)
    for t in scheduler.timesteps:
        label = torch.arange(1, SHAPE[0] + 1).reshape(-1, 1, 1, 1)  # image 0 has label 1
        with_class, without = network(x, t, label), network(x, t, -1)
        output = without + guidance * (with_class - without)
        ratio = with_class.std(dim=(1, 2, 3), keepdim=True) / output.std(
            dim=(1, 2, 3), keepdim=True
        )
        output = rescale * (output * ratio) + (1 - rescale) * output
        x = scheduler.step(output, t, x).prev_sample
    finish(case, steps, x)


guided("guided", 20, 4.0, 0.0)
guided("guided-rescaled", 20, 4.0, 0.7)


# ---- EDM, and churn ----

solver_cases_sigma.make_edm_cases()


# ---- PyTorch's random numbers ----


def torch_random(case, count, shape, seed):
    """DDPM of 20 steps, each image from a generator of its own, [n, h, w, c] in the end."""
    images = []
    for i in range(count):
        generator = torch.Generator().manual_seed(seed + i)
        scheduler = DDPMScheduler(trained_betas=betas_of("linear"), variance_type="fixed_large")
        scheduler.set_timesteps(20)
        x = torch.randn((1, *shape), generator=generator, dtype=torch.float32).double()
        for t in scheduler.timesteps:
            if t > 0:
                give_noise(
                    scheduler,
                    torch.randn((1, *shape), generator=generator, dtype=torch.float32).double(),
                )
            x = scheduler.step(network(x, t), t, x).prev_sample
        images.append(x.permute(0, 2, 3, 1).contiguous())
    finish(case, 20, torch.cat(images))


torch_random("torch", 2, (3, 8, 8), 5)
torch_random("torch-odd", 2, (3, 5, 7), 0)
torch_random("torch-few", 3, (3, 2, 2), 1 << 32 | 7)


# ---- a learned variance ----


def learned_variance(case, steps):
    """A small network of unet_torch.py, in double, since a custom denoiser has no variance
    output."""
    model = unet_torch.make(
        unet_torch.Options(
            height=8,
            width=8,
            out_channels=6,
            channels=[8, 16],
            blocks=[1, 1],
            attention=[0, 1],
            norm_groups=4,
        )
    )
    scheduler = DDPMScheduler(trained_betas=betas_of("linear"), variance_type="learned_range")
    scheduler.set_timesteps(steps)

    def as_torch(images):
        return images.reshape(SHAPE[0], *SHAPE[2:], SHAPE[1]).permute(0, 3, 1, 2)

    x, spread = as_torch(start_of(1.0)), []
    for i, t in enumerate(scheduler.timesteps, 1):
        with torch.no_grad():
            output = model(x, torch.full((len(x),), float(t)))
        spread.append(float(output[:, 3:].std()))
        give_noise(scheduler, as_torch(noise_of(i)))
        x = scheduler.step(output, t, x).prev_sample
    print(
        f"{case}: the learned variance spreads by {min(spread):.2f} to {max(spread):.2f} "
        "of its range's half"
    )
    finish(case, steps, x.permute(0, 2, 3, 1).contiguous())


learned_variance("learned", 10)

save_file(results, str(Path(__file__).parent / "data" / "solvers.safetensors"))
