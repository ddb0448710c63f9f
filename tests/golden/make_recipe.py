# SPDX-License-Identifier: MIT
"""data/recipe.safetensors: networks of blocks by recipe (recipe_torch.py), in double precision,
rounded to float once.

Of each case: parameters are formula.weight() by their names, the input fill("<case>/x"), the
gradient of the output fill("<case>/dy"), both [n, h, w, c]. Stored are "<case>/y", "<case>/dx",
"<case>/times", "<case>/labels" (the number of classes for no class), "<case>/digest" [tensors, 10]
of the parameters' gradients, and as metadata "<case>/options" (members of dm_unet_options) and
"<case>/tensors" (names).

Of training: "train/losses" [20], "train/weights" [tensors, 10]: digests of how far each parameter,
sorted by name, has moved. The loss is the mean square error of eps and LAMBDA times the mean
divergence of the steps in nats, whose gradient goes to the variance alone; its logarithm is v
log(beta) + (1 - v) log(posterior variance). Images, noise, timesteps and labels of step s are drawn
by "train/<s>/images" and so on.
"""

import math

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.distributions import Normal, kl_divergence

import formula
from recipe_torch import Network, Options

IMAGES = 2
CASES = {
    "resnet": Options(),
    "convnext": Options(recipe=["convnext"]),
    "resnet_classes": Options(classes=3, width=12),
    "convnext_classes": Options(recipe=["convnext"], classes=3, height=4),
    "class_attention": Options(recipe=["resnet", "class_attention"], classes=3),
    "channel_attention": Options(recipe=["resnet", "channel_attention"], channels=[4, 8, 12]),
    "attention": Options(recipe=["convnext", "attention"]),
    "windows": Options(recipe=["resnet", "attention"], attention_window=4, width=16),
    "windows_and_classes": Options(
        recipe=["convnext", "class_attention", "attention"], attention_window=2, classes=5
    ),
    "variance": Options(recipe=["resnet"], learned_variance=1),
    "published": Options(
        recipe=["resnet", "class_attention", "channel_attention"],
        classes=4,
        learned_variance=1,
        channels=[8, 16, 32],
    ),
    "every_part": Options(
        recipe=[
            "resnet",
            "convnext",
            "class_attention",
            "channel_attention",
            "attention",
            "resnet",
        ],
        classes=2,
        learned_variance=1,
        attention_window=4,
        out_channels=2,
        in_channels=4,
        time_channels=20,
        time_frequency_shift=1.0,
    ),
    "one_level": Options(
        recipe=["convnext", "resnet"],
        channels=[12],
        in_channels=1,
        out_channels=6,
        learned_variance=1,
    ),
    "odd_sizes": Options(
        recipe=["resnet", "attention"], height=6, width=10, channels=[6, 10], out_channels=1
    ),
}
# Two channels a group at least, since a bias before a norm of single channels has no effect and no
# gradient.
TRAINING = Options(
    recipe=["resnet", "class_attention", "channel_attention"],
    classes=3,
    learned_variance=1,
    channels=[16, 32],
)
STEPS, BATCH, T = 20, 4, 1000
RATE, EPS, DECAY, LAMBDA = 3e-4, 1e-4, 0.01, 1.0


def draw(name, o, images, channels, scale=1.0):
    return (
        torch.from_numpy(formula.fill(name, (images, o.height, o.width, channels), scale))
        .double()
        .permute(0, 3, 1, 2)
    )


def rounded(tensor):
    return np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


def network(case, o, results, metadata):
    net = Network(o)
    x = draw(f"{case}/x", o, IMAGES, o.in_channels).requires_grad_()
    times = torch.tensor([17.0, 803.0], dtype=torch.float64)
    labels = torch.tensor([1, o.classes])  # the second image has no class
    y = net(x, times, labels)
    y.backward(draw(f"{case}/dy", o, IMAGES, y.shape[1]))
    stored = {"y": y.permute(0, 2, 3, 1), "dx": x.grad.permute(0, 2, 3, 1), "times": times}
    if o.classes:
        stored["labels"] = labels
    for name, values in stored.items():
        results[f"{case}/{name}"] = rounded(values)
    results[f"{case}/digest"] = np.stack(
        [formula.digest(n, p.grad.numpy()) for n, p in net.parameters.items()]
    )
    metadata[f"{case}/tensors"] = "\n".join(net.parameters)
    metadata[f"{case}/options"] = o.text()
    print(case, len(net.parameters), "tensors, mean square", (y**2).mean().item())


def loss_of(net, images, noise, t, labels, betas, alpha_cumprod):
    def at(values):
        return values[t].view(-1, 1, 1, 1)

    a, before, beta = at(alpha_cumprod), alpha_cumprod[t - 1].view(-1, 1, 1, 1), at(betas)
    x_t = a.sqrt() * images + (1 - a).sqrt() * noise
    v, eps = net.halves(x_t, t.double(), labels)
    least = beta * (1 - before) / (1 - a)
    of_x_0, of_x_t = before.sqrt() * beta / (1 - a), (1 - beta).sqrt() * (1 - before) / (1 - a)
    guess = (x_t - (1 - a).sqrt() * eps.detach()) / a.sqrt()
    sigma = torch.exp((v * beta.log() + (1 - v) * least.log()) / 2)
    divergence = kl_divergence(
        Normal(of_x_0 * images + of_x_t * x_t, least.sqrt()),
        Normal(of_x_0 * guess + of_x_t * x_t, sigma),
    )
    return ((eps - noise) ** 2).mean() + LAMBDA * divergence.mean()


def train(results):
    o, net = TRAINING, Network(TRAINING)
    betas = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    alpha_cumprod = torch.cumprod(1 - betas, 0)
    net(
        torch.zeros(1, 3, o.height, o.width, dtype=torch.float64),
        torch.zeros(1, dtype=torch.float64),
        torch.zeros(1).long(),
    )
    start = {name: p.detach().clone() for name, p in net.parameters.items()}
    optimizer = torch.optim.AdamW(net.parameters.values(), lr=RATE, eps=EPS, weight_decay=DECAY)
    losses = []
    for s in range(1, STEPS + 1):
        images = draw(f"train/{s}/images", o, BATCH, 3)
        noise = draw(f"train/{s}/noise", o, BATCH, 3, math.sqrt(3.0))
        t = 1 + torch.from_numpy(formula.whole(f"train/{s}/timesteps", BATCH, T - 1)).long()
        labels = torch.from_numpy(formula.whole(f"train/{s}/labels", BATCH, o.classes + 1)).long()
        loss = loss_of(net, images, noise, t, labels, betas, alpha_cumprod)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    moved = {name: (p - start[name]).detach().numpy() for name, p in net.parameters.items()}
    results["train/losses"] = np.array(losses, dtype=np.float32)
    results["train/weights"] = np.stack(
        [formula.digest(name, moved[name]) for name in sorted(moved)]
    )
    print("train: loss", losses[0], "to", losses[-1])


def main():
    results, metadata = {}, {"cases": "\n".join(CASES)}
    for case, o in CASES.items():
        network(case, o, results, metadata)
    metadata["train/options"] = TRAINING.text()
    train(results)
    save_file(results, "tests/golden/data/recipe.safetensors", metadata)


if __name__ == "__main__":
    main()
