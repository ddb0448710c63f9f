#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The error of computing with bfloat16, here and in PyTorch's autocast, on the same weights.

    bf16_torch.py BUILD network.safetensors FOLDER [IMAGES]

FOLDER is the network as a folder of diffusers (`diffusion convert`). For each layer, the norm of
the error over that of the float32 result, as bf16_error prints it; PyTorch's layer gets the same
float32 inputs, rounded to bfloat16. Then the whole network, and IMAGES (16) images of DDIM in 50
steps from the same noise. Needs torch, diffusers and numpy.
"""
import os
import subprocess
import sys

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "python", "src"))
import formula  # noqa: E402
import libdiffusion as dm  # noqa: E402

CLASS, TIME, STEPS = 3, 500, 50


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def error(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def images_of(batch, size):
    """What bf16_error fills x with, [n, c, h, w]."""
    values = np.asarray(formula.fill(1, (batch, size, size, 3), 2.0), np.float32)
    return torch.tensor(values).permute(0, 3, 1, 2).contiguous()


def layer_errors(net):
    """{name of the weight: error} of PyTorch's layers."""
    inputs, q, errors = {}, {}, {}
    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear, torch.nn.GroupNorm)):
            def keep(_, args, name=name):
                inputs[name] = args[0].detach().clone()
            hooks.append(module.register_forward_pre_hook(keep))
    with torch.no_grad():
        net(images_of(2, net.config.sample_size), TIME,
            class_labels=torch.full((2,), CLASS) if net.config.num_class_embeds else None)
        for hook in hooks:
            hook.remove()
        modules = dict(net.named_modules())
        for name, x in inputs.items():
            module = modules[name]
            norm = isinstance(module, torch.nn.GroupNorm)

            def run(x, module=module, silu=norm and "attentions" not in name):
                y = module(x)
                return F.silu(y) if silu else y
            want = run(x)
            with autocast():
                got = run(x.bfloat16())
            errors[name + ".weight"] = error(got.float(), want)
            if name.endswith(("to_q", "to_k", "to_v")):
                q[name] = want
        attention = []
        for name in [n for n in q if n.endswith("to_q")]:
            qkv = [q[name[:-1] + letter].unsqueeze(1) for letter in "qkv"]
            want = F.scaled_dot_product_attention(*qkv)
            with autocast():
                got = F.scaled_dot_product_attention(*(t.bfloat16() for t in qkv))
            attention.append(error(got.float(), want))
    return errors, attention


def own_errors(build, path):
    out = subprocess.run([os.path.join(build, "bf16_error"), path], check=True,
                         capture_output=True, text=True).stdout
    return [(name, float(value)) for name, value in (line.split() for line in out.splitlines())]


def table(build, path, net):
    errors, attention = layer_errors(net)
    kinds = {}
    for name, own in own_errors(build, path):
        if name == "network":
            continue
        other = attention.pop(0) if name == "attention" else errors[name]
        kind = ("attention" if name == "attention" else "norm" if "norm" in name else
                "1x1" if "shortcut" in name or ".to_" in name else "3x3")
        kinds.setdefault(kind, []).append((own, other))
    print("| layer | count | here, mean and largest | autocast, mean and largest | not larger |")
    print("|---|---|---|---|---|")
    for kind, pairs in kinds.items():
        own, other = np.array(pairs).T
        print(f"| {kind} | {len(pairs)} | {own.mean():.2e}, {own.max():.2e} | "
              f"{other.mean():.2e}, {other.max():.2e} | {(own <= other).sum()} |")


def ddim(predict, x, labels):
    """DDIM (Song et al. 2021, eq. 12) of a network that predicts v, with the cosine schedule."""
    t = np.linspace(999, 0, STEPS).round().astype(int)
    bar = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.minimum(1 - bar[1:] / bar[:-1], 0.999)
    signal = np.cumprod(1 - beta)
    for k, now in enumerate(t):
        a, b = np.sqrt(signal[now]), np.sqrt(1 - signal[now])
        v = predict(x.astype(np.float32), int(now), labels).astype(np.float64)
        x0, eps = np.clip(a * x - b * v, -1, 1), b * x + a * v
        after = signal[t[k + 1]] if k + 1 < STEPS else 1.0
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * eps
    return x


def runs(path, net, count):
    unet = dm.Unet.load(dm.Context(), path)
    labels = np.arange(count, dtype=np.int32) % 10
    noise = np.random.default_rng(0).standard_normal((count, 32, 32, 3))

    def here(x, t, labels):
        return unet.forward(x, t, labels)

    def torch_side(low):
        def predict(x, t, labels):
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
                y = net(torch.tensor(x).permute(0, 3, 1, 2), t,
                        class_labels=torch.tensor(labels, dtype=torch.long)).sample
            return y.float().permute(0, 2, 3, 1).numpy()
        return predict

    x = images_of(2, 32).permute(0, 2, 3, 1).numpy()
    two = np.full(2, CLASS, np.int32)
    want = here(x, TIME, two), torch_side(False)(x, TIME, two)
    sampled = ddim(here, noise, labels), ddim(torch_side(False), noise, labels)
    unet.set_precision("bf16")
    print("\n| | here | autocast |\n|---|---|---|")
    print(f"| whole network | {error(here(x, TIME, two), want[0]):.2e} | "
          f"{error(torch_side(True)(x, TIME, two), want[1]):.2e} |")
    own, other = ddim(here, noise, labels), ddim(torch_side(True), noise, labels)
    print(f"| {count} images of DDIM, {STEPS} steps | {error(own, sampled[0]):.2e} | "
          f"{error(other, sampled[1]):.2e} |")
    print(f"| root mean square of a pixel's error, of 255 | "
          f"{np.sqrt(np.mean((own - sampled[0]) ** 2)) * 127.5:.2f} | "
          f"{np.sqrt(np.mean((other - sampled[1]) ** 2)) * 127.5:.2f} |")
    print(f"\nfloat32 here and in PyTorch differ by {error(*want):.1e} in the network and "
          f"{error(*sampled):.1e} in the images.")


def main():
    build, path, folder = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 16
    net = UNet2DModel.from_pretrained(folder, subfolder="unet").eval()
    print(f"PyTorch {torch.__version__}, {dm.version()} here\n")
    table(build, path, net)
    runs(path, net, count)


if __name__ == "__main__":
    main()
