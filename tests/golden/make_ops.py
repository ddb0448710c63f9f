# SPDX-License-Identifier: MIT
"""data/ops.safetensors: what every operation of lib/autograd/ops.h gives, and its gradients,
computed by PyTorch in double precision and rounded to float once; Fourier features in single
precision. Inputs and the gradient of the output are fill("<case>/<name>"); "<case>/y" is stored,
and "<case>/d<name>" for each input. Images are [n, h, w, c], weights as PyTorch has them. The cases
are also in test_ops_torch.c.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.downsampling import downsample_2d
from diffusers.models.embeddings import GaussianFourierProjection
from diffusers.models.upsampling import upsample_2d
from safetensors.numpy import save_file

import formula
from unet_torch import sinusoids

results = {}


def store(name, tensor):
    results[name] = np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


def leaf(case, name, shape, scale=1.0, offset=0.0):
    value = torch.from_numpy(
        formula.fill(f"{case}/{name}", shape, scale) + np.float32(offset)
    ).double()
    return value.requires_grad_()


def finish(case, y, inputs):
    """Stores y and the gradients of `inputs`, by name; a None is passed over."""
    store(f"{case}/y", y)
    y.backward(torch.from_numpy(formula.fill(f"{case}/dy", tuple(y.shape))).double())
    for name, value in inputs.items():
        if value is not None:
            store(f"{case}/d{name}", value.grad)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv(
    case,
    n,
    h,
    w,
    ci,
    co,
    kernel=3,
    stride=1,
    pad=1,
    upsample=False,
    bias=False,
    per_image=False,
    residual=False,
):
    x = leaf(case, "x", (n, h, w, ci))
    weight = leaf(case, "weight", (co, ci, kernel, kernel), math.sqrt(3 / (ci * kernel * kernel)))
    b = leaf(case, "bias", (co,)) if bias else None
    padded = nchw(x)
    if upsample:
        padded = F.interpolate(padded, scale_factor=2.0, mode="nearest")
    if stride == 2 and pad == 0:
        padded = F.pad(padded, (0, 1, 0, 1))
    y = nhwc(F.conv2d(padded, weight, b, stride=stride, padding=pad))
    image = leaf(case, "per_image", (n, co)) if per_image else None
    if per_image:
        y = y + image[:, None, None, :]
    if residual:  # its gradient is that of y
        y = y + leaf(case, "residual", tuple(y.shape))
    finish(case, y, {"x": x, "weight": weight, "bias": b, "per_image": image})


def depthwise(case, n, h, w, c, kernel):
    x, weight = (
        leaf(case, "x", (n, h, w, c)),
        leaf(case, "weight", (c, 1, kernel, kernel), math.sqrt(3) / kernel),
    )
    bias = leaf(case, "bias", (c,))
    y = nhwc(F.conv2d(nchw(x), weight, bias, padding=kernel // 2, groups=c))
    finish(case, y, {"x": x, "weight": weight, "bias": bias})


def conv_transposed(case, n, h, w, ci, co):
    x, weight = (
        leaf(case, "x", (n, h, w, ci)),
        leaf(case, "weight", (ci, co, 4, 4), math.sqrt(3 / (ci * 4))),
    )
    bias = leaf(case, "bias", (co,))
    y = nhwc(F.conv_transpose2d(nchw(x), weight, bias, stride=2, padding=1))
    finish(case, y, {"x": x, "weight": weight, "bias": bias})


def group_norm(case, n, h, w, c, groups, eps, activation=None, scale_shift=False, offset=0.0):
    x = leaf(case, "x", (n, h, w, c), offset=offset)
    gamma, beta = leaf(case, "gamma", (c,), offset=1.0), leaf(case, "beta", (c,))
    y = F.group_norm(nchw(x), groups, gamma, beta, eps=float(np.float32(eps)))
    ss = leaf(case, "scale_shift", (n, 2 * c)) if scale_shift else None
    if scale_shift:
        y = y * (1 + ss[:, :c, None, None]) + ss[:, c:, None, None]
    y = nhwc(activation(y) if activation else y)
    finish(case, y, {"x": x, "gamma": gamma, "beta": beta, "scale_shift": ss})


def attention(case, n, h, w, c, heads, scale):
    q, k, v = (leaf(case, name, (n, h, w, c), scale) for name in "qkv")
    split = [z.reshape(n, h * w, heads, c // heads).transpose(1, 2) for z in (q, k, v)]
    p = torch.softmax(split[0] @ split[1].transpose(2, 3) / math.sqrt(c // heads), dim=3)
    y = (p @ split[2]).transpose(1, 2).reshape(n, h, w, c)
    finish(case, y, {"q": q, "k": k, "v": v})


def linear(case, n, inputs, outputs):
    x, weight = (
        leaf(case, "x", (n, inputs)),
        leaf(case, "weight", (outputs, inputs), math.sqrt(3 / inputs)),
    )
    bias = leaf(case, "bias", (outputs,))
    finish(case, F.linear(x, weight, bias), {"x": x, "weight": weight, "bias": bias})


def pointwise():
    x = leaf("silu", "x", (2, 5, 7, 9), scale=8.0)
    finish("silu", F.silu(x), {"x": x})
    for activation in (F.mish, F.gelu, F.relu):
        x = leaf(activation.__name__, "x", (1, 5, 7, 9), scale=8.0)
        finish(activation.__name__, activation(x), {"x": x})
    a, b = leaf("add", "a", (2, 5, 7, 3)), leaf("add", "b", (2, 5, 7, 3))
    finish("add", a + b, {"a": a, "b": b})
    a, b = leaf("concat", "a", (2, 3, 5, 8)), leaf("concat", "b", (2, 3, 5, 3))
    finish("concat", torch.cat([a, b], dim=3), {"a": a, "b": b})


def timestep(case, channels, shift, cos_first):
    t = torch.tensor([0.0, 1.0, 37.5, 250.0, 999.0], dtype=torch.float64, requires_grad=True)
    finish(case, sinusoids(t, channels, shift, cos_first), {"t": t})


def embedding():
    table = leaf("embedding", "table", (6, 20))
    finish("embedding", F.embedding(torch.tensor([3, 0, 5, 3]), table), {"table": table})


RESAMPLING = {
    "mean": lambda x: F.avg_pool2d(x, 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"),
    "fir_down": lambda x: downsample_2d(x, (1, 3, 3, 1)),
    "fir_up": lambda x: upsample_2d(x, (1, 3, 3, 1)),
}


def resample(kind, n, h, w, c):
    x = leaf(kind, "x", (n, h, w, c))
    finish(kind, nhwc(RESAMPLING[kind](nchw(x))), {"x": x})


def constants():
    x = leaf("affine", "x", (2, 5, 7, 3))
    finish("affine", float(np.float32(-0.3)) * x + float(np.float32(0.7)), {"x": x})
    x, t = leaf("divide", "x", (3, 5, 7, 6)), leaf("divide", "t", (3,), scale=0.9, offset=1.0)
    finish("divide", x / t[:, None, None, None], {"x": x, "t": t})


def fourier():
    """In single precision, which rounds the angles as the networks do that were trained with it."""
    features = GaussianFourierProjection(embedding_size=24, set_W_to_weight=False)
    with torch.no_grad():
        features.weight.copy_(torch.from_numpy(formula.fill("fourier/weight", (24,), 40.0)))
    t = torch.tensor([0.01, 0.37, 1.0, 5.5, 50.0, 380.0], requires_grad=True)
    y = features(t)
    store("fourier/y", y)
    y.backward(torch.from_numpy(formula.fill("fourier/dy", tuple(y.shape))))
    store("fourier/dt", t.grad)


def main():
    conv("conv_plain", 2, 8, 8, 16, 24)
    conv("conv_all", 2, 8, 8, 16, 24, bias=True, per_image=True, residual=True)
    conv("conv_odd", 2, 5, 7, 16, 24, bias=True, per_image=True, residual=True)
    conv("conv_square", 1, 8, 8, 32, 32, bias=True)
    conv("conv_odd_square", 3, 5, 7, 32, 32, bias=True, residual=True)
    conv("conv_in", 2, 8, 8, 3, 16, bias=True)
    conv("conv_out", 2, 8, 8, 16, 3, bias=True)
    conv("conv_tiny", 1, 2, 1, 5, 7, bias=True)
    conv("conv_down", 2, 8, 8, 16, 16, stride=2, pad=0, bias=True)
    conv("conv_down_all", 2, 8, 8, 16, 16, stride=2, pad=1, bias=True)
    conv("conv_down_wide", 1, 4, 6, 12, 20, stride=2, pad=0, bias=True)
    conv("conv_up", 2, 4, 4, 16, 16, upsample=True, bias=True)
    conv("conv_up_odd", 1, 3, 5, 17, 20, upsample=True, bias=True, residual=True)
    conv("conv_up_few", 1, 3, 5, 12, 20, upsample=True, bias=True)
    conv("conv_uneven", 1, 6, 9, 17, 19, bias=True)
    conv("conv_1x1", 2, 5, 7, 16, 24, kernel=1, pad=0, bias=True, residual=True)
    conv("conv_1x1_plain", 1, 8, 8, 24, 16, kernel=1, pad=0)
    conv("conv_7x7_in", 2, 5, 8, 3, 16, kernel=7, pad=3, bias=True)
    conv("conv_7x7_out", 1, 4, 6, 16, 3, kernel=7, pad=3, bias=True)
    conv("conv_7x7_few", 1, 5, 7, 6, 6, kernel=7, pad=3, bias=True, per_image=True, residual=True)
    conv("conv_7x7_down", 1, 6, 5, 6, 5, kernel=7, stride=2, pad=3, bias=True)
    conv("conv_5x5", 1, 4, 9, 5, 8, kernel=5, pad=2, bias=True)
    depthwise("depthwise_7", 2, 9, 11, 20, 7)
    depthwise("depthwise_5", 1, 5, 4, 9, 5)
    depthwise("depthwise_3", 2, 3, 5, 4, 3)
    conv_transposed("conv_transposed", 2, 4, 3, 12, 10)
    conv_transposed("conv_transposed_wide", 1, 2, 2, 5, 35)
    group_norm("norm", 2, 8, 8, 16, 4, 1e-6)
    group_norm("norm_silu", 2, 5, 7, 24, 3, 1e-5, activation=F.silu)
    group_norm("norm_one_group", 2, 4, 4, 12, 1, 1e-6, activation=F.silu)
    group_norm("norm_each_channel", 1, 5, 7, 8, 8, 1e-2)
    group_norm("norm_scale_shift", 2, 5, 7, 24, 3, 1e-6, scale_shift=True)
    group_norm("norm_scale_shift_silu", 3, 8, 8, 16, 4, 1e-6, activation=F.silu, scale_shift=True)
    for activation in (F.mish, F.gelu, F.relu):
        group_norm(
            f"norm_scale_shift_{activation.__name__}",
            2,
            5,
            3,
            12,
            3,
            1e-6,
            activation,
            scale_shift=True,
        )
    group_norm("norm_far_mean", 2, 8, 8, 16, 4, 1e-6, activation=F.silu, offset=30.0)
    attention("attention", 2, 5, 7, 16, 1, 1.0)
    attention("attention_heads", 2, 8, 8, 32, 2, 1.0)
    attention("attention_sharp", 1, 4, 4, 24, 3, 6.0)
    linear("linear", 5, 32, 48)
    linear("linear_odd", 3, 21, 37)
    linear("linear_one", 1, 20, 36)
    pointwise()
    timestep("timestep", 32, 1.0, False)
    timestep("timestep_shift_0", 32, 0.0, False)
    timestep("timestep_cos_first", 22, 1.0, True)
    embedding()
    resample("mean", 2, 6, 4, 19)
    resample("nearest", 2, 3, 5, 19)
    resample("fir_down", 2, 6, 4, 19)
    resample("fir_up", 2, 3, 5, 19)
    constants()
    fourier()
    save_file(results, "tests/golden/data/ops.safetensors")


if __name__ == "__main__":
    main()
