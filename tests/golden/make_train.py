# SPDX-License-Identifier: MIT
"""data/train.safetensors: twenty steps of training a small network, by PyTorch in double precision:
its autograd, its AdamW, its clip_grad_norm_. Images, noise and timesteps of step s are drawn by
"<case>/<s>/images", ".../noise" (unit variance), ".../timesteps" and ".../labels".

Stored: "<case>/losses" [20], "<case>/norms" [20] before clipping, and "<case>/weights" and
"<case>/ema" [tensors, 10]: digests, in the order of named_tensors(), of how far each parameter and
its EMA have moved from their start. The cases are also in test_train_torch.c.
"""

import math

import numpy as np
import torch
from safetensors.numpy import save_file

import formula
import unet_torch as u

STEPS, BATCH, T = 20, 4, 1000
RATE, BETAS, EPS, DECAY, CLIP, EMA_DECAY = 1e-3, (0.9, 0.99), 1e-8, 0.01, 1.0, 0.8
WARMUP, FALL, FINAL = 5, 18, 0.25

NETWORK = dict(height=8, width=8, channels=[8, 16], blocks=[1, 1], attention=[0, 1], norm_groups=4)
CASES = {
    "eps": u.Options(**NETWORK),
    "x0": u.Options(**NETWORK, time_embedding=u.TIME_ADD_OUTPUT),
    "v": u.Options(**NETWORK, time_embedding=u.TIME_SCALE_SHIFT, classes=3),
}


def named_tensors(model):
    """Sorted by name, which does not depend on the order in which a network lists them."""
    return sorted(model.named_parameters())


def rate(case, step):
    """Up to RATE in WARMUP steps; with x0 linearly, with v along a cosine down to FINAL * RATE at
    step FALL."""
    passed = min(1.0, max(0.0, (step - WARMUP) / (FALL - WARMUP)))
    left = {"eps": 1.0, "x0": 1 - passed, "v": (1 + math.cos(math.pi * passed)) / 2}[case]
    return RATE * min(1.0, step / WARMUP) * (FINAL + (1 - FINAL) * left)


def batch(case, step, options):
    shape = (BATCH, options.height, options.width, options.in_channels)

    def draw(name, scale):
        return (
            torch.from_numpy(formula.fill(f"{case}/{step}/{name}", shape, scale))
            .double()
            .permute(0, 3, 1, 2)
        )

    t = formula.whole(f"{case}/{step}/timesteps", BATCH, T)
    labels = (
        formula.whole(f"{case}/{step}/labels", BATCH, options.classes + 1)
        if options.classes
        else None
    )
    return (
        draw("images", 1.0),
        draw("noise", math.sqrt(3.0)),
        t,
        None if labels is None else torch.from_numpy(labels).long(),
    )


def train(case, options):
    alpha_cumprod = np.cumprod(1 - np.linspace(1e-4, 0.02, T))
    model = u.make(options)
    parameters = dict(named_tensors(model))
    start = {name: p.detach().clone() for name, p in parameters.items()}
    ema = {name: p.clone() for name, p in start.items()}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY
    )
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        images, noise, t, labels = batch(case, step, options)
        a = torch.from_numpy(alpha_cumprod[t]).view(-1, 1, 1, 1)
        x_t = a.sqrt() * images + (1 - a).sqrt() * noise
        target = {"eps": noise, "x0": images, "v": a.sqrt() * noise - (1 - a).sqrt() * images}[case]
        loss = ((model(x_t, torch.from_numpy(t).double(), labels) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP).item())
        losses.append(loss.item())
        optimizer.param_groups[0]["lr"] = rate(case, step)
        optimizer.step()
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for name, p in parameters.items():
            ema[name].lerp_(p.detach(), 1 - decay)
    print(case, "loss", losses[0], "to", losses[-1], "norm", norms[0], "to", norms[-1])

    def movement(values):
        return np.stack(
            [
                formula.digest(name, (values[name] - start[name]).detach().numpy())
                for name in parameters
            ]
        )

    return losses, norms, movement(parameters), movement(ema)


def main():
    results = {}
    for case, options in CASES.items():
        losses, norms, weights, moving = train(case, options)
        results[f"{case}/losses"] = np.array(losses, dtype=np.float32)
        results[f"{case}/norms"] = np.array(norms, dtype=np.float32)
        results[f"{case}/weights"], results[f"{case}/ema"] = weights, moving
    save_file(results, "tests/golden/data/train.safetensors")


if __name__ == "__main__":
    main()
