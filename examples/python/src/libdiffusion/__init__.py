# SPDX-License-Identifier: MIT
"""libdiffusion: train denoising diffusion models and sample from them, on the CPU.

    import libdiffusion as dm

    with dm.Context() as context:
        schedule = dm.Schedule(context)
        shapes = dm.Dataset.shapes(context, size=16, count=1000, seed=1)
        unet = dm.Unet(context, height=16, width=16, levels=2, channels=[32, 64], blocks=[1, 1])
        dm.Trainer(unet, schedule, shapes, batch_size=16).run(300, progress=True)
        images = dm.Sampler(unet, schedule, steps=20).run(count=10, seed=7)
        dm.Picture(images, columns=5, scale=4).save("out.png")

Images are float32 [count, height, width, channels] in [-1, 1], or uint8 from 0 to 255. C-contiguous
numpy arrays of these types are passed to the library as they are. Failures are exceptions of class
Error with a subclass for every status. The interpreter lock is released while the library works.
"""
from . import _generated
from ._errors import Error as Error
from ._generated import *  # noqa: F403
from ._library import decode as _decode, dll as _dll
from ._version import VERSION as __version__
from .context import Context, MemoryUse
from .dataset import Dataset
from .images import (Picture, draw_grid, encode_png, from_u8, to_pil, to_u8, write_apng,
                     write_png)
from .sampler import HeldRun, Levels, Sampler, noise_interpolate
from .schedule import Level, Schedule
from .trainer import Trainer
from .unet import Unet, preset


def version() -> str:
    """The library's version, such as "0.9.0"."""
    return _decode(_dll.dm_version_string())


def build_info() -> str:
    """One line for bug reports: version, compiler, BLAS library, instruction set."""
    return _decode(_dll.dm_build_info())


def feature(name: str) -> bool:
    """Whether this build has a feature and this processor supports it: "blas", "openblas", "blis",
    "avx2", "avx512", "neon", "bf16"."""
    return bool(_dll.dm_feature(name.encode()))


__all__ = [*_generated.__all__, "Context", "Dataset", "HeldRun", "Level", "Levels", "MemoryUse",
           "Picture", "Sampler", "Schedule", "Trainer", "Unet", "__version__", "build_info",
           "draw_grid", "encode_png", "feature", "from_u8", "noise_interpolate", "preset", "to_pil",
           "to_u8", "version", "write_apng", "write_png"]
