# SPDX-License-Identifier: MIT
"""data/diffusers/: small networks in the forms in which diffusers writes them or has written them,
and data/diffusers.safetensors: their outputs "<case>/y" [n, h, w, c] for x = fill("<case>/x") and
TIMES, computed from the weights as stored, in double precision.

    pipeline  a folder of DDPMPipeline, float32, v-prediction
    sharded   a model's folder with an index of shards, float16
    old       one file in bfloat16 with the names and shapes of older versions, and a config.json
              with few keys

    schedulers/NAME.json  a scheduler_config.json, with the images "scheduler/NAME" [2, 192] that
                          the scheduler gives after STEPS steps for a formula in place of a network,
                          with its tables in double precision

With --check FOLDER [y.safetensors] it opens a folder of dm_unet_save_diffusers instead: the
pipeline must load strictly and run, where it can, and where y.safetensors is given, hold the same
weights as it.
"""

import inspect
import json
import os
import shutil
import sys

import diffusers
import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

import formula

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data", "diffusers")
TIMES = [3.0, 120.0]
SIZE = 8
COMMON = dict(
    sample_size=SIZE,
    block_out_channels=(4, 8),
    layers_per_block=1,
    norm_num_groups=2,
    attention_head_dim=4,
)
DOWN, UP = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")


def network(case, dtype, **config):
    model = UNet2DModel(down_block_types=DOWN, up_block_types=UP, **{**COMMON, **config}).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(formula.weight(f"{name}", tuple(p.shape))))
    return model.to(dtype)


def output(case, model):
    x = torch.from_numpy(
        formula.fill(f"{case}/x", (len(TIMES), SIZE, SIZE, model.config.in_channels))
    ).double()
    with torch.no_grad():
        y = model.double()(x.permute(0, 3, 1, 2), torch.tensor(TIMES, dtype=torch.float64)).sample
    return y.permute(0, 2, 3, 1).float().contiguous()


def older(tensors):
    """The names before diffusers 0.15, with 1x1 convolutions in the attention of the first
    versions."""
    out = {}
    for name, t in tensors.items():
        for now, before in (
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ):
            if f".{now}." in name:
                name = name.replace(f".{now}.", f".{before}.")
                if t.dim() == 2:
                    t = t[:, :, None, None]
        out[name.replace("downsamplers.0.conv", "downsamplers.0.Conv2d_0")] = t.contiguous()
    return out


STEPS, V = 10, {"prediction_type": "v_prediction"}
KARRAS, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}
SCHEDULERS = {
    "ddim": ("DDIMScheduler", {}),
    "ddim-v": (
        "DDIMScheduler",
        {
            **V,
            "beta_schedule": "squaredcos_cap_v2",
            "clip_sample": False,
            "timestep_spacing": "trailing",
        },
    ),
    "ddim-keep": (
        "DDIMScheduler",
        {"set_alpha_to_one": False, "steps_offset": 1, "beta_schedule": "scaled_linear"},
    ),
    "ddim-threshold": (
        "DDIMScheduler",
        {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9},
    ),
    "ddim-zero": (
        "DDIMScheduler",
        {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    ),
    "ddim-betas": (
        "DDIMScheduler",
        {
            "trained_betas": [0.01, 0.02, 0.03, 0.02, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.2, 0.3],
            "num_train_timesteps": 12,
        },
    ),
    "pndm": ("PNDMScheduler", {}),
    "plms": (
        "PNDMScheduler",
        {"skip_prk_steps": True, "set_alpha_to_one": True, "steps_offset": 1},
    ),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-leading": (
        "EulerDiscreteScheduler",
        {"timestep_spacing": "leading", "steps_offset": 1, **V},
    ),
    "euler-karras": ("EulerDiscreteScheduler", {**KARRAS, "timestep_spacing": "trailing"}),
    "euler-keep": (
        "EulerDiscreteScheduler",
        {"final_sigmas_type": "sigma_min", "timestep_spacing": "trailing"},
    ),
    "heun": ("HeunDiscreteScheduler", {}),
    "heun-clip": ("HeunDiscreteScheduler", {"clip_sample": True, **EXPONENTIAL}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpmpp": ("DPMSolverMultistepScheduler", {}),
    "dpmpp-karras": ("DPMSolverMultistepScheduler", {**KARRAS, **V}),
    "dpmpp-leading": (
        "DPMSolverMultistepScheduler",
        {"timestep_spacing": "leading", "steps_offset": 1},
    ),
    "dpmpp-keep": (
        "DPMSolverMultistepScheduler",
        {"final_sigmas_type": "sigma_min", "solver_order": 1, "lower_order_final": False},
    ),
    "single": ("DPMSolverSinglestepScheduler", {}),
    "single-karras": (
        "DPMSolverSinglestepScheduler",
        {**KARRAS, "solver_order": 1, "thresholding": True},
    ),
    "unipc": ("UniPCMultistepScheduler", {}),
    "unipc-flow": (
        "UniPCMultistepScheduler",
        {"use_flow_sigmas": True, "flow_shift": 2.0, "prediction_type": "flow_prediction"},
    ),
    "deis": ("DEISMultistepScheduler", {}),
    "edm-euler": ("EDMEulerScheduler", {"sigma_max": 50.0}),
    "edm-dpmpp": ("EDMDPMSolverMultistepScheduler", {"rho": 6.0, "sigma_min": 0.01}),
    "edm-exponential": (
        "EDMDPMSolverMultistepScheduler",
        {"sigma_schedule": "exponential", "solver_order": 1},
    ),
    "flow": ("FlowMatchEulerDiscreteScheduler", {}),
    # Stochastic: only read.
    "ddpm": ("DDPMScheduler", {"variance_type": "fixed_large"}),
    "ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
}


def formula_network(x, t):
    x, t = x.float().double(), float(np.float32(float(t)))
    return 0.9 * x * ((t + 1) / (t + 2)) + 0.1 * torch.sin(3 * x + 0.01 * t)


def run_scheduler(name, class_name, config):
    scheduler = getattr(diffusers, class_name)(**config)
    path = os.path.join(DATA, "schedulers", f"{name}.json")
    scheduler.to_json_file(path)
    if name in ("ddpm", "ancestral", "sde"):
        return None
    scheduler.set_timesteps(STEPS)
    factor = float(getattr(scheduler, "init_noise_sigma", 1.0))
    if "EDM" in class_name:  # diffusers has sqrt(sigma_max^2 + 1) for sigma_max
        factor = scheduler.config.sigma_max
    x = torch.from_numpy(formula.fill("scheduler/start", (2, 192, 1, 1), 2.0)).double() * factor
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        x = scheduler.step(formula_network(scaled.double(), t), t, x).prev_sample.double()
    return x.float().reshape(2, 192).contiguous()


def make():
    shutil.rmtree(DATA, ignore_errors=True)
    os.makedirs(DATA)
    outputs = {}

    model = network(
        "pipeline",
        torch.float32,
        resnet_time_scale_shift="scale_shift",
        attn_norm_num_groups=2,
        norm_eps=1e-6,
    )
    scheduler = DDPMScheduler(
        num_train_timesteps=500, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"
    )
    DDPMPipeline(model, scheduler).save_pretrained(os.path.join(DATA, "pipeline"))
    outputs["pipeline/y"] = output("pipeline", model)

    model = network(
        "sharded",
        torch.float16,
        freq_shift=1,
        flip_sin_to_cos=False,
        downsample_padding=0,
        act_fn="swish",
        attention_head_dim=None,
        time_embedding_dim=12,
    )
    model.save_pretrained(os.path.join(DATA, "sharded"), max_shard_size="20KB")
    outputs["sharded/y"] = output("sharded", model)

    model = network("old", torch.bfloat16, in_channels=2, out_channels=4)
    folder = os.path.join(DATA, "old")
    os.makedirs(folder)
    save_file(older(model.state_dict()), os.path.join(folder, "weights.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(
            {
                "sample_size": [SIZE, SIZE],
                "block_out_channels": [4, 8],
                "layers_per_block": 1,
                "norm_num_groups": 2,
                "attention_head_dim": 4,
                "down_block_types": DOWN,
                "up_block_types": UP,
                "in_channels": 2,
                "out_channels": 4,
                "mid_block_type": "UNetMidBlock2D",
                "some_later_key": None,
                "_note": [{}],
            },
            f,
            indent=1,
        )
    outputs["old/y"] = output("old", model)

    os.makedirs(os.path.join(DATA, "schedulers"))
    for class_name, _ in SCHEDULERS.values():
        getattr(diffusers, class_name)  # loads its module
    import diffusers_runs  # noqa: F401  from here on their tables are in double precision

    for name, (class_name, config) in SCHEDULERS.items():
        x = run_scheduler(name, class_name, config)
        if x is not None:
            outputs[f"scheduler/{name}"] = x
    save_file(outputs, os.path.join(HERE, "data", "diffusers.safetensors"))


def check(folder, weights=None):
    pipeline = DDPMPipeline.from_pretrained(folder)
    model, loading = UNet2DModel.from_pretrained(
        os.path.join(folder, "unet"), output_loading_info=True
    )
    assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
    if weights:
        want, got = load_file(weights), model.state_dict()
        assert want.keys() == got.keys()
        for name in want:
            assert torch.equal(want[name].float(), got[name].float()), name
    shape = None
    if (
        "generator" in inspect.signature(pipeline.scheduler.step).parameters
    ):  # the pipelines give it to every scheduler
        shape = pipeline(batch_size=1, num_inference_steps=2, output_type="np").images.shape
    print(
        f"{folder}: {type(pipeline.scheduler).__name__}, "
        f"{sum(p.numel() for p in model.parameters())} parameters, "
        f"images {shape}"
    )


if len(sys.argv) > 2 and sys.argv[1] == "--check":
    check(*sys.argv[2:])
else:
    make()
