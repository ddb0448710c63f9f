# SPDX-License-Identifier: MIT
"""data/losses.safetensors: the pseudo-Huber loss and the hybrid loss of networks with a learned
variance, and their gradients by PyTorch's autograd, of outputs that test_losses_torch.c draws too.

Everything is in double; x_t and the outputs are floats, as the library gets them. The bound's terms
are made of torch's own normal distributions: kl_divergence for t > 0, differences of cdf for t = 0
(Nichol and Dhariwal 2021, eq. 15 and 16; Ho et al. 2020, eq. 13). Their gradient stops before the
mean.
"""

import math

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.distributions import Normal, kl_divergence

import formula

IMAGES, PIXELS, CHANNELS = 3, 25, 3
SHAPE = (IMAGES, PIXELS, CHANNELS)
LAMBDA, VALUES = 0.37, 1000.0
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
A = torch.cumprod(1 - BETAS, 0)


def uniform(name, scale=1.0):
    return formula.fill(f"losses/{name}", SHAPE, scale)


def huber(delta):
    output = torch.from_numpy(uniform("output")).double().requires_grad_()
    error = output - torch.from_numpy(uniform("eps")).double()
    sums = (2 * delta * (torch.sqrt(error**2 + delta**2) - delta)).sum(dim=(1, 2))
    return output, sums, sums


def bytes_of(x):
    return (np.clip(np.round((x.astype(np.float64) + 1) * 127.5), 0, 255) / 127.5 - 1).astype(
        np.float32
    )


def hybrid(t):
    """The sums, and what is differentiated, which has the importances."""
    before = A[t - 1] if t else torch.tensor(1.0, dtype=torch.float64)
    x_0, eps = bytes_of(uniform("x_0", 1.1)), uniform("eps", 1.7)
    x_t = (math.sqrt(A[t]) * x_0.astype(np.float64) + math.sqrt(1 - A[t]) * eps).astype(np.float32)
    x_0, x_t, eps32 = torch.from_numpy(x_0).double(), torch.from_numpy(x_t).double(), eps
    eps = torch.from_numpy(eps).double()
    guess = eps32 + np.float32(0.2) * uniform("output")
    output = torch.cat(
        [torch.from_numpy(guess).double(), torch.from_numpy(uniform("share")).double()], dim=2
    ).requires_grad_()
    predicted, share = output[..., :CHANNELS], output[..., CHANNELS:]
    seen = (x_t - torch.sqrt(1 - A[t]) * predicted.detach()) / torch.sqrt(A[t])
    posterior = BETAS[t] * (1 - before) / (1 - A[t])
    least = posterior if t else BETAS[1] * (1 - A[0]) / (1 - A[1])
    of_x_0 = torch.sqrt(before) * BETAS[t] / (1 - A[t])
    of_x_t = torch.sqrt(1 - BETAS[t]) * (1 - before) / (1 - A[t])
    high = (share + 1) / 2
    sigma = torch.exp((high * torch.log(BETAS[t]) + (1 - high) * torch.log(least)) / 2)
    predicted = Normal(of_x_0 * seen + of_x_t * x_t, sigma)
    if t:
        term = kl_divergence(Normal(of_x_0 * x_0 + of_x_t * x_t, torch.sqrt(posterior)), predicted)
    else:
        above = torch.where(x_0 > 0.999, 1.0, predicted.cdf(x_0 + 1 / 255))
        below = torch.where(x_0 < -0.999, 0.0, predicted.cdf(x_0 - 1 / 255))
        term = -torch.log(above - below)
    weight = torch.tensor([0.5 + i for i in range(IMAGES)])
    importance = torch.tensor([1 + 0.25 * i for i in range(IMAGES)])
    sums = weight * ((predicted - eps) ** 2).sum(dim=(1, 2)) + LAMBDA / math.log(2) * term.sum(
        dim=(1, 2)
    )
    return output, sums, importance * sums


def main():
    results = {}
    cases = [(f"huber-{d:g}", huber(d)) for d in (0.03, 0.3, 30)] + [
        (f"hybrid-{t}", hybrid(t)) for t in (0, 1, 20, 500, 999)
    ]
    for name, (output, sums, all_of_it) in cases:
        (all_of_it.sum() / VALUES).backward()
        results[f"{name}/losses"] = sums.detach().numpy().astype(np.float32)
        results[f"{name}/gradient"] = output.grad.numpy().astype(np.float32)
        print(
            name,
            *(f"{s:.6g}" for s in sums.tolist()),
            f"|gradient| {float(output.grad.norm()):.6g}",
        )
    save_file(results, "tests/golden/data/losses.safetensors")


if __name__ == "__main__":
    main()
