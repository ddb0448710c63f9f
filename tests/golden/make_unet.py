# SPDX-License-Identifier: MIT
"""data/unet.safetensors: outputs and gradients of small networks that between them use every option
of dm_unet_options, and of the CIFAR-10 network of Ho et al. (2020), computed by PyTorch in double
precision and rounded to float once.

For a case: parameters are formula.weight() by their names; x_t is fill("<case>/x"), the gradient of
the output fill("<case>/dy"), both [n, h, w, c]. Stored are "<case>/y" and "<case>/dx" in full, the
parameters' gradients in full as "<case>/<name>" or, for the large network, as digests
"<case>/digest" [tensors, 10] in the order of the network. With tiling they are "<case>/horizontal
y", "<case>/horizontal dx" and likewise vertical and both. The cases are also in test_unet_torch.c.
"""

import numpy as np
import torch
from safetensors.numpy import save_file

import formula
import unet_torch as u
from unet_torch import Options

T = [999.0, 0.0, 417.0, 3.25]

# options, timesteps, labels (None: the network has none, or "no class" for all)
CASES = {
    # added after the first convolution; bottom-right; attention at one level and in the mid block;
    # more channels out than in
    "add": (
        Options(
            height=8,
            width=8,
            out_channels=6,
            channels=[8, 16],
            blocks=[1, 1],
            attention=[0, 1],
            norm_groups=4,
        ),
        T[:2],
        None,
    ),
    # scale and shift, two heads and more, cosine first, no shift of frequencies, other eps, padding
    # all around, classes
    "scale_shift": (
        Options(
            height=8,
            width=8,
            channels=[8, 16],
            blocks=[1, 1],
            attention=[1, 1],
            attention_head_size=4,
            norm_groups=4,
            norm_eps=1e-5,
            time_embedding=u.TIME_SCALE_SHIFT,
            time_channels=24,
            time_frequency_shift=0.0,
            time_cos_first=1,
            downsample_padding=u.PAD_ALL,
            classes=3,
        ),
        T[:3],
        [2, 3, 0],
    ),
    # added to the output; unequal numbers of blocks; not square; no attention at all
    "add_output": (
        Options(
            height=8,
            width=16,
            in_channels=1,
            out_channels=1,
            channels=[8, 8, 16],
            blocks=[2, 1, 1],
            attention=[0, 0, 0],
            mid_attention=0,
            norm_groups=2,
            time_embedding=u.TIME_ADD_OUTPUT,
            time_channels=16,
        ),
        T[2:],
        None,
    ),
    # one level: nothing is halved; one group; labels left out where the network has classes
    "one_level": (
        Options(
            height=5,
            width=7,
            in_channels=4,
            channels=[12],
            blocks=[2],
            attention=[1],
            norm_groups=1,
            norm_eps=1e-3,
            attention_head_size=6,
            time_frequency_shift=0.5,
            classes=2,
        ),
        T[1:3],
        None,
    ),
    # widths that fall and a first level with attention, one head by its size; no attention in the
    # mid block
    "falling": (
        Options(
            height=16,
            width=8,
            channels=[16, 8],
            blocks=[1, 2],
            attention=[1, 0],
            norm_groups=4,
            attention_head_size=16,
            mid_attention=0,
            time_channels=20,
            downsample_padding=u.PAD_ALL,
        ),
        T[:1],
        None,
    ),
    # three levels down to 2 x 2 pixels, with classes and the time added to the output
    "deep": (
        Options(
            height=8,
            width=8,
            channels=[4, 8, 12],
            blocks=[1, 1, 1],
            attention=[0, 1, 1],
            norm_groups=2,
            time_embedding=u.TIME_ADD_OUTPUT,
            time_channels=20,
            classes=4,
            attention_head_size=4,
        ),
        T[:4],
        [4, 1, 1, 0],
    ),
}

TILINGS = {"horizontal": (1, 0), "vertical": (0, 1), "both": (1, 1)}

LARGE = {"ddpm_cifar10": (u.ddpm_cifar10(), [731.0, 12.0], None)}


def run(case, options, timesteps, labels, tiling=(0, 0)):
    """The network, with gradients, its output and the gradient of its input, both [n, h, w, c]."""
    model = u.tile(u.make(options), *tiling)
    n = len(timesteps)
    x = torch.from_numpy(
        formula.fill(f"{case}/x", (n, options.height, options.width, options.in_channels))
    ).double()
    x.requires_grad_()
    y = model(
        x.permute(0, 3, 1, 2),
        torch.tensor(timesteps, dtype=torch.float64),
        None if labels is None else torch.tensor(labels),
    ).permute(0, 2, 3, 1)
    y.backward(torch.from_numpy(formula.fill(f"{case}/dy", tuple(y.shape))).double())
    return model, y.detach(), x.grad


def rounded(tensor):
    return np.ascontiguousarray(tensor.numpy().astype(np.float32))


def main():
    results = {}
    for case, arguments in CASES.items():
        model, y, dx = run(case, *arguments)
        results[f"{case}/y"], results[f"{case}/dx"] = rounded(y), rounded(dx)
        for name, p in model.named_parameters():
            results[f"{case}/{name}"] = rounded(p.grad)
        for name, tiling in TILINGS.items():
            _, y, dx = run(case, *arguments, tiling)
            results[f"{case}/{name} y"], results[f"{case}/{name} dx"] = rounded(y), rounded(dx)
        print(
            case,
            sum(p.numel() for p in model.parameters()),
            "parameters, output's mean square",
            (y**2).mean().item(),
        )
    for case, arguments in LARGE.items():
        model, y, dx = run(case, *arguments)
        results[f"{case}/y"], results[f"{case}/dx"] = rounded(y), rounded(dx)
        gradients = {name: p.grad.numpy() for name, p in model.named_parameters()}
        with open("tests/golden/reference/ddpm-cifar10-32-tensors.txt") as file:
            order = [line.split(" ")[0] for line in file]
        results[f"{case}/digest"] = np.stack(
            [formula.digest(name, gradients[name]) for name in order]
        )
        print(case, len(order), "tensors, output's mean square", (y**2).mean().item())
    save_file(results, "tests/golden/data/unet.safetensors")


if __name__ == "__main__":
    main()
