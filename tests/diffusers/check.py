# SPDX-License-Identifier: MIT
"""Compares the library with diffusers: check.py [--cases N] [--seed S] [--steps N]

Networks of random configurations, saved by diffusers (float32, float16, bfloat16, sharded) and
loaded by the library: options, outputs and gradients of the input; the same networks saved by the
library and loaded by diffusers; images of every scheduler, and of those that the library writes;
and a pipeline that the library wrote, which draws the library's picture. Needs torch, diffusers,
scipy (for diffusers' LMSDiscreteScheduler) and the library's Python package (examples/python).
"""

import argparse
import ctypes
import itertools
import json
import os
import sys
import tempfile

import numpy as np
import torch

import diffusers
import libdiffusion as dm
from libdiffusion._library import dll
from libdiffusion._struct import Memory

sys.path.insert(0, os.path.dirname(__file__))
import configs  # noqa: E402

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # the networks are small

IMAGES = 2
# Relative to the largest value: float32 through some 100 layers; gradients cancel in sums over
# pixels. 20 steps amplify.
OUTPUT, GRADIENT, SAMPLE = 1e-5, 1e-4, 1e-4


def error(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))


def nhwc(tensor):
    return np.ascontiguousarray(tensor.detach().permute(0, 2, 3, 1).numpy())


class Report:
    """Counts comparisons and prints what is beyond its bound."""

    def __init__(self):
        self.passed, self.failed, self.worst = 0, 0, {}

    def check(self, name, what, value, bound):
        self.worst[what] = max(self.worst.get(what, 0), value)
        if value <= bound:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {what} {value:.3g}, above {bound:g}")

    def require(self, name, what, condition, detail=""):
        self.check(name, what, 0 if condition else 1, 0)
        if not condition and detail:
            print(f"  {detail}")


# ---- networks ----


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


# ---- schedulers ----

# DDIM clips x_0 and keeps eps, 1 / signal times more sensitive: a last bit of the network's output
# changes images by 1e-4, and so does the network in double precision.
SENSITIVE = {"compatible": 1e-3, "default": 1e-3}
# What docs/diffusers.md lists: adding noise at the last step, extrapolating v, the second shift.
DIFFERS = {"default": 1}
SCHEDULERS = [
    ("DDPMScheduler", {}),
    ("DDPMScheduler", {"variance_type": "fixed_large", "timestep_spacing": "trailing"}, DIFFERS),
    ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False}),
    (
        "DDPMScheduler",
        {
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "prediction_type": "v_prediction",
        },
    ),
    ("DDIMScheduler", {}, SENSITIVE),
    ("DDIMScheduler", {"timestep_spacing": "trailing", "set_alpha_to_one": False}, SENSITIVE),
    (
        "DDIMScheduler",
        {"timestep_spacing": "linspace", "clip_sample": False, "prediction_type": "v_prediction"},
        DIFFERS,
    ),
    ("DDIMScheduler", {"clip_sample_range": 2.0, "prediction_type": "sample"}),
    (
        "DDIMScheduler",
        {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "steps_offset": 1},
    ),
    ("PNDMScheduler", {}),
    ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}),
    ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    (
        "DPMSolverMultistepScheduler",
        {"timestep_spacing": "trailing", "euler_at_final": True, "solver_order": 1},
    ),
    ("DPMSolverMultistepScheduler", {"solver_order": 3}, DIFFERS),
    ("PNDMScheduler", {"prediction_type": "v_prediction", "skip_prk_steps": True}, DIFFERS),
    (
        "EulerDiscreteScheduler",
        {
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "prediction_type": "v_prediction",
        },
        DIFFERS,
    ),
    (
        "UniPCMultistepScheduler",
        {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"},
        DIFFERS,
    ),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, DIFFERS),
    ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("DPMSolverSinglestepScheduler", {}),
    ("DPMSolverSDEScheduler", {}),
    ("EulerDiscreteScheduler", {}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("EulerDiscreteScheduler", {"timestep_spacing": "leading"}),
    ("EulerAncestralDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    ("KDPM2DiscreteScheduler", {}),
    ("LMSDiscreteScheduler", {}),
    ("UniPCMultistepScheduler", {}),
    ("UniPCMultistepScheduler", {"solver_order": 3}),
    ("DEISMultistepScheduler", {}),
    ("CMStochasticIterativeScheduler", {}),
    ("EDMEulerScheduler", {}),
    ("EDMDPMSolverMultistepScheduler", {}),
    ("FlowMatchEulerDiscreteScheduler", {}),
]


def plain_network():
    torch.manual_seed(5)
    return diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()


def run_scheduler(scheduler, model, noise, steps):
    """diffusers' loop, images as [n, h, w, c]."""
    scheduler.set_timesteps(steps)
    generators = [torch.Generator().manual_seed(100 + i) for i in range(len(noise))]
    for g in generators:
        torch.randn((1, *noise.shape[1:]), generator=g)  # the initial noise
    x = noise * float(getattr(scheduler, "init_noise_sigma", 1.0))
    with torch.no_grad():
        for t in scheduler.timesteps:
            scaled = (
                scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            )
            output = model(scaled.float(), t.expand(len(x)) if t.ndim == 0 else t).sample
            keywords = {}
            if "generator" in scheduler.step.__code__.co_varnames:
                keywords["generator"] = generators
            x = scheduler.step(output, t, x, **keywords).prev_sample
    return nhwc(x)


def check_schedulers(report, context, steps):
    model = plain_network()
    noise = torch.cat(
        [
            torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(100 + i))
            for i in range(IMAGES)
        ]
    )
    for cls, keywords, *rest in SCHEDULERS:
        bounds = rest[0] if rest else {}
        name = f"{cls} {keywords}"
        try:
            scheduler = getattr(diffusers, cls)(**keywords)
        except ImportError as missing:
            print(f"{name}: left out, {str(missing).splitlines()[0]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(os.path.join(folder, "unet"))
            scheduler.save_pretrained(os.path.join(folder, "scheduler"))
            index = {
                "_class_name": "DDPMPipeline",
                "scheduler": ["diffusers", cls],
                "unet": ["diffusers", "UNet2DModel"],
            }
            with open(os.path.join(folder, "model_index.json"), "w") as file:
                json.dump(index, file)
            want = run_scheduler(scheduler, model, noise, steps)
            for compatible in (1, 0):
                try:
                    unet = dm.Unet.load(context, folder)
                    got = load_and_run(unet, folder, compatible, steps)
                except (dm.Error, RuntimeError) as refusal:
                    report.require(name, "sampling as a scheduler says", False, str(refusal))
                    continue
                what = "images of a compatible scheduler" if compatible else "images of a scheduler"
                bound = bounds.get("compatible" if compatible else "default", SAMPLE)
                report.check(name, what, error(got, want), bound)


def load_and_run(unet, folder, compatible, steps):
    how, options, pointer = (
        Memory("dm_diffusers_options"),
        Memory("dm_sampler_options"),
        ctypes.c_void_p(),
    )
    how.set("compatible", compatible)
    code = dll.dm_schedule_load_diffusers(
        ctypes.byref(pointer), unet._core.pointer, folder.encode(), how.bytes, options.bytes
    )
    if code:
        raise RuntimeError(dll.dm_context_error(unet._core.pointer).decode())
    try:
        return run_sampler(unet, pointer, options, steps)
    finally:
        dll.dm_schedule_destroy(pointer)


def run_sampler(unet, schedule, options, steps, labels=None):
    options.set("steps", steps)
    sampler, images = ctypes.c_void_p(), np.empty((IMAGES, 8, 8, 3), np.float32)
    with unet._pinned() as network:
        code = dll.dm_sampler_create(ctypes.byref(sampler), network, schedule, options.bytes)
    request = Memory("dm_sampler_request")
    request.set("count", IMAGES)
    request.set("seed", 100)
    request.set("random", 1)
    if labels is not None:
        request.set_array("labels", np.asarray(labels, np.int32))
    if not code:
        code = dll.dm_sampler_run(sampler, request.bytes, images.ctypes.data, images.size)
    if code:
        raise RuntimeError(dll.dm_context_error(unet._core.pointer).decode())
    dll.dm_sampler_destroy(sampler)
    return images


def own_network(context, prediction):
    unet = dm.Unet(
        context,
        height=8,
        width=8,
        levels=2,
        channels=[8, 16],
        blocks=[1, 1],
        norm_groups=4,
        prediction=prediction,
        attention=[0, 1],
        seed=3,
    )
    for name, shape in unet._shapes().items():
        if (
            name.endswith("conv2.weight")
            or name == "conv_out.weight"
            or name.endswith("to_out.0.weight")
        ):
            unet.set_tensor(
                name, np.random.default_rng(len(name)).normal(0, 0.1, shape).astype(np.float32)
            )
    return unet


WRITTEN_SOLVERS = (
    "ddpm ddim pndm plms euler euler_ancestral heun dpm2 lms dpmpp dpmpp_single unipc deis "
    "flow_euler"
).split()
# Sums over sigmas of thousands: float32's last bit is as large as the image.
LARGE_SIGMAS = "euler euler_ancestral heun dpm2 lms".split()
WRITTEN_MODELS = [
    ("eps", ["linear", "cosine", "sigmoid"]),
    ("v", ["linear", "cosine", "sigmoid"]),
    ("x0", ["linear", "cosine", "sigmoid"]),
    ("edm", ["edm"]),
    ("flow", ["flow"]),
]
WRITTEN_OUTPUTS = [
    {"clip": 0},
    {"clip": 1},
    {"clip": 1, "threshold": 0.9},
    {"clip": 1, "clip_range": 1e300},
]


def check_written(report, context, steps):
    """What the library writes is either refused or runs in diffusers with the same images."""
    noise = torch.cat(
        [
            torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(100 + i))
            for i in range(IMAGES)
        ]
    )
    for prediction, kinds in WRITTEN_MODELS:
        unet = own_network(context, prediction)
        for kind, solver, output in itertools.product(kinds, WRITTEN_SOLVERS, WRITTEN_OUTPUTS):
            if kind == "cosine" and solver in LARGE_SIGMAS:
                continue
            name = f"{solver} on {kind} with {prediction} and {output}"
            schedule = dm.Schedule(context, kind=kind)
            options = Memory("dm_sampler_options")
            for member, value in {"solver": solver, "steps": steps, **output}.items():
                unet._core.call(
                    "dm_options_set",
                    context,
                    b"dm_sampler_options",
                    options.bytes,
                    member.encode(),
                    str(value).encode(),
                )
            with tempfile.TemporaryDirectory() as folder:
                try:
                    unet._core.call(
                        "dm_unet_save_diffusers", unet, schedule, options.bytes, folder.encode(), 0
                    )
                except dm.Error as refusal:
                    if "diffusers: '" not in str(refusal):
                        report.require(name, "writing a scheduler", False, str(refusal))
                    continue
                with open(os.path.join(folder, "scheduler", "scheduler_config.json")) as file:
                    cls = json.load(file)["_class_name"]
                try:
                    model = diffusers.UNet2DModel.from_pretrained(os.path.join(folder, "unet"))
                    scheduler = getattr(diffusers, cls).from_pretrained(
                        os.path.join(folder, "scheduler")
                    )
                    want = run_scheduler(scheduler, model.eval(), noise, steps)
                    got = load_and_run(unet, folder, 1, steps)
                except Exception as failure:
                    report.require(name, "running a written scheduler", False, repr(failure))
                    continue
                sensitive = output["clip"] and solver in ("ddim", "heun")
                bound = SENSITIVE["default"] if sensitive else SAMPLE
                report.check(name, "images of a written scheduler", error(got, want), bound)


def check_pipeline(report, context, steps):
    """DDPMPipeline on a folder that the library wrote draws the library's picture."""
    unet = own_network(context, "eps")
    schedule = dm.Schedule(context, kind="linear")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pipeline")
        sampler = dm.Sampler(
            unet, schedule, solver="ddpm", steps=steps, spacing="leading", variance="fixed_small"
        )
        memory = Memory("dm_sampler_options")
        sampler._core.call("dm_sampler_get_options", sampler, memory.bytes, len(memory.bytes))
        unet._core.call("dm_unet_save_diffusers", unet, schedule, memory.bytes, path.encode(), 0)
        pipeline = diffusers.DDPMPipeline.from_pretrained(path)
        pipeline.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(7 + i) for i in range(IMAGES)]
        want = pipeline(
            batch_size=IMAGES, generator=generators, num_inference_steps=steps, output_type="np"
        ).images
        got = sampler.run(count=IMAGES, seed=7, random="torch")
        report.check(
            "DDPMPipeline", "pictures of a pipeline", error(got.clip(-1, 1) / 2 + 0.5, want), SAMPLE
        )


def check_consistency(report, context):
    """ConsistencyModelPipeline on its own folder, and on the library's, against the library: 1 and
    2 steps."""
    torch.manual_seed(9)
    model = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        num_class_embeds=5,
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        resnet_time_scale_shift="scale_shift",
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        downsample_type="resnet",
        upsample_type="resnet",
    )
    pipeline = diffusers.ConsistencyModelPipeline(
        model.eval(), diffusers.CMStochasticIterativeScheduler()
    )
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = os.path.join(folder, "theirs"), os.path.join(folder, "ours")
        pipeline.save_pretrained(theirs)
        unet, options, schedule = (
            dm.Unet.load(context, theirs),
            Memory("dm_sampler_options"),
            ctypes.c_void_p(),
        )
        unet._core.call(
            "dm_schedule_load_diffusers",
            ctypes.byref(schedule),
            unet._core.pointer,
            theirs.encode(),
            None,
            options.bytes,
        )
        unet._core.call("dm_unet_save_diffusers", unet, schedule, options.bytes, ours.encode(), 0)
        for name, path in (
            ("ConsistencyModelPipeline", theirs),
            ("the library's consistency pipeline", ours),
        ):
            pipeline = diffusers.ConsistencyModelPipeline.from_pretrained(path)
            pipeline.set_progress_bar_config(disable=True)
            for steps in (1, 2):
                generators = [torch.Generator().manual_seed(100 + i) for i in range(IMAGES)]
                want = pipeline(
                    batch_size=IMAGES,
                    class_labels=[3, 1],
                    generator=generators,
                    num_inference_steps=steps,
                    output_type="np",
                ).images
                got = run_sampler(unet, schedule, options, steps, [3, 1])
                report.check(
                    f"{name}, {steps} steps",
                    "pictures of a pipeline",
                    error(got.clip(-1, 1) / 2 + 0.5, want),
                    SAMPLE,
                )
        dll.dm_schedule_destroy(schedule)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=120, help="random networks (default 120)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--steps", type=int, default=20, help="steps of each scheduler (default 20)"
    )
    arguments = parser.parse_args()
    report, context = Report(), dm.Context()
    for number in range(arguments.cases):
        check_network(report, context, number, arguments.seed)
    check_schedulers(report, context, arguments.steps)
    check_written(report, context, min(arguments.steps, 6))
    check_pipeline(report, context, arguments.steps)
    check_consistency(report, context)
    for what, value in sorted(report.worst.items()):
        if not what.startswith("option "):
            print(f"{what}: largest error {value:.2g}")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
