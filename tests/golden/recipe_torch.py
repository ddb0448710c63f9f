# SPDX-License-Identifier: MIT
"""Networks of blocks by recipe in PyTorch, written from the formulas of docs/networks.md.
Parameters have the library's names; they are made when they are first used and are
formula.weight()."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

import formula

EPS = float(np.float32(1e-5))


@dataclass
class Options:
    """As dm_unet_options; channels has one entry for each level."""

    height: int = 8
    width: int = 8
    channels: list = field(default_factory=lambda: [8, 16])
    recipe: list = field(default_factory=lambda: ["resnet"])
    in_channels: int = 3
    out_channels: int = 3
    time_channels: int = 0
    time_frequency_shift: float = 0.0
    attention_window: int = 16
    classes: int = 0
    learned_variance: int = 0

    def text(self):
        """Lines of "member value"."""
        lines = [f"{k} {v}" for k, v in vars(self).items() if not isinstance(v, list)]
        pad = 8 - len(self.channels)
        lines.append("channels " + ",".join(map(str, self.channels + [0] * pad)))
        lines.append("recipe " + ",".join(self.recipe + ["end"] * (8 - len(self.recipe))))
        return "\n".join(lines + [f"levels {len(self.channels)}", "prediction eps"])


def norm_groups(c):
    return c // 4 if c > 4 else 1


class Network:
    def __init__(self, options):
        self.o, self.parameters = options, {}

    def p(self, name, *shape):
        if name not in self.parameters:
            self.parameters[name] = (
                torch.from_numpy(formula.weight(name, shape)).double().requires_grad_()
            )
        return self.parameters[name]

    # ---- layers: x [n, c, h, w], vectors [n, c] ----

    def pair(self, name, *shape, out=None):
        return self.p(f"{name}.weight", *shape), self.p(f"{name}.bias", out or shape[0])

    def conv(self, name, x, out, kernel, stride=1):
        return F.conv2d(
            x, *self.pair(name, out, x.shape[1], kernel, kernel), stride=stride, padding=kernel // 2
        )

    def linear(self, name, x, out):
        return F.linear(x, *self.pair(name, out, x.shape[1]))

    def pixelwise(self, name, x, out):
        """A linear layer on the channels of every pixel."""
        return (
            self.linear(name, x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), out)
            .reshape(x.shape[0], x.shape[2], x.shape[3], out)
            .permute(0, 3, 1, 2)
        )

    def norm(self, name, x, groups=None):
        c = x.shape[1]
        return F.group_norm(x, groups or norm_groups(c), *self.pair(name, c), eps=EPS)

    def standard_conv(self, name, x, out):
        w, bias = self.pair(name, out, x.shape[1], 3, 3)
        variance, mean = torch.var_mean(w, dim=(1, 2, 3), unbiased=False, keepdim=True)
        return F.conv2d(x, (w - mean) / torch.sqrt(variance + EPS), bias, padding=1)

    # ---- parts ----

    def resnet(self, name, x, t, c, out):
        width = x.shape[1]
        groups = 8 if width > 4 and width % 8 == 0 and out % 8 == 0 else 1
        h = self.norm(f"{name}.norm1", self.standard_conv(f"{name}.conv1", x, out), groups)
        h = h * self.linear(f"{name}.time_emb_proj", F.silu(t), out)[:, :, None, None]
        if c is not None:
            h = h + self.linear(f"{name}.class_emb_proj", F.silu(c), out)[:, :, None, None]
        h = F.silu(
            self.norm(f"{name}.norm2", self.standard_conv(f"{name}.conv2", F.silu(h), out), groups)
        )
        return h + (x if width == out else self.conv(f"{name}.conv_shortcut", x, out, 1))

    def convnext(self, name, x, t, c, out):
        width = x.shape[1]
        h = F.conv2d(x, *self.pair(f"{name}.depthwise", width, 1, 7, 7), padding=3, groups=width)
        h = self.norm(f"{name}.norm", h)
        if t is not None:
            h = h * self.linear(f"{name}.time_emb_proj", t, width)[:, :, None, None]
        if c is not None:
            h = h + self.linear(f"{name}.class_emb_proj", c, width)[:, :, None, None]
        h = self.conv(f"{name}.conv2", F.gelu(self.conv(f"{name}.conv1", h, 2 * width, 1)), out, 1)
        return h + (x if width == out else self.conv(f"{name}.conv_shortcut", x, out, 1))

    def class_attention(self, name, x, t, c, out):
        width = x.shape[1]
        q, k = self.linear(f"{name}.to_q", c, width), self.linear(f"{name}.to_k", c, width)
        a = torch.softmax(k[:, :, None] * q[:, None, :] / math.sqrt(width), dim=2)
        h = torch.einsum("ncd,ndhw->nchw", a, self.norm(f"{name}.group_norm", x))
        return self.norm(f"{name}.norm_out", self.pixelwise(f"{name}.to_out.0", h, width)) + x

    def channel_attention(self, name, x, t=None, c=None, out=None):
        taps = int(math.log2(x.shape[1]) / 2 + 0.5)
        taps += taps % 2 == 0
        w = self.p(f"{name}.weight", taps)
        gate = torch.sigmoid(
            F.conv1d(x.mean(dim=(2, 3))[:, None], w[None, None], padding=taps // 2)
        )[:, 0]
        return x * gate[:, :, None, None]

    def attention(self, name, x, t, c, out):
        n, width, height, length = x.shape
        r = self.o.attention_window
        rows, columns = min(r, height), min(r, length)

        def cut(z):  # [windows, pixels, channels]
            z = z.reshape(n, width, height // rows, rows, length // columns, columns)
            return z.permute(0, 2, 4, 3, 5, 1).reshape(-1, rows * columns, width)

        z = self.norm(f"{name}.group_norm", x)
        k, q, v = (cut(self.pixelwise(f"{name}.to_{which}", z, width)) for which in "kqv")
        y = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(r), dim=2) @ v
        y = y.reshape(n, height // rows, length // columns, rows, columns, width).permute(
            0, 5, 1, 3, 2, 4
        )
        return self.pixelwise(f"{name}.to_out.0", y.reshape(n, width, height, length), width) + x

    # ---- the network ----

    def block(self, name, x, t, c, out):
        for i, part in enumerate(self.o.recipe):
            x = getattr(self, part)(f"{name}.parts.{i}", x, t, c, out)
        return x

    def embed(self, t, labels):
        o = self.o
        channels = o.time_channels or 4 * o.channels[0]
        frequencies = torch.exp(
            -math.log(10000.0)
            * torch.arange(channels // 2, dtype=t.dtype)
            / (channels // 2 - o.time_frequency_shift)
        )
        angles = t[:, None] * frequencies
        h = self.linear(
            "time_embedding.linear_1",
            torch.cat([torch.sin(angles), torch.cos(angles)], dim=1),
            channels,
        )
        t = self.linear("time_embedding.linear_2", F.gelu(h), channels)
        if not o.classes:
            return t, None
        table = self.p("class_embedding.weight", o.classes, channels)
        return t, torch.cat([table, torch.zeros(1, channels, dtype=t.dtype)])[
            labels % (o.classes + 1)
        ]

    def halves(self, x, t, labels):
        """x [n, c, h, w] to (v, eps), or (None, eps). Label -1 is no class."""
        o, last = self.o, len(self.o.channels) - 1
        h = self.conv("conv_in", x, o.channels[0], 7)
        t, c = self.embed(t, labels)
        skips = {}
        for i in range(1, last + 1):
            h = skips[i] = self.block(f"down_blocks.{i - 1}", h, t, c, o.channels[i])
            h = self.conv(f"down_blocks.{i - 1}.downsample", h, o.channels[i], 3, stride=2)
        h = self.block("mid_block.blocks.0", h, t, c, o.channels[last])
        h = self.channel_attention("mid_block.gate", h)
        h = self.block("mid_block.blocks.1", h, t, c, o.channels[last])
        for i in range(last, 0, -1):
            name, width = f"up_blocks.{last - i}", o.channels[i]
            h = F.conv_transpose2d(
                h, *self.pair(f"{name}.upsample", width, width, 4, 4), stride=2, padding=1
            )
            h = self.block(name, torch.cat([h, skips[i]], dim=1), t, c, o.channels[i - 1])
        out = o.out_channels * (1 + o.learned_variance)
        h = self.block("out_blocks.0", h, t, c, o.channels[0])
        h = self.conv("conv_out", self.block("out_blocks.1", h, t, c, out), out, 7)
        if not o.learned_variance:
            return None, h
        v, eps = h.chunk(2, dim=1)
        v = self.convnext("variance_out", v, None, None, o.out_channels)
        return v, self.convnext("eps_out", eps, None, None, o.out_channels)

    def __call__(self, x, t, labels):
        """What dm_unet_forward gives: eps, then 2 v - 1."""
        v, eps = self.halves(x, t, labels)
        return eps if v is None else torch.cat([eps, 2 * v - 1], dim=1)
