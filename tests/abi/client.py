# SPDX-License-Identifier: MIT
"""A whole run by a client that uses names only: trains a small network, saves, loads and samples.
    client.py libdiffusion.so FOLDER"""
import ctypes
import math
import os
import sys
from ctypes import byref, c_char_p, c_int32, c_size_t, c_uint64, c_void_p

from binding import Failure, Library, Struct

CALLBACK = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p)
SMALL_NETWORK = {"height": "16", "width": "16", "levels": "2", "channels": "16,16", "blocks": "1,1",
                 "attention": "0,1", "norm_groups": "4", "prediction": "v"}


class Client:
    def __init__(self, library):
        self.library, self.dll = library, library.dll
        self.context = c_void_p()
        options = self.options("dm_context_options", threads="2")
        text = ctypes.create_string_buffer(256)
        status = self.dll.dm_context_create(byref(self.context), options.memory, text,
                                            c_size_t(len(text)))
        if status != library.ok:
            raise Failure(library.status_name(status), text.value.decode())

    def check(self, status):
        if status != self.library.ok:
            raise Failure(self.library.status_name(status),
                          self.dll.dm_context_error(self.context).decode())

    def options(self, name, **members):
        struct = Struct(self.library, name)
        for member, value in members.items():
            self.check(self.dll.dm_options_set(self.context, name.encode(), struct.memory,
                                               member.encode(), value.encode()))
        return struct

    def make(self, function, *arguments):
        handle = c_void_p()
        self.check(self.dll[function](byref(handle), *arguments))
        assert handle.value
        return handle


def train(client, path):
    schedule = client.make("dm_schedule_create", client.context,
                           client.options("dm_schedule_options", kind="cosine",
                                          timesteps="100").memory)
    unet = client.make("dm_unet_create", client.context,
                       client.options("dm_unet_options", **SMALL_NETWORK).memory, c_uint64(1))
    dataset = client.make("dm_dataset_create_shapes", client.context, c_int32(16), c_uint64(64),
                          c_uint64(2))
    options = client.options("dm_trainer_options", batch_size="4", learning_rate="1e-3",
                             loss="pseudo_huber", ema_decay="0.9")
    trainer = client.make("dm_trainer_create", unet, schedule, dataset, options.memory)
    losses = {}

    def record(user, address):
        stats = Struct(client.library, "dm_train_stats", address)
        losses[stats["step"]] = stats["loss"]
        return 0

    client.check(client.dll.dm_trainer_run(trainer, c_uint64(4), CALLBACK(record), None))
    assert list(losses) == [1, 2, 3, 4] and all(math.isfinite(loss) for loss in losses.values())
    client.check(client.dll.dm_trainer_save(trainer, path))
    for kind, handle in (("trainer", trainer), ("dataset", dataset), ("unet", unet),
                         ("schedule", schedule)):
        client.dll["dm_" + kind + "_destroy"](handle)


class Sampler:
    def __init__(self, client, path):
        library = client.library
        self.client = client
        weights = c_int32(library.enum_value("dm_weights", "ema"))
        self.unet = client.make("dm_unet_load", client.context, path, weights)
        self.schedule = client.make("dm_schedule_load", client.context, path)
        options = client.options("dm_sampler_options", solver="unipc", steps="6")
        self.handle = client.make("dm_sampler_create", self.unet, self.schedule, options.memory)

    def run(self, seed, progress):
        client = self.client
        shape = [c_int32() for _ in range(3)]
        client.dll.dm_sampler_shape(self.handle, *(byref(n) for n in shape))
        elements = 2 * math.prod(n.value for n in shape)
        assert elements == 2 * 16 * 16 * 3
        images = (ctypes.c_float * elements)()
        request = client.options("dm_sampler_request", count="2", seed=str(seed))
        request.set_pointer("progress", CALLBACK(progress))
        client.check(client.dll.dm_sampler_run(self.handle, request.memory, images,
                                               c_size_t(elements)))
        return list(images)


def sample(client, path):
    sampler = Sampler(client, path)
    steps = []

    def follow(user, address):
        progress = Struct(client.library, "dm_sampler_progress", address)
        steps.append((progress["step"], progress["steps"], progress["count"]))
        return 0

    def stop(user, address):
        client.dll.dm_callback_fail(client.context, c_char_p(b"the disk of the client is full"))
        return 1

    images = sampler.run(7, follow)
    assert steps == [(i, 6, 2) for i in range(1, 7)], steps
    assert all(math.isfinite(x) and -1 <= x <= 1 for x in images) and len(set(images)) > 100
    assert sampler.run(7, follow) == images
    assert sampler.run(8, follow) != images
    failed = expect_failure("callback_failed", lambda: sampler.run(7, stop))
    assert "the disk of the client is full" in failed, failed
    assert sampler.run(7, follow) == images
    for kind, handle in (("sampler", sampler.handle), ("unet", sampler.unet),
                         ("schedule", sampler.schedule)):
        client.dll["dm_" + kind + "_destroy"](handle)
    return failed


def expect_failure(status, function):
    try:
        function()
    except Failure as failure:
        assert failure.status == status, failure
        return str(failure)
    raise AssertionError(f"no failure, but {status} was expected")


def main():
    client = Client(Library(sys.argv[1]))
    path = os.path.join(sys.argv[2], "client.safetensors").encode()
    train(client, path)
    callback = sample(client, path)
    solver = expect_failure("invalid_argument",
                            lambda: client.options("dm_sampler_options", solver="no_such"))
    assert "solver" in solver and "unipc" in solver, solver
    expect_failure("not_found", lambda: client.options("dm_sampler_options", no_such="1"))
    client.dll.dm_context_destroy(client.context)
    print(f"abi: client.py ok\n  {callback}\n  {solver}")


main()
