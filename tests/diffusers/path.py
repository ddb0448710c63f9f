# SPDX-License-Identifier: MIT
"""A model's way through the program: path.py DIFFUSION

diffusers saves a pipeline; `diffusion convert` makes one file of it, `diffusion train --init`
fine-tunes that, `diffusion sample` draws, `diffusion convert` exports, and diffusers opens the
result: its network has the fine-tuned weights and gives the library's images. Needs torch and
diffusers.
"""

import os
import subprocess
import sys
import tempfile

import diffusers
import numpy as np
import torch
from safetensors.numpy import load_file

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
SIZE, STEPS = 32, 5


def run(*words):
    """Runs the program; its output."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def save_foreign(folder):
    """A pipeline of diffusers with a small random network."""
    torch.manual_seed(3)
    unet = diffusers.UNet2DModel(
        sample_size=SIZE, block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"))
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder)


def images_of(pipeline, noise):
    """The pipeline's images from noise [n, 3, SIZE, SIZE], as bytes."""
    x = torch.from_numpy(noise)
    pipeline.scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        for t in pipeline.scheduler.timesteps:
            x = pipeline.scheduler.step(pipeline.unet(x, t).sample, t, x).prev_sample
    x = x.clamp(-1, 1).permute(0, 2, 3, 1).numpy()
    return np.round((x + 1) * 127.5).astype(int)


def main():
    """Follows the path with both ways to begin."""
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        foreign, own, back = (os.path.join(work, n) for n in ("foreign", "own.safetensors", "back"))
        save_foreign(foreign)
        run(program, "convert", foreign, own)
        for start in (foreign, own):
            tuned = os.path.join(work, "run")
            run(program, "train", "builtin", "--no-labels", "--init", start, "--out", tuned,
                "--force", "--steps", "4", "--batch", "4", "--samples", "0", "--ema-decay", "0.5")
            run(program, "convert", tuned, back, "--solver", "ddim", "--steps", str(STEPS))
            pipeline = diffusers.DDIMPipeline.from_pretrained(back)
            before = load_file(own)["conv_in.weight"]
            after = pipeline.unet.state_dict()["conv_in.weight"].numpy()
            if before.shape != after.shape or not 0 < np.abs(before - after).max() < 0.1:
                raise SystemExit("the exported weights are not the fine-tuned ones")
            npz = os.path.join(work, "samples.npz")
            run(program, "sample", tuned, "--count", "2", "--solver", "ddim", "--steps", str(STEPS),
                "--random", "torch", "--seed", "0", "--npz", npz, "--no-pictures",
                "--out", os.path.join(work, "grid.png"))
            ours = np.load(npz)["arr_0"].astype(int)
            noise = np.stack([
                torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(i)).numpy()
                for i in range(2)])
            difference = np.abs(images_of(pipeline, noise) - ours).max()
            print(f"path: images from {os.path.basename(start)}, fine-tuned and exported: "
                  f"largest difference {difference} of 255")
            if difference > 1:
                raise SystemExit("diffusers draws other images than the program")


main()
