# SPDX-License-Identifier: MIT
"""The network of dm_unet_options in PyTorch, with parameters named and shaped as in diffusers'
UNet2DModel.

`python3 tests/golden/unet_torch.py` compares it with diffusers, where that is installed.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

import formula

TIME_ADD, TIME_SCALE_SHIFT, TIME_ADD_OUTPUT = 0, 1, 2
PAD_BOTTOM_RIGHT, PAD_ALL = 0, 1


@dataclass
class Options:
    """As dm_unet_options, without dropout (always 0 here) and prediction; lists have one entry for
    each level."""

    height: int = 32
    width: int = 32
    in_channels: int = 3
    out_channels: int = 3
    channels: list = field(default_factory=lambda: [64, 128, 128, 128])
    blocks: list = field(default_factory=lambda: [2, 2, 2, 2])
    attention: list = field(default_factory=lambda: [0, 1, 0, 0])
    mid_attention: int = 1
    attention_head_size: int = 0
    norm_groups: int = 32
    norm_eps: float = 1e-6
    time_embedding: int = TIME_ADD
    time_channels: int = 0
    time_frequency_shift: float = 1.0
    time_cos_first: int = 0
    downsample_padding: int = PAD_BOTTOM_RIGHT
    classes: int = 0


def ddpm_cifar10():
    return Options(channels=[128, 256, 256, 256])


def sinusoids(t, channels, shift, cos_first):
    half = channels // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=t.dtype) / (half - shift))
    angles = t[:, None] * frequencies
    parts = [torch.sin(angles), torch.cos(angles)]
    return torch.cat(parts[::-1] if cos_first else parts, dim=1)


def norm(o, channels):
    # eps as the float that the struct's member holds
    return nn.GroupNorm(
        o.norm_groups, channels, eps=float(torch.tensor(o.norm_eps, dtype=torch.float32))
    )


def pad(x, before, after, tiling):
    """Pixels around x: of the opposite border in the axes of tiling (horizontal, vertical), zero in
    the others."""
    modes = ["circular" if wraps else "constant" for wraps in tiling]
    x = F.pad(x, (before, after, 0, 0), mode=modes[0])
    return F.pad(x, (0, 0, before, after), mode=modes[1])


def tile(model, horizontal, vertical):
    """As dm_unet_set_tiling."""
    tiling = (horizontal, vertical)
    for module in model.modules():
        if isinstance(module, Sampler):
            module.tiling = tiling
        if (
            isinstance(module, nn.Conv2d)
            and module.kernel_size == (3, 3)
            and module.padding == (1, 1)
        ):
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda _, inputs: (pad(inputs[0], 1, 1, tiling),))
    return model


class TimeEmbedding(nn.Module):
    def __init__(self, inputs, channels):
        super().__init__()
        self.linear_1 = nn.Linear(inputs, channels)
        self.linear_2 = nn.Linear(channels, channels)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class Resnet(nn.Module):
    def __init__(self, o, inputs, outputs, time_channels):
        super().__init__()
        self.time_embedding = o.time_embedding
        self.norm1 = norm(o, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(
            time_channels, outputs * (2 if self.time_embedding == TIME_SCALE_SHIFT else 1)
        )
        self.norm2 = norm(o, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time):
        t = self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_embedding == TIME_ADD:
            h = h + t
        h = self.norm2(h)
        if self.time_embedding == TIME_SCALE_SHIFT:
            scale, shift = t.chunk(2, dim=1)
            h = h * (1 + scale) + shift
        h = self.conv2(F.silu(h))
        if self.time_embedding == TIME_ADD_OUTPUT:
            h = h + t
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, o, channels):
        super().__init__()
        self.heads = channels // o.attention_head_size if o.attention_head_size else 1
        self.group_norm = norm(o, channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        n, c, h, w = x.shape
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)  # [n, h w, c]
        q, k, v = (
            to(pixels).view(n, h * w, self.heads, -1).transpose(1, 2)
            for to in (self.to_q, self.to_k, self.to_v)
        )
        p = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(c // self.heads), dim=3)
        out = (p @ v).transpose(1, 2).reshape(n, h * w, c)
        return x + self.to_out[0](out).transpose(1, 2).reshape(n, c, h, w)


class Sampler(nn.Module):
    """Half or double the size, then or while a 3x3 convolution."""

    tiling = (0, 0)

    def __init__(self, channels, up, padding=PAD_ALL):
        super().__init__()
        self.up, self.padding = up, padding
        self.conv = nn.Conv2d(
            channels,
            channels,
            3,
            stride=1 if up else 2,
            padding=1 if up or padding == PAD_ALL else 0,
        )

    def forward(self, x):
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        elif self.padding == PAD_BOTTOM_RIGHT:
            x = pad(x, 0, 1, self.tiling)
        return self.conv(x)


class Block(nn.Module):
    """What has the names resnets, attentions and one sampler: a level of the encoder or decoder,
    and the mid block."""

    def __init__(self, o, widths, outputs, time_channels, attentions, up=False, down=False):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(o, w, outputs, time_channels) for w in widths])
        if attentions:
            self.attentions = nn.ModuleList([Attention(o, outputs) for _ in range(attentions)])
        if down:
            self.downsamplers = nn.ModuleList([Sampler(outputs, False, o.downsample_padding)])
        if up:
            self.upsamplers = nn.ModuleList([Sampler(outputs, True)])

    def attend(self, i, h):
        return self.attentions[i](h) if hasattr(self, "attentions") else h


class UNet(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o
        levels, c = len(o.channels), o.channels
        tc = o.time_channels or 4 * c[0]
        self.conv_in = nn.Conv2d(o.in_channels, c[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(c[0], tc)
        if o.classes:
            self.class_embedding = nn.Embedding(o.classes + 1, tc)
        skips, h = [c[0]], c[0]
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for i in range(levels):
            widths = [h] + [c[i]] * (o.blocks[i] - 1)
            h, last = c[i], i == levels - 1
            self.down_blocks.append(
                Block(o, widths, h, tc, o.blocks[i] * o.attention[i], down=not last)
            )
            skips += [h] * (o.blocks[i] + (not last))
        self.mid_block = Block(o, [h, h], h, tc, o.mid_attention)
        for i in reversed(range(levels)):
            widths = []
            for _ in range(o.blocks[i] + 1):
                widths.append(h + skips.pop())
                h = c[i]
            self.up_blocks.append(
                Block(o, widths, h, tc, (o.blocks[i] + 1) * o.attention[i], up=i > 0)
            )
        assert not skips
        self.conv_norm_out = norm(o, h)
        self.conv_out = nn.Conv2d(h, o.out_channels, 3, padding=1)

    def forward(self, x, t, labels=None):
        """x [n, in_channels, height, width], t [n], labels [n] or None for "no class" -> [n,
        out_channels, ...]."""
        o = self.o
        time = self.time_embedding(
            sinusoids(t, o.channels[0], o.time_frequency_shift, o.time_cos_first)
        )
        if o.classes:
            time = time + self.class_embedding(
                torch.full((len(x),), o.classes) if labels is None else labels
            )
        h = self.conv_in(x)
        skips = [h]
        for block in self.down_blocks:
            for i, resnet in enumerate(block.resnets):
                h = block.attend(i, resnet(h, time))
                skips.append(h)
            if hasattr(block, "downsamplers"):
                h = block.downsamplers[0](h)
                skips.append(h)
        h = self.mid_block.attend(0, self.mid_block.resnets[0](h, time))
        h = self.mid_block.resnets[1](h, time)
        for block in self.up_blocks:
            for i, resnet in enumerate(block.resnets):
                h = block.attend(i, resnet(torch.cat([h, skips.pop()], dim=1), time))
            if hasattr(block, "upsamplers"):
                h = block.upsamplers[0](h)
        return self.conv_out(F.silu(self.conv_norm_out(h)))


def set_weights(model):
    """Every parameter by the formula, from its name."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(formula.weight(name, tuple(p.shape))))
    return model


def make(options):
    """The network in double precision with the formula's weights."""
    return set_weights(UNet(options).double())


def compare(name, options, reference):
    """Same names, shapes and, in double precision, the same output as diffusers' network."""
    model = make(options)
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    expected = {k: tuple(v.shape) for k, v in reference.state_dict().items()}
    assert shapes == expected, set(shapes.items()) ^ set(expected.items())
    reference.double().load_state_dict(model.state_dict())
    x = torch.from_numpy(formula.fill("check/x", (2, 3, options.height, options.width))).double()
    t = torch.tensor([3.0, 731.0], dtype=torch.float64)
    labels = torch.tensor([1, options.classes]) if options.classes else None
    # Theirs computes the sinusoids in single precision, where an angle of 731 is off by 3e-5.
    exact = sinusoids(t, options.channels[0], options.time_frequency_shift, options.time_cos_first)
    off = (reference.time_proj(t) - exact).abs().max().item()
    reference.time_proj.forward = lambda timesteps: exact
    with torch.no_grad():
        mine, other = model(x, t, labels), reference(x, t, labels).sample
    error = ((mine - other).norm() / other.norm()).item()
    print(
        f"{name}: {len(shapes)} tensors, {sum(p.numel() for p in model.parameters())} parameters, "
        f"output differs by "
        f"{error:.2e}, sinusoids by {off:.1e}"
    )
    assert error < 1e-6 and off < 1e-4


def main():
    from diffusers import UNet2DModel

    compare(
        "ddpm-cifar10",
        ddpm_cifar10(),
        UNet2DModel(
            sample_size=32,
            block_out_channels=(128, 256, 256, 256),
            layers_per_block=2,
            attention_head_dim=None,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
        ),
    )
    # With scale and shift, diffusers leaves the norm of the mid block's attention out unless
    # attn_norm_num_groups is given.
    o = Options(
        height=16,
        width=16,
        channels=[32, 64],
        blocks=[1, 1],
        attention=[1, 0],
        norm_groups=8,
        norm_eps=1e-5,
        attention_head_size=8,
        time_embedding=TIME_SCALE_SHIFT,
        time_frequency_shift=0.0,
        time_cos_first=1,
        downsample_padding=PAD_ALL,
        classes=4,
        time_channels=48,
    )
    compare(
        "scale and shift",
        o,
        UNet2DModel(
            sample_size=16,
            block_out_channels=(32, 64),
            layers_per_block=1,
            attention_head_dim=8,
            down_block_types=("AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D"),
            downsample_padding=1,
            flip_sin_to_cos=True,
            freq_shift=0,
            norm_eps=float(torch.tensor(1e-5)),
            norm_num_groups=8,
            attn_norm_num_groups=8,
            resnet_time_scale_shift="scale_shift",
            num_class_embeds=5,
            time_embedding_dim=48,
        ),
    )
    with open("tests/golden/reference/ddpm-cifar10-32-tensors.txt") as file:
        listed = dict(line.strip().split(" ", 1) for line in file)
    assert listed == {k: str(tuple(v.shape)) for k, v in UNet(ddpm_cifar10()).state_dict().items()}
    print(f"the published checkpoint's {len(listed)} tensors agree")


if __name__ == "__main__":
    main()
