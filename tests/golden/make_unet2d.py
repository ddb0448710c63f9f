# SPDX-License-Identifier: MIT
"""data/unet2d.safetensors: outputs and gradients of small UNet2DModel of diffusers, in double
precision, rounded to float once.

Configurations are random, of tests/diffusers/configs.py; between them they use every kind of level,
activation, time feature and condition. Parameters are formula.weight() by their names; the input is
fill("<case>/x"), the gradient of the output fill("<case>/dy"), both [n, h, w, c]. Stored are
"<case>/y", "<case>/dx", "<case>/times", "<case>/labels" or "<case>/vector", "<case>/digest"
[tensors, 10] of the parameters' gradients in the order of the state dict, "<case>/initial" the same
of PyTorch's initial weights after torch.manual_seed(case), and as metadata "<case>/options"
(members of dm_unet_options), "<case>/tensors" (names) and "<case>/config" (config.json).
"""

import json
import os
import sys

import numpy as np
import torch
from diffusers import UNet2DModel
from safetensors.numpy import save_file

import formula

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "diffusers"))
import configs  # noqa: E402

COUNT, IMAGES, INITIAL = 30, 2, 10


def set_weights(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(formula.weight(name, tuple(p.shape))).double())


def tensors_of(c, rng):
    """Times and class labels as the model takes them, and as arrays to store."""
    times, labels = configs.inputs_of(c, rng, IMAGES)
    learned = c.get("time_embedding_type") == "learned"
    t = torch.tensor(times, dtype=torch.long if learned else torch.float64)
    if labels is None:
        return t, None, {}
    labels = np.asarray(labels)
    if labels.dtype.kind == "i":
        return t, torch.tensor(labels), {"labels": labels.astype(np.float32)}
    labels = labels.astype(np.float32)
    whole = learned and c.get("class_embed_type") == "timestep"
    return t, torch.tensor(labels, dtype=torch.long if whole else torch.float64), {"vector": labels}


def main():
    results, metadata = {}, {"cases": str(COUNT)}
    for i in range(COUNT):
        case, rng = f"case{i:02d}", np.random.default_rng(1000 + i)
        c = (configs.odd_config if i % 10 == 9 else configs.random_config)(rng)
        torch.manual_seed(i)
        model = UNet2DModel(**c)
        initial = [formula.digest(n, p.detach().numpy()) for n, p in model.named_parameters()]
        if i < INITIAL:
            results[f"{case}/initial"] = np.stack(initial)
            metadata[f"{case}/parameters"] = "\n".join(n for n, _ in model.named_parameters())
        model = model.double()
        model.time_proj.register_forward_hook(lambda module, inputs, output: output.double())
        set_weights(model)
        t, labels, stored = tensors_of(c, rng)
        h, w = c["sample_size"]
        x = torch.from_numpy(formula.fill(f"{case}/x", (IMAGES, h, w, c["in_channels"]))).double()
        x.requires_grad_()
        y = model(x.permute(0, 3, 1, 2), t, labels).sample.permute(0, 2, 3, 1)
        y.backward(torch.from_numpy(formula.fill(f"{case}/dy", tuple(y.shape))).double())
        stored.update(y=y, dx=x.grad, times=t)
        for name, values in stored.items():
            values = values.detach().numpy() if torch.is_tensor(values) else values
            results[f"{case}/{name}"] = np.ascontiguousarray(values.astype(np.float32))
        trained = [(n, p.grad.numpy()) for n, p in model.named_parameters() if p.grad is not None]
        results[f"{case}/digest"] = np.stack([formula.digest(n, g) for n, g in trained])
        metadata[f"{case}/tensors"] = "\n".join(n for n, _ in trained)
        metadata[f"{case}/options"] = "\n".join(
            f"{k} {v}" for k, v in configs.options_of(c).items()
        )
        metadata[f"{case}/config"] = json.dumps({"_class_name": "UNet2DModel", **c})
        print(case, c["down_block_types"], c["up_block_types"], "mean square", (y**2).mean().item())
    save_file(results, "tests/golden/data/unet2d.safetensors", metadata)


if __name__ == "__main__":
    main()
