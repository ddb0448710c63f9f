# SPDX-License-Identifier: MIT
"""The published configurations of UNet2DModel at full size, with random weights: memory and time of
a forward pass of one image in diffusers and in the library, each in a process of its own, and how
far their outputs differ.

published.py [NAME...] [--passes N]: ddpm-cifar10-32, ddpm-celebahq-256, ncsnpp-celebahq-256,
cd-imagenet64
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

DDPM = {
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "downsample_padding": 0,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
}
CONFIGS = {
    "ddpm-cifar10-32": {
        **DDPM,
        "sample_size": 32,
        "block_out_channels": [128, 256, 256, 256],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    },
    "ddpm-celebahq-256": {
        **DDPM,
        "sample_size": 256,
        "block_out_channels": [128, 128, 256, 256, 512, 512],
        "down_block_types": ["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
    },
    "ncsnpp-celebahq-256": {
        "sample_size": 256,
        "block_out_channels": [128, 128, 256, 256, 256, 256, 256],
        "time_embedding_type": "fourier",
        "norm_eps": 1e-6,
        "mid_block_scale_factor": 1.41421356237,
        "norm_num_groups": None,
        "attention_head_dim": None,
        "down_block_types": ["SkipDownBlock2D"] * 4
        + ["AttnSkipDownBlock2D"]
        + ["SkipDownBlock2D"] * 2,
        "up_block_types": ["SkipUpBlock2D"] * 2 + ["AttnSkipUpBlock2D"] + ["SkipUpBlock2D"] * 4,
    },
    "cd-imagenet64": {
        "sample_size": 64,
        "layers_per_block": 3,
        "num_class_embeds": 1000,
        "block_out_channels": [192, 384, 576, 768],
        "attention_head_dim": 64,
        "down_block_types": ["ResnetDownsampleBlock2D"] + ["AttnDownBlock2D"] * 3,
        "up_block_types": ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 32,
        "upsample_type": "resnet",
        "downsample_type": "resnet",
    },
}
TIME = 25.0  # of a schedule, or sigma
LABEL = 207


def memory(key="VmHWM"):
    """Bytes of this process: VmHWM, the most so far, or VmRSS, now."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


def report(folder, seconds, output, before):
    import numpy as np

    np.save(os.path.join(folder, f"{sys.argv[1]}.npy"), output)
    print(json.dumps({"seconds": seconds, "memory": memory() - before}))


def inputs(size):
    import numpy as np

    return np.random.default_rng(1).uniform(-1, 1, (1, size, size, 3)).astype(np.float32)


def run_torch(folder, passes):
    import torch
    from diffusers import UNet2DModel

    torch.set_num_threads(os.cpu_count())
    before = memory("VmRSS")
    model = UNet2DModel.from_pretrained(folder, low_cpu_mem_usage=True).eval()
    x = torch.from_numpy(inputs(model.config.sample_size)).permute(0, 3, 1, 2)
    labels = torch.tensor([LABEL]) if model.config.num_class_embeds else None
    seconds = []
    with torch.inference_mode():
        for _ in range(passes + 1):
            start = time.perf_counter()
            y = model(x, torch.tensor([TIME]), labels).sample
            seconds.append(time.perf_counter() - start)
    report(folder, seconds[1:], y.permute(0, 2, 3, 1).numpy(), before)


def run_library(folder, passes):
    import libdiffusion as dm

    before = memory("VmRSS")
    context = dm.Context()
    unet = dm.Unet.load(context, folder)
    options = unet.options
    x = inputs(options.height)
    seconds = []
    for _ in range(passes + 1):
        start = time.perf_counter()
        y = unet.forward(x, TIME, [LABEL] if options.classes else None)
        seconds.append(time.perf_counter() - start)
    report(folder, seconds[1:], y, before)


def run(side, folder, passes):
    command = [sys.executable, __file__, side, folder, "--passes", str(passes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(name, passes, rounds):
    import numpy as np
    import torch
    from diffusers import UNet2DModel

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        model = UNet2DModel(**CONFIGS[name])
        parameters = sum(p.numel() for p in model.parameters())
        model.save_pretrained(folder)
        del model
        results = {"torch": [], "library": []}
        for _ in range(rounds):  # in turn, since machines drift
            for side in results:
                results[side].append(run(side, folder, passes))
        outputs = [np.load(os.path.join(folder, f"{side}.npy")) for side in results]
        error = float(np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[0]).max())
    seconds = {
        side: statistics.median(s for r in runs for s in r["seconds"])
        for side, runs in results.items()
    }
    memory = {side: max(r["memory"] for r in runs) / 1e6 for side, runs in results.items()}
    print(
        f"{name}: {parameters / 1e6:.1f} million parameters; "
        f"seconds a pass: diffusers {seconds['torch']:.3f}, library {seconds['library']:.3f}, "
        f"ratio {seconds['library'] / seconds['torch']:.2f}; "
        f"MB: diffusers {memory['torch']:.0f}, library {memory['library']:.0f}, "
        f"ratio {memory['library'] / memory['torch']:.2f}; "
        f"largest difference {error:.1e}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument(
        "--passes", type=int, default=3, help="passes of a process after the first (default 3)"
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="processes of each side, in turn (default 2)"
    )
    arguments = parser.parse_args()
    if arguments.names and arguments.names[0] in ("torch", "library"):
        {"torch": run_torch, "library": run_library}[arguments.names[0]](
            arguments.names[1], arguments.passes
        )
        return
    for name in arguments.names or CONFIGS:
        compare(name, arguments.passes, arguments.rounds)


if __name__ == "__main__":
    main()
