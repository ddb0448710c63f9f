#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The inference engines' side of the speed comparison: peer_torch.py's U-Net in ONNX Runtime or
OpenVINO.

    peer_inference.py [--base 64] [--batch 16] [--size 32] [--threads 2]
                      [--mode onnxruntime|openvino|openvino_bf16]

Exports the network to ONNX, prints {"ready": NAME} as a line, and then responds to each line of its
input with one line of JSON, as peer_torch.py does:

    forward          {"seconds"} of a call, as peer_torch.py measures it
    error            {"largest"} difference from PyTorch's float32 output
    memory           {"mb", "import_mb"}: peak resident memory, PyTorch's for the export included

Needs torch, onnx and the engine.
"""

import argparse, os, sys, tempfile, time, warnings

import peer_torch
import torch

warnings.filterwarnings("ignore")


def run_onnxruntime(path, threads, _):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return "onnxruntime " + onnxruntime.__version__, lambda feed: session.run(None, feed)[0]


def run_openvino(path, threads, precision):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    return "openvino " + openvino.__version__.split("-")[0], lambda feed: request.infer(feed)[0]


ENGINES = {
    "onnxruntime": (run_onnxruntime, None),
    "openvino": (run_openvino, "f32"),
    "openvino_bf16": (run_openvino, "bf16"),
}


class Engine:
    @torch.no_grad()
    def __init__(self, a):
        torch.set_num_threads(a.threads)
        torch.manual_seed(0)
        network = peer_torch.UNet(a.base).eval()
        x, t = torch.randn(a.batch, 3, a.size, a.size), torch.randint(0, 1000, (a.batch,))
        self.feed = {"x": x.numpy(), "t": t.numpy()}
        self.expected = network(x, t).numpy()
        engine, precision = ENGINES[a.mode]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "unet.onnx")
            names = {"input_names": ["x", "t"], "output_names": ["y"]}
            torch.onnx.export(network, (x, t), path, dynamo=False, opset_version=17, **names)
            self.name, self.run = engine(path, a.threads, precision)
        self.run(self.feed)

    def respond(self, request):
        if request == "memory":
            return {"mb": peer_torch.peak_mb(), "import_mb": peer_torch.IMPORT_MB}
        if request == "error":
            return {"largest": float(abs(self.run(self.feed) - self.expected).max())}
        if request != "forward":
            return {"error": "unknown request: " + request}
        return {"seconds": peer_torch.mean_seconds(lambda: self.run(self.feed))}


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("base", 64), ("batch", 16), ("size", 32), ("images", 16), ("threads", 2)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--mode", default="onnxruntime", choices=tuple(ENGINES))
    engine = Engine(p.parse_args())
    peer_torch.print_response({"ready": engine.name})
    for line in sys.stdin:
        peer_torch.print_response(engine.respond(line.strip()))


if __name__ == "__main__":
    main()
