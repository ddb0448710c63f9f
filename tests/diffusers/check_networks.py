# SPDX-License-Identifier: MIT
"""The checks of networks for check.py, which calls check_network() for each of its cases: random
configurations of configs.py, saved by diffusers and loaded by the library, whose options, outputs
and gradients of the input are compared; then saved by the library and loaded by diffusers.
"""

import ctypes
import json
import os
import tempfile

import configs
import diffusers
import libdiffusion as dm
import numpy as np
import torch
from comparison import GRADIENT, IMAGES, OUTPUT, error, nhwc
from libdiffusion._library import dll
from libdiffusion._struct import Memory


def save_model(model, folder, rng):
    """In one of the forms that diffusers writes; the model afterwards has the weights of the
    file."""
    form = str(rng.choice(["float32", "float16", "bfloat16", "sharded"]))
    if form in ("float16", "bfloat16"):
        model = model.to(getattr(torch, form))
        model.save_pretrained(folder)
        return form, model.float()
    size = sum(p.numel() for p in model.parameters()) * 4
    model.save_pretrained(
        folder, max_shard_size=max(size // 3, 2000) if form == "sharded" else "10GB"
    )
    return form, model


def torch_labels(config, labels):
    if labels is None:
        return None
    labels = np.asarray(labels)
    whole = labels.dtype.kind == "i" or (
        config["time_embedding_type"] == "learned" and config.get("class_embed_type") == "timestep"
    )
    return torch.tensor(labels, dtype=torch.long if whole else torch.float64)


class Inputs:
    """The same inputs for both sides."""

    def __init__(self, config, rng):
        self.config = config
        self.times, self.labels = configs.inputs_of(config, rng, IMAGES)
        self.x = rng.uniform(-1, 1, (IMAGES, *config["sample_size"], config["in_channels"])).astype(
            np.float32
        )
        self.dy = rng.uniform(
            -1, 1, (IMAGES, *config["sample_size"], config["out_channels"])
        ).astype(np.float32)

    def run_torch(self, model):
        """Output and gradient in double precision, from the weights of the file."""
        model = model.double()
        model.time_proj.register_forward_hook(lambda module, inputs, output: output.double())
        learned = self.config["time_embedding_type"] == "learned"
        t = torch.tensor(self.times, dtype=torch.long if learned else torch.float64)
        x = torch.from_numpy(self.x).double().requires_grad_()
        y = model(x.permute(0, 3, 1, 2), t, torch_labels(self.config, self.labels)).sample
        y.backward(torch.from_numpy(self.dy).double().permute(0, 3, 1, 2))
        return nhwc(y), x.grad.numpy()

    def memory(self):
        """A dm_unet_input."""
        memory = Memory("dm_unet_input")
        memory.set("count", IMAGES)
        memory.set_array("x", self.x)
        memory.set_array("times", np.asarray(self.times, np.float64))
        if self.labels is not None and np.asarray(self.labels).dtype.kind == "i":
            memory.set_array("labels", np.asarray(self.labels, np.int32))
        elif self.labels is not None:
            vector = np.ascontiguousarray(np.asarray(self.labels, np.float32))
            self.kept = vector
            memory.set("condition_vector", vector.ctypes.data)
            memory.set("condition_vector_elements", vector.size)
        return memory

    def run_library(self, unet):
        y, dx = np.empty_like(self.dy), np.empty_like(self.x)
        memory = self.memory()
        unet._core.call(
            "dm_unet_input_gradient",
            unet,
            memory.bytes,
            self.dy.ctypes.data,
            ctypes.c_size_t(self.dy.size),
            y.ctypes.data,
            dx.ctypes.data,
            ctypes.c_size_t(dx.size),
        )
        out = np.empty_like(self.dy)
        unet._core.call(
            "dm_unet_forward", unet, memory.bytes, out.ctypes.data, ctypes.c_size_t(out.size)
        )
        return y, out, dx


def member_of(options, member):
    text = ctypes.create_string_buffer(1024)
    dll.dm_options_get(None, b"dm_unet_options", options.bytes, member.encode(), text, 1024, None)
    return text.value.decode()


def normalized(members, levels):
    """Without what does not matter: entries past the levels, how the last level of either way
    changes its size (NCSN++'s is more than that), padding without strided convolutions, and the
    order of sines where there are none."""
    m = {name: text.split(",") for name, text in members.items()}
    for name in ("channels", "blocks", "attention", "down_resample", "up_resample", "up_attention"):
        m[name] = m[name][:levels]
    m["up_attention"] = [a if u == "-1" else u for a, u in zip(m["attention"], m["up_attention"])]
    if m["down_resample"][-1] != "skip":
        m["down_resample"][-1] = "conv"
    if m["up_resample"][0] != "skip":
        m["up_resample"][0] = "conv"
    if "conv" not in m["down_resample"][:-1]:
        m.pop("downsample_padding")
    if m["time_features"] != ["sinusoidal"]:
        m.pop("time_cos_first")
        m.pop("time_frequency_shift")
    if m["time_features"] != ["learned"]:
        m.pop("time_steps")
    return m


def check_options(report, name, unet, config):
    """What the library read against configs.options_of."""
    memory = Memory("dm_unet_options")
    unet._core.call("dm_unet_get_options", unet, memory.bytes, len(memory.bytes))
    want, levels = configs.options_of(config), len(config["block_out_channels"])
    got = normalized({member: member_of(memory, member) for member in want}, levels)
    for member, value in normalized(want, levels).items():
        numbers = len(value) == 1 and is_number(value[0]) and is_number(got[member][0])
        same = got[member] == value or (
            numbers and np.isclose(float(got[member][0]), float(value[0]), 1e-6, 0)
        )
        report.require(
            name,
            f"option {member}",
            same,
            f"{member}: {got.get(member)}, not {value}; {json.dumps(config)}",
        )


def is_number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


def check_network(report, context, number, seed):
    rng = np.random.default_rng([seed, number])
    config = (configs.odd_config if number % 10 == 9 else configs.random_config)(rng)
    torch.manual_seed(number)
    model = diffusers.UNet2DModel(**config).eval()
    for name, p in model.named_parameters():  # norms and biases that are not 1 and 0
        if p.ndim == 1 and "time_proj" not in name:
            torch.nn.init.normal_(p, 1.0 if "norm" in name and "weight" in name else 0.0, 0.2)
    inputs = Inputs(config, rng)
    with tempfile.TemporaryDirectory() as folder:
        form, model = save_model(model, folder, rng)
        name = f"case {number} ({form})"
        try:
            unet = dm.Unet.load(context, folder)
        except dm.Error as refusal:
            report.require(name, "loading", False, f"{refusal}; {json.dumps(config)}")
            return
        check_options(report, name, unet, config)
        y, dx = inputs.run_torch(model)
        got, out, gradient = inputs.run_library(unet)
        report.check(name, "output", error(out, y), OUTPUT)
        report.check(name, "output with gradient", error(got, y), OUTPUT)
        report.check(name, "gradient of the input", error(gradient, dx), GRADIENT)
        check_return(report, context, name, unet, inputs, out)


def check_return(report, context, name, unet, inputs, y):
    """Saved by the library, loaded by diffusers."""
    schedule = dm.Schedule(context, kind="linear")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pipeline")
        unet._core.call("dm_unet_save_diffusers", unet, schedule, None, path.encode(), 0)
        model = diffusers.UNet2DModel.from_pretrained(
            os.path.join(path, "unet"), low_cpu_mem_usage=False
        )
        again, _ = inputs.run_torch(model.eval())
        report.check(name, "output of what the library saved", error(again, y), OUTPUT)
