# SPDX-License-Identifier: MIT
"""data/consistency.safetensors: what diffusers' CMStochasticIterativeScheduler makes of one start,
with the network of make_solvers.py and with a small UNet2DModel with classes, as
ConsistencyModelPipeline runs them.

All is in double but what the network of make_solvers.py gets and gives. The start is
fill("solvers/start") * 2 * 80; the noise of step i, 1 for the first, is fill("solvers/noise<i>") *
sqrt(3). Stored are "<case>/x", the final images [n, c, h, w] of the former and [n, h, w, c] of the
UNet2DModel, and as metadata "unet/options" (members of dm_unet_options).
"""

import os
import sys

import torch
from diffusers import CMStochasticIterativeScheduler, UNet2DModel
from safetensors.numpy import save_file

import formula
from diffusers_runs import *

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "diffusers"))
import configs  # noqa: E402

SIGMA_MAX = 80.0
UNET = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "sample_size": [8, 8],
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "resnet_time_scale_shift": "scale_shift",
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "num_class_embeds": 5,
    "act_fn": "silu",
}
LABELS = [3, 0]


def draw_as(name, scale, last):
    """Images [2, 3, 8, 8] from numbers in that order, or in the order [2, 8, 8, 3]."""
    if not last:
        return draw(name, scale)
    return torch.from_numpy(formula.fill(name, (2, 8, 8, 3), scale)).double().permute(0, 3, 1, 2)


def sample(model, last, **of_scheduler):
    timesteps = {
        k: of_scheduler.pop(k) for k in ("timesteps", "num_inference_steps") if k in of_scheduler
    }
    scheduler = CMStochasticIterativeScheduler(**of_scheduler)
    scheduler.set_timesteps(**timesteps)
    scheduler.set_begin_index(0)
    sigma_max = scheduler.config.sigma_max
    x = single(draw_as("solvers/start", 2.0, last) * sigma_max)
    for step, t in enumerate(scheduler.timesteps, 1):
        output = model(scheduler.scale_model_input(x, t), t)
        give_noise(scheduler, draw_as(f"solvers/noise{step}", math.sqrt(3), last))
        x = scheduler.step(output, t, x).prev_sample
    return x, len(scheduler.timesteps)


def unet():
    model = UNet2DModel(**UNET).double()
    model.time_proj.register_forward_hook(lambda module, inputs, output: output.double())
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(formula.weight(name, tuple(p.shape))).double())
    return model


CASES = {
    "one": {"num_inference_steps": 1},
    "two": {"num_inference_steps": 2},
    "four": {"num_inference_steps": 4},
    "list": {"timesteps": [22, 0]},
    "three": {"num_inference_steps": 3},  # which does not divide 40
    "other": {
        "num_inference_steps": 2,
        "num_train_timesteps": 10,
        "sigma_min": 0.01,
        "sigma_max": 20.0,
        "rho": 5.0,
        "sigma_data": 0.7,
        "s_noise": 1.01,
    },
    "unclipped": {"num_inference_steps": 4, "clip_denoised": False},
}

for case, arguments in CASES.items():
    x, steps = sample(network, False, **arguments)
    finish(case, steps, x)

model = unet()
labels = torch.tensor(LABELS)
for case in ("one", "two", "four"):
    with torch.no_grad():
        x, steps = sample(lambda x, t: model(x, t, labels).sample, True, **CASES[case])
    finish("unet-" + case, steps, x.permute(0, 2, 3, 1))

options = "\n".join(f"{k} {v}" for k, v in configs.options_of(UNET).items())
save_file(results, "tests/golden/data/consistency.safetensors", {"unet/options": options})
