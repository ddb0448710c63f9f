# SPDX-License-Identifier: MIT
"""Random configurations of diffusers' UNet2DModel, and what they are as members of dm_unet_options.

options_of() is written from diffusers' documentation alone, so that it checks the library's own
reading of a config.json.
"""

import inspect

# Block types by the way in which a level changes its size, without and with attention.
DOWN = {
    "conv": ("DownBlock2D", "AttnDownBlock2D"),
    "resnet": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "skip": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
}
UP = {
    "conv": ("UpBlock2D", "AttnUpBlock2D"),
    "resnet": ("ResnetUpsampleBlock2D", "AttnUpBlock2D"),
    "skip": ("SkipUpBlock2D", "AttnSkipUpBlock2D"),
}


def block_types(table, kinds, attention, attention_kind):
    """The names of the levels; False where a level with attention cannot change its size like
    that."""
    names = []
    for kind, attends in zip(kinds, attention):
        if attends and kind != "skip" and kind != attention_kind:
            return False
        names.append(table[kind][attends])
    return names


def skip_prefix(rng, levels):
    """Levels from 0 on that are NCSN++'s: the pyramid passes through all before the last that
    changes its size."""
    return int(rng.integers(0, levels + 1))


def random_config(rng):
    """(keyword arguments of UNet2DModel, height, width)."""
    levels = int(rng.integers(1, 4))
    skips = rng.random() < 0.3
    # NCSN++'s attention has 32 groups, and norms of concatenations min(c / 4, 32) or nearly so.
    unit = 32 if skips else int(rng.choice([4, 8, 12]))
    channels = [unit * int(rng.integers(1, 3)) for _ in range(levels)]
    config = {"block_out_channels": channels, "layers_per_block": int(rng.integers(1, 3))}
    attention_down = [bool(rng.random() < 0.4) for _ in range(levels)]
    attention_up = [bool(rng.random() < 0.4) for _ in range(levels)]
    down_type, up_type = str(rng.choice(["conv", "resnet"])), str(rng.choice(["conv", "resnet"]))
    kinds_down = [str(rng.choice(["conv", "resnet"])) for _ in range(levels)]
    kinds_up = [str(rng.choice(["conv", "resnet"])) for _ in range(levels)]
    for i in range(levels):
        if attention_down[i]:
            kinds_down[i] = down_type
        if attention_up[i]:
            kinds_up[i] = up_type
    if skips:
        for i in range(skip_prefix(rng, levels)):
            kinds_down[i] = "skip"
        for i in range(skip_prefix(rng, levels)):
            kinds_up[i] = "skip"
    config["down_block_types"] = block_types(DOWN, kinds_down, attention_down, down_type)
    config["up_block_types"] = block_types(UP, kinds_up, attention_up, up_type)[::-1]
    config["downsample_type"], config["upsample_type"] = down_type, up_type
    all_skip = all(k == "skip" for k in kinds_down + kinds_up)
    config["norm_num_groups"] = (
        None if all_skip and rng.random() < 0.7 else int(rng.choice([1, 2, 4]))
    )
    config["attn_norm_num_groups"] = None if rng.random() < 0.6 else int(rng.choice([1, 2, 4]))
    config["resnet_time_scale_shift"] = str(rng.choice(["default", "scale_shift"]))
    config["act_fn"] = str(rng.choice(["silu", "swish", "mish", "gelu", "relu"]))
    config["attention_head_dim"] = None if rng.random() < 0.3 else int(rng.choice([2, 3, 4]))
    config["norm_eps"] = float(rng.choice([1e-6, 1e-5, 1e-3]))
    config["downsample_padding"] = int(rng.integers(0, 2))
    config["mid_block_type"] = None if rng.random() < 0.2 else "UNetMidBlock2D"
    config["add_attention"] = bool(rng.random() < 0.7)
    config["mid_block_scale_factor"] = float(rng.choice([1, 1, 2**0.5, 3]))
    config["center_input_sample"] = bool(rng.random() < 0.3)
    config["flip_sin_to_cos"] = bool(rng.random() < 0.5)
    config["freq_shift"] = int(rng.integers(0, 2))
    config["time_embedding_type"] = str(
        rng.choice(["positional", "positional", "fourier", "learned"])
    )
    if config["time_embedding_type"] == "learned":
        config["num_train_timesteps"] = int(rng.choice([100, 1000]))
    config["time_embedding_dim"] = None if rng.random() < 0.5 else int(rng.choice([12, 20]))
    embed = str(rng.choice(["none", "none", "table", "timestep", "identity"]))
    if embed == "table":
        config["num_class_embeds"] = int(rng.choice([1, 7]))
    elif embed != "none":
        config["class_embed_type"] = embed
    pyramid = "skip" in kinds_down + kinds_up  # has 3 channels in and out
    config["in_channels"] = 3 if pyramid else int(rng.choice([1, 3, 4]))
    config["out_channels"] = 3 if pyramid else int(rng.choice([1, 3, 6]))
    size = 2 ** (levels - 1) * int(rng.integers(2, 5)), 2 ** (levels - 1) * int(rng.integers(2, 5))
    config["sample_size"] = list(size)
    return config


def odd_config(rng):
    """Widths that are odd and frequencies shifted beyond half, which few random configurations
    have."""
    config = random_config(rng)
    levels = len(config["block_out_channels"])
    config.update(
        down_block_types=["DownBlock2D"] * levels,
        up_block_types=["UpBlock2D"] * levels,
        norm_num_groups=1,
        attn_norm_num_groups=None,
        attention_head_dim=None,
        time_embedding_type="positional",
        block_out_channels=[int(rng.choice([5, 7, 9])) for _ in range(levels)],
        freq_shift=int(rng.choice([0, 20])),
    )
    return config


def defaults():
    from diffusers import UNet2DModel

    parameters = inspect.signature(UNet2DModel.__init__).parameters
    return {name: p.default for name, p in parameters.items() if name != "self"}


def kinds_of(types, attention_kind):
    """(kinds, attention) of the levels of down_block_types or reversed up_block_types."""
    kinds, attention = [], []
    for name in types:
        attends = name.startswith("Attn")
        attention.append(int(attends))
        if "Skip" in name:
            kinds.append("skip")
        elif attends:
            kinds.append(attention_kind)
        else:
            kinds.append("resnet" if name.startswith("Resnet") else "conv")
    return kinds, attention


def options_of(config):
    """Members of dm_unet_options as texts, for dm_options_set."""
    c = {**defaults(), **config}
    channels, layers = list(c["block_out_channels"]), c["layers_per_block"]
    down, attention = kinds_of(c["down_block_types"], c["downsample_type"])
    up, up_attention = kinds_of(c["up_block_types"][::-1], c["upsample_type"])
    dim = c["time_embedding_dim"] or 4 * channels[0]
    scale_shift = c["resnet_time_scale_shift"] == "scale_shift"
    groups = c["attn_norm_num_groups"]
    mid_groups = groups if groups is not None else 0 if scale_shift else -1
    height, width = (
        c["sample_size"] if not isinstance(c["sample_size"], int) else [c["sample_size"]] * 2
    )
    o = {
        "height": height,
        "width": width,
        "in_channels": c["in_channels"],
        "out_channels": c["out_channels"],
        "levels": len(channels),
        "channels": channels,
        "blocks": [layers] * len(channels),
        "attention": attention,
        "mid_attention": int(c["add_attention"]),
        "attention_head_size": c["attention_head_dim"] or 0,
        "norm_groups": c["norm_num_groups"] or 0,
        "norm_eps": c["norm_eps"],
        "dropout": c["dropout"],
        "time_embedding": "scale_shift" if scale_shift else "add",
        "time_channels": c["time_embedding_dim"] or 0,
        "time_cos_first": int(c["flip_sin_to_cos"]),
        "time_frequency_shift": c["freq_shift"],
        "downsample_padding": "bottom_right" if c["downsample_padding"] == 0 else "all",
        "prediction": "eps",
        "down_resample": down,
        "up_resample": up,
        "up_attention": up_attention,
        "mid_block": int(c["mid_block_type"] is not None),
        "mid_scale": c["mid_block_scale_factor"],
        "mid_norm_groups": mid_groups,
        "activation": "silu" if c["act_fn"] == "swish" else c["act_fn"],
        "time_features": {"positional": "sinusoidal"}.get(
            c["time_embedding_type"], c["time_embedding_type"]
        ),
        "time_steps": c["num_train_timesteps"] or 1000,
        "center_input": int(c["center_input_sample"]),
    }
    if c["class_embed_type"] is None and c["num_class_embeds"] is not None:
        o.update(classes=c["num_class_embeds"], null_row=0)
    elif c["class_embed_type"] == "timestep":
        o.update(condition_size=1, condition_embedding="time")
    elif c["class_embed_type"] == "identity":
        o.update(condition_size=dim, condition_embedding="identity")
    return {k: ",".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in o.items()}


def inputs_of(config, rng, n):
    """Times [n] and class labels (a list of numbers, a matrix, or None) that a network of that
    configuration takes."""
    c = {**defaults(), **config}
    kind = c["time_embedding_type"]
    if kind == "learned":
        times = rng.integers(0, c["num_train_timesteps"], n).astype(float)
    elif kind == "fourier":
        times = rng.uniform(0.05, 20, n)
    elif c["freq_shift"] > 1:
        times = rng.uniform(
            0, 10, n
        )  # frequencies rise above 1: larger angles are not exact in float32
    else:
        times = rng.integers(0, 1000, n).astype(float)
    labels = None
    if c["class_embed_type"] is None and c["num_class_embeds"] is not None:
        labels = rng.integers(0, c["num_class_embeds"], n)
    elif c["class_embed_type"] == "timestep":
        if kind == "learned":
            labels = rng.integers(0, c["num_train_timesteps"], n).astype(float)
        else:
            labels = rng.uniform(0.05, 9, n)
    elif c["class_embed_type"] == "identity":
        labels = rng.uniform(-1, 1, (n, c["time_embedding_dim"] or 4 * c["block_out_channels"][0]))
    return times, labels
