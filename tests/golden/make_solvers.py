"""data/solvers.safetensors: the final pictures of every solver as diffusers has them, for the cases that test_solvers.c lists
again, "<case>/x"; and where the scheduler's timesteps are none of the library's spacings, "<case>/timesteps", which the test gives
to the library as its own list.

The start is fill("solvers/start") * 2, as x = signal x_0 + noise eps at the first level; schedulers that keep x / signal get that.
The noise of step i is fill("solvers/noise<i>") * sqrt(3). The network is 0.98 x (t + 1) / (t + 2) of what it is given.

Diffusers' tables are float32; alphas_cumprod is replaced by the same in double where a scheduler takes it, but sigmas are rounded
to float32 again by set_timesteps. Heun's run of EDM with churn is written out here, from Karras et al. 2022, algorithm 2. The third-order
update of DPM-Solver++ gets the factor 2 that it lacks (see src/solver_dpmpp.c); its distance to the published one is printed.
"""
import inspect
import math
import textwrap
from pathlib import Path

import numpy as np
import torch
from diffusers import (DDIMInverseScheduler, DDIMScheduler, DDPMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler,
                       DPMSolverSinglestepScheduler, EDMDPMSolverMultistepScheduler, EDMEulerScheduler, EulerAncestralDiscreteScheduler,
                       EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler, HeunDiscreteScheduler,
                       KDPM2DiscreteScheduler, LMSDiscreteScheduler, PNDMScheduler, UniPCMultistepScheduler)
from diffusers.schedulers import (scheduling_ddpm, scheduling_dpmsolver_multistep, scheduling_edm_euler,
                                  scheduling_euler_ancestral_discrete)
from safetensors.numpy import save_file

import formula

SHAPE = (2, 3, 4, 4)
PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
NOISY = [scheduling_ddpm, scheduling_dpmsolver_multistep, scheduling_edm_euler, scheduling_euler_ancestral_discrete]
DDPM = {"beta_start": 1e-4, "beta_end": 0.02}  # two schedulers have other defaults
results = {}


def draw(name, scale):
    return torch.from_numpy(formula.fill(name, SHAPE, scale)).double()


def network(x, t):
    return 0.98 * x * (float(t) + 1) / (float(t) + 2)


def noise_of_step(i):
    noise = draw(f"solvers/noise{i}", math.sqrt(3))
    for module in NOISY:
        module.randn_tensor = lambda *_, **__: noise


def in_double(scheduler):
    scheduler.alphas_cumprod = torch.cumprod(1 - betas_of(scheduler.config), 0)
    scheduler.betas = betas_of(scheduler.config)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alpha_t = torch.sqrt(scheduler.alphas_cumprod)
    scheduler.sigma_t = torch.sqrt(1 - scheduler.alphas_cumprod)
    scheduler.lambda_t = torch.log(scheduler.alpha_t) - torch.log(scheduler.sigma_t)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    if getattr(scheduler, "final_alpha_cumprod", None) is not None:
        scheduler.final_alpha_cumprod = scheduler.one if scheduler.config.set_alpha_to_one else scheduler.alphas_cumprod[0]
    if getattr(scheduler, "initial_alpha_cumprod", None) is not None:
        scheduler.initial_alpha_cumprod = scheduler.one if scheduler.config.set_alpha_to_one else scheduler.alphas_cumprod[0]


def betas_of(config):
    steps = config.num_train_timesteps
    low, high = config.beta_start, config.beta_end
    if config.beta_schedule == "linear":
        betas = torch.linspace(low, high, steps, dtype=torch.float64)
    elif config.beta_schedule == "scaled_linear":
        betas = torch.linspace(low**0.5, high**0.5, steps, dtype=torch.float64) ** 2
    elif config.beta_schedule == "sigmoid":
        betas = torch.sigmoid(torch.linspace(-6, 6, steps, dtype=torch.float64)) * (high - low) + low
    else:
        def signal(u):
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = torch.tensor([min(1 - signal((t + 1) / steps) / signal(t / steps), 0.999) for t in range(steps)], dtype=torch.float64)
    if getattr(config, "rescale_betas_zero_snr", False):
        root = torch.sqrt(torch.cumprod(1 - betas, 0))
        first, last = root[0].clone(), root[-1].clone()
        a = ((root - last) * first / (first - last)) ** 2
        betas = 1 - torch.cat([a[:1], a[1:] / a[:-1]])
    return betas


def keep(case, x):
    results[f"{case}/x"] = x.reshape(-1).numpy().astype(np.float32)
    print(f"{case}: |x| {float(x.abs().mean()):.6f}")


def keep_timesteps(case, scheduler):
    results[f"{case}/timesteps"] = np.array([float(t) for t in scheduler.timesteps], dtype=np.float32)


def in_x(case, scheduler, steps, own_list=True, start=None, **of_step):
    """Schedulers whose state is x."""
    in_double(scheduler)
    scheduler.set_timesteps(steps)
    x = draw("solvers/start", 2.0) if start is None else start
    for i, t in enumerate(scheduler.timesteps, 1):
        noise_of_step(i)
        x = scheduler.step(network(x, t), t, x, **of_step).prev_sample
    keep(case, x)
    if own_list:
        keep_timesteps(case, scheduler)


def in_sigma(case, scheduler, steps, **of_step):
    """Schedulers whose state is x / signal. Some take no prediction of x_0."""
    try:
        run_in_sigma(case, scheduler, steps, **of_step)
    except NotImplementedError:
        print(f"{case}: not implemented by diffusers")


def run_in_sigma(case, scheduler, steps, **of_step):
    in_double(scheduler)
    scheduler.set_timesteps(steps)
    sigma = float(scheduler.sigmas[0])
    x = draw("solvers/start", 2.0) * math.sqrt(sigma**2 + 1)
    i, first = 0, True
    for t in scheduler.timesteps:
        first = getattr(scheduler, "state_in_first_order", True)
        if first:
            i += 1
            noise_of_step(i)
        output = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x, **of_step).prev_sample
    keep(case, x / math.sqrt(float(scheduler.sigmas[-1]) ** 2 + 1))


def third_order():
    """DPMSolverMultistepScheduler with the factor 2."""
    source = textwrap.dedent(inspect.getsource(DPMSolverMultistepScheduler.multistep_dpm_solver_third_order_update))
    lacking = "(1.0 / (r0 + r1)) * (D1_0 - D1_1)"
    assert source.count(lacking) == 1
    space = dict(vars(scheduling_dpmsolver_multistep))
    exec(source.replace(lacking, "2 * " + lacking), space)

    class ThirdOrder(DPMSolverMultistepScheduler):
        multistep_dpm_solver_third_order_update = space["multistep_dpm_solver_third_order_update"]

    return ThirdOrder


# Not Euler with churn: there the network is asked before the noise is added, which is not Karras's algorithm. That is below.
for name, kind in PREDICTIONS.items():
    common = {"prediction_type": kind}
    if name == "eps":  # it averages the v of several levels, and takes it for the v of one
        in_x("pndm-eps", PNDMScheduler(skip_prk_steps=False, set_alpha_to_one=True), 10, own_list=False)
        in_x("plms-eps", PNDMScheduler(skip_prk_steps=True, set_alpha_to_one=True), 10, own_list=False)
    in_sigma(f"euler-{name}", EulerDiscreteScheduler(timestep_spacing="linspace", **common), 10)
    in_sigma(f"ancestral-{name}", EulerAncestralDiscreteScheduler(timestep_spacing="trailing", **common), 10)
    in_sigma(f"heun-{name}", HeunDiscreteScheduler(**DDPM, timestep_spacing="linspace", **common), 10)
    in_sigma(f"dpm2-{name}", KDPM2DiscreteScheduler(**DDPM, timestep_spacing="linspace", **common), 10)
    in_sigma(f"lms-{name}", LMSDiscreteScheduler(timestep_spacing="linspace", **common), 10)
    for order in (1, 2, 3):
        multi = third_order() if order == 3 else DPMSolverMultistepScheduler
        in_x(f"dpmpp{order}-{name}", multi(solver_order=order, **common), 10)
        in_x(f"dpmpp{order}-long-{name}", multi(solver_order=order, lower_order_final=False, **common), 20)
        in_x(f"single{order}-{name}", DPMSolverSinglestepScheduler(solver_order=order, final_sigmas_type="zero", **common), 11)
        in_x(f"unipc{order}-{name}", UniPCMultistepScheduler(solver_order=order, solver_type="bh2", **common), 10)
        in_x(f"deis{order}-{name}", DEISMultistepScheduler(solver_order=order, **common), 10)
        if order < 3:
            in_x(f"sde{order}-{name}", DPMSolverMultistepScheduler(solver_order=order, algorithm_type="sde-dpmsolver++", **common), 10)

in_x("dpmpp3-published", DPMSolverMultistepScheduler(solver_order=3, lower_order_final=False), 20)
apart = np.abs(results.pop("dpmpp3-published/x") - results["dpmpp3-long-eps/x"])
results.pop("dpmpp3-published/timesteps")
print(f"DPM-Solver++ of order 3, published and with its factor 2, 20 steps: {apart.max():.2e} apart at the most")

in_sigma("euler-karras", EulerDiscreteScheduler(timestep_spacing="linspace", use_karras_sigmas=True), 10)
in_sigma("euler-exponential", EulerDiscreteScheduler(timestep_spacing="linspace", use_exponential_sigmas=True), 10)
in_sigma("euler-kept", EulerDiscreteScheduler(timestep_spacing="leading", final_sigmas_type="sigma_min"), 10)
in_sigma("euler-cosine", EulerDiscreteScheduler(timestep_spacing="trailing", beta_schedule="squaredcos_cap_v2",
                                                prediction_type="v_prediction"), 10)
in_sigma("heun-karras", HeunDiscreteScheduler(**DDPM, timestep_spacing="linspace", use_karras_sigmas=True), 10)
in_sigma("dpm2-karras", KDPM2DiscreteScheduler(**DDPM, timestep_spacing="linspace", use_karras_sigmas=True), 10)
in_sigma("lms-karras", LMSDiscreteScheduler(timestep_spacing="linspace", use_karras_sigmas=True), 10)
in_x("dpmpp2-karras", DPMSolverMultistepScheduler(use_karras_sigmas=True), 10, own_list=False)
in_x("dpmpp2-kept", DPMSolverMultistepScheduler(final_sigmas_type="sigma_min"), 10)
in_x("unipc2-karras", UniPCMultistepScheduler(use_karras_sigmas=True), 10, own_list=False)
in_x("ddim-scaled", DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
                                  prediction_type="v_prediction"), 10, own_list=False)
in_x("ddim-terminal", DDIMScheduler(rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False,
                                    prediction_type="v_prediction"), 10, own_list=False)
in_x("ddim-threshold", DDIMScheduler(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1.5), 10, own_list=False)
in_x("ddpm-sigmoid", DDPMScheduler(beta_schedule="sigmoid", variance_type="fixed_small", prediction_type="v_prediction"), 20,
     own_list=False)
in_x("inversion", DDIMInverseScheduler(clip_sample=False), 10, own_list=False)
in_x("inversion-v", DDIMInverseScheduler(clip_sample=False, prediction_type="v_prediction"), 10, own_list=False)


def flow(case, scheduler, **timesteps):
    scheduler.set_timesteps(**timesteps)
    x = draw("solvers/start", 2.0)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t), t, x).prev_sample.double()
    keep(case, x)


flow("flow-euler", FlowMatchEulerDiscreteScheduler(), num_inference_steps=10)
flow("flow-euler-shift", FlowMatchEulerDiscreteScheduler(shift=3.0), sigmas=np.linspace(1, 1 / 1000, 10).tolist())
flow("flow-heun", FlowMatchHeunDiscreteScheduler(), num_inference_steps=10)


def edm(case, scheduler, steps, **of_step):
    scheduler.set_timesteps(steps)
    x = draw("solvers/start", 2.0) * float(scheduler.sigmas[0])
    for i, t in enumerate(scheduler.timesteps, 1):
        noise_of_step(i)
        x = scheduler.step(network(scheduler.scale_model_input(x, t), t), t, x, **of_step).prev_sample
    keep(case, x)


edm("edm-euler", EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, prediction_type="epsilon"), 10)
edm("edm-dpmpp2", EDMDPMSolverMultistepScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, prediction_type="epsilon",
                                                solver_order=2), 10)


def edm_heun(case, steps, churn=0.0, least=0.0, most=math.inf, s_noise=1.0):
    def denoise(x, sigma):
        root = math.sqrt(sigma**2 + 0.25)
        return 0.25 / root**2 * x + sigma * 0.5 / root * network(x / root, math.log(sigma) / 4)

    sigmas = [(80 ** (1 / 7) + i / (steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(steps)] + [0.0]
    x = draw("solvers/start", 2.0) * sigmas[0]
    for i, (now, after) in enumerate(zip(sigmas[:-1], sigmas[1:]), 1):
        gamma = min(churn / steps, math.sqrt(2) - 1) if least <= now <= most else 0
        raised = now * (1 + gamma)
        if gamma > 0:
            x = x + math.sqrt(raised**2 - now**2) * s_noise * draw(f"solvers/noise{i}", math.sqrt(3))
        slope = (x - denoise(x, raised)) / raised
        there = x + (after - raised) * slope
        if after > 0:
            there = x + (after - raised) * (slope + (there - denoise(there, after)) / after) / 2
        x = there
    keep(case, x)


edm_heun("edm-heun", 18)
edm_heun("edm-heun-churn", 18, churn=10.0, least=0.05, most=50.0, s_noise=1.003)



def as_torch(case, steps, seed):
    """DDPM with a generator for each picture, as a list of generators does in diffusers; pictures as [h, w, c]."""
    pictures = []
    for i in range(SHAPE[0]):
        generator = torch.Generator().manual_seed(seed + i)
        scheduler = DDPMScheduler(variance_type="fixed_large", prediction_type="v_prediction", timestep_spacing="leading")
        in_double(scheduler)
        scheduler.set_timesteps(steps)
        x = torch.randn((1, *SHAPE[1:]), generator=generator).double()
        for t in scheduler.timesteps:
            noise = torch.randn((1, *SHAPE[1:]), generator=generator).double() if t > 0 else 0 * x
            scheduling_ddpm.randn_tensor = lambda *_, **__: noise
            x = scheduler.step(network(x, t), t, x).prev_sample
        pictures.append(x.permute(0, 2, 3, 1))
    keep(case, torch.cat(pictures))


as_torch("torch-ddpm", 20, 5)
for count in (5, 16, 37):
    results[f"torch-randn-{count}/x"] = torch.randn(count, generator=torch.Generator().manual_seed(2**32 + 7)).numpy()

save_file(results, str(Path(__file__).parent / "data" / "solvers.safetensors"))
