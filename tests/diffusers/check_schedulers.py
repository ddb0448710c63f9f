# SPDX-License-Identifier: MIT
"""The checks of schedulers for check.py: check_schedulers() compares the images of diffusers'
schedulers with those of the library's samplers that read their configurations, and check_written()
those of the schedulers that the library writes.
"""

import itertools
import json
import os
import tempfile

import diffusers
import libdiffusion as dm
import torch
from comparison import SAMPLE, error, initial_noise, load_and_run, own_network, run_scheduler
from libdiffusion._struct import Memory

# DDIM clips x_0 and keeps eps, 1 / signal times more sensitive: a last bit of the network's output
# changes images by 1e-4, and so does the network in double precision.
SENSITIVE = {"compatible": 1e-3, "default": 1e-3}
# What docs/diffusers.md lists: adding noise at the last step, extrapolating v, the second shift.
DIFFERS = {"default": 1}
SCHEDULERS = [
    ("DDPMScheduler", {}),
    ("DDPMScheduler", {"variance_type": "fixed_large", "timestep_spacing": "trailing"}, DIFFERS),
    ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False}),
    (
        "DDPMScheduler",
        {
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "prediction_type": "v_prediction",
        },
    ),
    ("DDIMScheduler", {}, SENSITIVE),
    ("DDIMScheduler", {"timestep_spacing": "trailing", "set_alpha_to_one": False}, SENSITIVE),
    (
        "DDIMScheduler",
        {"timestep_spacing": "linspace", "clip_sample": False, "prediction_type": "v_prediction"},
        DIFFERS,
    ),
    ("DDIMScheduler", {"clip_sample_range": 2.0, "prediction_type": "sample"}),
    (
        "DDIMScheduler",
        {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "steps_offset": 1},
    ),
    ("PNDMScheduler", {}),
    ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}),
    ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    (
        "DPMSolverMultistepScheduler",
        {"timestep_spacing": "trailing", "euler_at_final": True, "solver_order": 1},
    ),
    ("DPMSolverMultistepScheduler", {"solver_order": 3}, DIFFERS),
    ("PNDMScheduler", {"prediction_type": "v_prediction", "skip_prk_steps": True}, DIFFERS),
    (
        "EulerDiscreteScheduler",
        {
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "prediction_type": "v_prediction",
        },
        DIFFERS,
    ),
    (
        "UniPCMultistepScheduler",
        {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"},
        DIFFERS,
    ),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, DIFFERS),
    ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("DPMSolverSinglestepScheduler", {}),
    ("DPMSolverSDEScheduler", {}),
    ("EulerDiscreteScheduler", {}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("EulerDiscreteScheduler", {"timestep_spacing": "leading"}),
    ("EulerAncestralDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    ("KDPM2DiscreteScheduler", {}),
    ("LMSDiscreteScheduler", {}),
    ("UniPCMultistepScheduler", {}),
    ("UniPCMultistepScheduler", {"solver_order": 3}),
    ("DEISMultistepScheduler", {}),
    ("CMStochasticIterativeScheduler", {}),
    ("EDMEulerScheduler", {}),
    ("EDMDPMSolverMultistepScheduler", {}),
    ("FlowMatchEulerDiscreteScheduler", {}),
]


def plain_network():
    torch.manual_seed(5)
    return diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()


def check_schedulers(report, context, steps):
    model = plain_network()
    noise = initial_noise()
    for cls, keywords, *rest in SCHEDULERS:
        bounds = rest[0] if rest else {}
        name = f"{cls} {keywords}"
        try:
            scheduler = getattr(diffusers, cls)(**keywords)
        except ImportError as missing:
            print(f"{name}: left out, {str(missing).splitlines()[0]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(os.path.join(folder, "unet"))
            scheduler.save_pretrained(os.path.join(folder, "scheduler"))
            index = {
                "_class_name": "DDPMPipeline",
                "scheduler": ["diffusers", cls],
                "unet": ["diffusers", "UNet2DModel"],
            }
            with open(os.path.join(folder, "model_index.json"), "w") as file:
                json.dump(index, file)
            want = run_scheduler(scheduler, model, noise, steps)
            for compatible in (1, 0):
                try:
                    unet = dm.Unet.load(context, folder)
                    got = load_and_run(unet, folder, compatible, steps)
                except (dm.Error, RuntimeError) as refusal:
                    report.require(name, "sampling as a scheduler says", False, str(refusal))
                    continue
                what = "images of a compatible scheduler" if compatible else "images of a scheduler"
                bound = bounds.get("compatible" if compatible else "default", SAMPLE)
                report.check(name, what, error(got, want), bound)


WRITTEN_SOLVERS = (
    "ddpm ddim pndm plms euler euler_ancestral heun dpm2 lms dpmpp dpmpp_single unipc deis "
    "flow_euler"
).split()
# Sums over sigmas of thousands: float32's last bit is as large as the image.
LARGE_SIGMAS = "euler euler_ancestral heun dpm2 lms".split()
WRITTEN_MODELS = [
    ("eps", ["linear", "cosine", "sigmoid"]),
    ("v", ["linear", "cosine", "sigmoid"]),
    ("x0", ["linear", "cosine", "sigmoid"]),
    ("edm", ["edm"]),
    ("flow", ["flow"]),
]
WRITTEN_OUTPUTS = [
    {"clip": 0},
    {"clip": 1},
    {"clip": 1, "threshold": 0.9},
    {"clip": 1, "clip_range": 1e300},
]


def check_written(report, context, steps):
    """What the library writes is either refused or runs in diffusers with the same images."""
    noise = initial_noise()
    for prediction, kinds in WRITTEN_MODELS:
        unet = own_network(context, prediction)
        for kind, solver, output in itertools.product(kinds, WRITTEN_SOLVERS, WRITTEN_OUTPUTS):
            if kind == "cosine" and solver in LARGE_SIGMAS:
                continue
            name = f"{solver} on {kind} with {prediction} and {output}"
            schedule = dm.Schedule(context, kind=kind)
            options = Memory("dm_sampler_options")
            for member, value in {"solver": solver, "steps": steps, **output}.items():
                unet._core.call(
                    "dm_options_set",
                    context,
                    b"dm_sampler_options",
                    options.bytes,
                    member.encode(),
                    str(value).encode(),
                )
            with tempfile.TemporaryDirectory() as folder:
                try:
                    unet._core.call(
                        "dm_unet_save_diffusers", unet, schedule, options.bytes, folder.encode(), 0
                    )
                except dm.Error as refusal:
                    if "diffusers: '" not in str(refusal):
                        report.require(name, "writing a scheduler", False, str(refusal))
                    continue
                with open(os.path.join(folder, "scheduler", "scheduler_config.json")) as file:
                    cls = json.load(file)["_class_name"]
                try:
                    model = diffusers.UNet2DModel.from_pretrained(os.path.join(folder, "unet"))
                    scheduler = getattr(diffusers, cls).from_pretrained(
                        os.path.join(folder, "scheduler")
                    )
                    want = run_scheduler(scheduler, model.eval(), noise, steps)
                    got = load_and_run(unet, folder, 1, steps)
                except Exception as failure:
                    report.require(name, "running a written scheduler", False, repr(failure))
                    continue
                sensitive = output["clip"] and solver in ("ddim", "heun")
                bound = SENSITIVE["default"] if sensitive else SAMPLE
                report.check(name, "images of a written scheduler", error(got, want), bound)
