# SPDX-License-Identifier: MIT
"""data/mixers.safetensors: weight standardization, channel gates, attention between channels and
within windows, and the layers made of them, with their gradients, computed by PyTorch in double
precision and rounded to float once. As in make_ops.py, inputs and the gradient of the output are
fill("<case>/<name>"), "<case>/y" is stored, and "<case>/d<name>" for each input and parameter.
Parameters of a layer are weight(name). The cases are also in test_mixers_torch.c.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

import formula

results = {}
EPS = float(np.float32(1e-5))


def store(name, tensor):
    results[name] = tensor.detach().numpy().astype(np.float32)


def leaf(case, name, shape, scale=1.0):
    return torch.from_numpy(formula.fill(f"{case}/{name}", shape, scale)).double().requires_grad_()


def param(name, *shape):
    return torch.from_numpy(formula.weight(name, shape)).double().requires_grad_()


def finish(case, y, inputs):
    """Stores y and the gradients of `inputs`, by name."""
    store(f"{case}/y", y)
    y.backward(torch.from_numpy(formula.fill(f"{case}/dy", tuple(y.shape))).double())
    for name, value in inputs.items():
        store(f"{case}/d{name}", value.grad)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


# ---- operations ----


def standardize(weight):
    variance, mean = torch.var_mean(weight, dim=(1, 2, 3), unbiased=False, keepdim=True)
    return (weight - mean) / torch.sqrt(variance + EPS)


def gate(x, weight):
    """x [n, h, w, c], weight [taps]."""
    mean = x.mean(dim=(1, 2))
    g = torch.sigmoid(
        F.conv1d(mean[:, None, :], weight[None, None, :], padding=weight.shape[0] // 2)
    )
    return x * g[:, None]


def channel_mixing(x, q, k):
    a = torch.softmax(k[:, :, None] * q[:, None, :] / math.sqrt(x.shape[3]), dim=2)
    return torch.einsum("ncd,nhwd->nhwc", a, x)


def window_attention(q, k, v, window):
    n, h, w, c = q.shape
    height, width = min(window, h), min(window, w)

    def cut(x):  # [windows, pixels, c]
        x = x.reshape(n, h // height, height, w // width, width, c).transpose(2, 3)
        return x.reshape(-1, height * width, c)

    p = torch.softmax(cut(q) @ cut(k).transpose(1, 2) / math.sqrt(window), dim=2)
    y = (p @ cut(v)).reshape(n, h // height, w // width, height, width, c)
    return y.transpose(2, 3).reshape(n, h, w, c)


def operations():
    x, weight = (
        leaf("standardize", "x", (2, 5, 6, 7)),
        leaf("standardize", "weight", (9, 7, 3, 3), 0.2),
    )
    y = nhwc(F.conv2d(nchw(x), standardize(weight), padding=1))
    finish("standardize", y, {"x": x, "weight": weight})
    x, weight = leaf("gate", "x", (2, 3, 4, 10)), leaf("gate", "weight", (3,))
    finish("gate", gate(x, weight), {"x": x, "weight": weight})
    x, q, k = (
        leaf("channels", "x", (2, 4, 3, 36)),
        leaf("channels", "q", (2, 36), 4.0),
        leaf("channels", "k", (2, 36), 4.0),
    )
    finish("channels", channel_mixing(x, q, k), {"x": x, "q": q, "k": k})
    for case, window in ("windows", 3), ("windows_rows", 6):
        q, k, v = (leaf(case, name, (2, 6, 6, 10)) for name in "qkv")
        finish(case, window_attention(q, k, v, window), {"q": q, "k": k, "v": v})


# ---- layers ----


def norm(x, weight, bias):
    c = x.shape[3]
    return nhwc(F.group_norm(nchw(x), c // 4 if c > 4 else 1, weight, bias, eps=EPS))


def layer_gate(case, c):
    taps = int(math.log2(c) / 2 + 0.5)  # ECA with gamma 2, b 1
    taps += taps % 2 == 0
    x, p = leaf(case, "x", (2, 3, 3, c)), {f"{case}.weight": param(f"{case}.weight", taps)}
    finish(case, gate(x, p[f"{case}.weight"]), {"x": x, **p})


def block_params(case, layers):
    """Norms have one size, linear layers two: (out, in)."""
    p = {}
    for name, size in layers.items():
        p[f"{case}.{name}.weight"] = param(f"{case}.{name}.weight", *size)
        p[f"{case}.{name}.bias"] = param(f"{case}.{name}.bias", size[0])
    return p, lambda name: (p[f"{case}.{name}.weight"], p[f"{case}.{name}.bias"])


def layer_class_attention(case, c, embedding):
    x, e = leaf(case, "x", (2, 4, 3, c)), leaf(case, "class", (2, embedding), 4.0)
    p, of = block_params(
        case,
        {
            "group_norm": (c,),
            "to_q": (c, embedding),
            "to_k": (c, embedding),
            "to_out.0": (c, c),
            "norm_out": (c,),
        },
    )
    h = channel_mixing(
        norm(x, *of("group_norm")), F.linear(e, *of("to_q")), F.linear(e, *of("to_k"))
    )
    finish(case, norm(F.linear(h, *of("to_out.0")), *of("norm_out")) + x, {"x": x, "class": e, **p})


def standard_conv(x, weight, bias):
    return nhwc(F.conv2d(nchw(x), standardize(weight), bias, padding=1))


def image_norm(x, groups, weight, bias):
    return nhwc(F.group_norm(nchw(x), groups, weight, bias, eps=EPS))


def pointwise(x, weight, bias):
    return F.linear(x, weight[:, :, 0, 0], bias)


def embeddings(case, time, classes):
    inputs = {"time": leaf(case, "time", (2, time), 2.0)}
    if classes:
        inputs["class"] = leaf(case, "class", (2, classes), 2.0)
    return inputs


def layer_wide_resnet(case, c, out, classes):
    """SiLU is applied to the embeddings by the network, not by the layer."""
    x, e = leaf(case, "x", (2, 5, 4, c)), embeddings(case, 6, classes)
    layers = {
        "conv1": (out, c, 3, 3),
        "norm1": (out,),
        "conv2": (out, out, 3, 3),
        "norm2": (out,),
        "time_emb_proj": (out, 6),
    }
    if classes:
        layers["class_emb_proj"] = (out, classes)
    if c != out:
        layers["conv_shortcut"] = (out, c, 1, 1)
    p, of = block_params(case, layers)
    groups = 8 if c > 4 and c % 8 == 0 and out % 8 == 0 else 1
    a = F.linear(e["time"], *of("time_emb_proj"))[:, None, None]
    b = F.linear(e["class"], *of("class_emb_proj"))[:, None, None] if classes else 0
    h = F.silu(image_norm(standard_conv(x, *of("conv1")), groups, *of("norm1")) * a + b)
    h = F.silu(image_norm(standard_conv(h, *of("conv2")), groups, *of("norm2")))
    finish(case, h + (pointwise(x, *of("conv_shortcut")) if c != out else x), {"x": x, **e, **p})


def layer_convnext(case, c, out, time, classes):
    x, e = leaf(case, "x", (2, 9, 8, c)), embeddings(case, time, classes) if time else {}
    layers = {
        "depthwise": (c, 1, 7, 7),
        "norm": (c,),
        "conv1": (2 * c, c, 1, 1),
        "conv2": (out, 2 * c, 1, 1),
    }
    if time:
        layers["time_emb_proj"] = (c, time)
    if classes:
        layers["class_emb_proj"] = (c, classes)
    if c != out:
        layers["conv_shortcut"] = (out, c, 1, 1)
    p, of = block_params(case, layers)
    h = norm(nhwc(F.conv2d(nchw(x), *of("depthwise"), padding=3, groups=c)), *of("norm"))
    if time:
        h = h * F.linear(e["time"], *of("time_emb_proj"))[:, None, None]
    if classes:
        h = h + F.linear(e["class"], *of("class_emb_proj"))[:, None, None]
    h = pointwise(F.gelu(pointwise(h, *of("conv1"))), *of("conv2"))
    finish(case, h + (pointwise(x, *of("conv_shortcut")) if c != out else x), {"x": x, **e, **p})


def layer_window_attention(case, h, w, c, window):
    x = leaf(case, "x", (2, h, w, c))
    p, of = block_params(
        case,
        {"group_norm": (c,), "to_k": (c, c), "to_q": (c, c), "to_v": (c, c), "to_out.0": (c, c)},
    )
    z = norm(x, *of("group_norm"))
    y = window_attention(
        F.linear(z, *of("to_q")), F.linear(z, *of("to_k")), F.linear(z, *of("to_v")), window
    )
    finish(case, F.linear(y, *of("to_out.0")) + x, {"x": x, **p})


def main():
    operations()
    for c in 1, 4, 8, 20, 128:
        layer_gate(f"layer_gate_{c}", c)
    layer_class_attention("layer_class", 12, 7)
    layer_class_attention("layer_class_narrow", 3, 4)
    layer_window_attention("layer_window", 4, 6, 8, 2)
    layer_window_attention("layer_window_whole", 3, 4, 3, 8)
    layer_wide_resnet("layer_wide", 12, 16, 5)
    layer_wide_resnet("layer_wide_same", 16, 16, 0)
    layer_wide_resnet("layer_wide_few", 4, 8, 3)
    layer_convnext("layer_next", 12, 7, 6, 5)
    layer_convnext("layer_next_time", 8, 8, 6, 0)
    layer_convnext("layer_next_alone", 3, 3, 0, 0)
    save_file(results, "tests/golden/data/mixers.safetensors")


if __name__ == "__main__":
    main()
