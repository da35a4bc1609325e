#!/usr/bin/env python3
"""peer_torch.py: torch.nn.GRU (and GRUCell for a single step) in the rows of gru_bench; needs PyTorch and numpy.

    bench/peers/peer_torch.py --shape quick --threads 1 --json RESULTS.json
    bench/peers/peer_torch.py --shape quick --stage both --json RESULTS.json         autograd
    bench/peers/peer_torch.py --shape quick --device cuda --type bf16 [--graph] --json RESULTS.json
"""
import sys

import torch

import common

TYPES = {"f32": torch.float32, "tf32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
         "f64": torch.float64}


def extend(parser):
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--type", default="f32", choices=TYPES, help="tf32: f32 whose products a GPU may round")
    parser.add_argument("--graph", action="store_true", help="on a GPU: replays of a CUDA graph")


def prepare(options):
    torch.set_num_threads(options.threads)
    if options.graph and options.stage != "forward":
        sys.exit("graphs are of forward passes only")
    if options.device == "cpu":
        if options.type == "tf32" or options.graph:
            sys.exit("TF32 and graphs need --device cuda")
        return
    if not torch.cuda.is_available():
        sys.exit("this PyTorch sees no CUDA device")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.type == "tf32"
    options.name = "PyTorch GPU" + " graph" * options.graph
    options.hardware = (f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, "
                       f"cuDNN {torch.backends.cudnn.version()}")


def module(weights, single, options):
    I, H = weights[0].shape[1], weights[1].shape[1]
    layer = (torch.nn.GRUCell if single else torch.nn.GRU)(I, H)
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), weights):
            parameter.copy_(torch.from_numpy(value))
    return layer.to(options.device, TYPES[options.type])


def record(call):
    """Warmed up in a stream of its own, as PyTorch asks for; -> (replay, what the replay writes)."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        written = call()
    written.fill_(float("nan"))
    return graph.replay, written


class Training:
    """One layer's share of a training step. Gradients are set, not added to."""

    def __init__(self, forward, inputs, parameters, dy, stage):
        self.forward, self.dy, self.stage, self.leaves = forward, dy, stage, [inputs.requires_grad_(), *parameters]
        self.y = forward() if stage == "backward" else None
        self.gradients = []

    def run(self):
        if self.stage != "backward":
            self.y = self.forward()
        if self.stage != "train":
            self.gradients = torch.autograd.grad(self.y, self.leaves, self.dy, retain_graph=self.stage == "backward")

    def outputs(self):
        return [numbers(tensor.detach()) for tensor in (self.y, *self.gradients)]


def numbers(tensor):
    return tensor.float().cpu().numpy()


def make(x, dy, weights, options):
    T, N, _ = x.shape
    single = T == 1
    layer = module(weights, single, options)
    inputs = torch.from_numpy(x).to(options.device, TYPES[options.type])
    state = inputs.new_zeros((N, weights[1].shape[1]) if single else (1, N, weights[1].shape[1]))
    wait = torch.cuda.synchronize if options.device == "cuda" else None
    latest = [None]

    def forward():
        return layer(inputs[0], state)[None] if single else layer(inputs, state)[0]

    def run():
        with torch.inference_mode():
            latest[0] = forward()

    if options.stage != "forward":
        training = Training(forward, inputs, layer.parameters(), torch.from_numpy(dy).to(inputs), options.stage)
        return training.run, training.outputs, wait
    if options.graph:
        with torch.inference_mode():
            run, latest[0] = record(forward)
    return run, lambda: [numbers(latest[0])], wait


if __name__ == "__main__":
    common.main("PyTorch", torch.__version__, make, extend, prepare, tuple(common.STAGES))
