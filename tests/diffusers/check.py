# SPDX-License-Identifier: MIT
"""Compares the library with diffusers: check.py [--cases N] [--seed S] [--steps N]

Networks of random configurations, saved by diffusers (float32, float16, bfloat16, sharded) and
loaded by the library: options, outputs and gradients of the input; the same networks saved by the
library and loaded by diffusers; images of every scheduler, and of those that the library writes;
and a pipeline that the library wrote, which draws the library's picture. Needs torch, diffusers,
scipy (for diffusers' LMSDiscreteScheduler) and the library's Python package (examples/python).
`make check-diffusers` runs it. The networks are in check_networks.py, the schedulers in
check_schedulers.py, the pipelines here.
"""

import argparse
import ctypes
import os
import sys
import tempfile

import diffusers
import libdiffusion as dm
import torch
from check_networks import check_network
from check_schedulers import check_schedulers, check_written
from comparison import IMAGES, SAMPLE, Report, error, own_network, run_sampler
from libdiffusion._library import dll
from libdiffusion._struct import Memory

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # the networks are small


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
