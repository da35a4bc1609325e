#!/usr/bin/env python3
"""framework_torch.py: libgru.torch.GRU and libgru.Stream beside torch.nn.GRU, in one process, in turns, as a table.

    bench/framework_torch.py [--threads 1] [--rounds 15]

Each case runs its candidates one after the other, round after round; the table has medians of the time of a call: processor
time on one thread, so that other programs disturb less, else the clock's. Every candidate's output is compared with that of
torch.nn.GRU before it is timed. Needs the packages torch and libgru.
"""
import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import libgru
import libgru.torch

CASES = [(100, 8, 256), (100, 1, 96), (100, 32, 128), (1, 1, 64)]    # T, N, H = I
Call = Callable[[], Any]


def turns(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Median seconds of each call."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    counts = {}
    for name, call in calls.items():
        start, count = clock(), 0
        while clock() - start < 0.05:
            call()
            count += 1
        counts[name] = max(1, count // 2)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            for _ in range(counts[name]):
                call()
            times[name].append((clock() - start) / counts[name])
    return {name: statistics.median(values) for name, values in times.items()}


def modules(H: int) -> dict[str, torch.nn.Module]:
    stock, ours = torch.nn.GRU(H, H), libgru.torch.GRU(H, H)
    ours.load_state_dict(stock.state_dict())
    return {"torch.nn.GRU": stock, "libgru.torch.GRU": ours}


def forward(T: int, N: int, H: int) -> dict[str, Call]:
    x, pair = torch.randn(T, N, H), modules(H)

    def call(module: torch.nn.Module) -> Any:
        with torch.no_grad():
            return module(x)[0]
    calls: dict[str, Call] = {name: (lambda module=module.eval(): call(module)) for name, module in pair.items()}
    wanted = calls["torch.nn.GRU"]()
    assert (calls["libgru.torch.GRU"]() - wanted).abs().max() < 1e-5
    if T == N == 1:
        stream = libgru.Stream(libgru.Layer(*(p.detach().numpy() for p in pair["torch.nn.GRU"].parameters())))
        row = x[0, 0].numpy()
        assert (torch.from_numpy(stream.step(row)) - wanted[0, 0]).abs().max() < 1e-5
        calls["libgru.Stream.step"] = lambda: stream.step(row)
    return calls


def both(T: int, N: int, H: int) -> dict[str, Call]:
    x, dy = torch.randn(T, N, H, requires_grad=True), torch.randn(T, N, H)

    def call(module: torch.nn.Module) -> Any:
        module.zero_grad()
        x.grad = None
        torch.autograd.backward(module(x)[0], dy)
        return module.weight_hh_l0.grad
    calls: dict[str, Call] = {name: (lambda module=module: call(module)) for name, module in modules(H).items()}
    wanted, found = (call().clone() for call in calls.values())
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()    # with T = 1 and no h0 all are 0
    return calls


def model(T: int, N: int, H: int) -> dict[str, Call]:
    """Embedding, two layers, a linear layer: what torch's threads and libgru's do beside each other."""
    torch.manual_seed(0)
    text = torch.randint(50, (T, N))
    calls: dict[str, Call] = {}
    for name, cls in (("torch.nn.GRU", torch.nn.GRU), ("libgru.torch.GRU", libgru.torch.GRU)):
        embedding, gru, output = torch.nn.Embedding(50, H), cls(H, H, 2), torch.nn.Linear(H, 500)

        def call(embedding: Any = embedding, gru: Any = gru, output: Any = output) -> Any:
            loss = torch.nn.functional.gelu(output(gru(embedding(text))[0])).sum()
            loss.backward()
            return loss
        calls[name] = call
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, libgru on {libgru.Layer(*(p.detach().numpy() for p in torch.nn.GRU(8, 8).parameters())).engine()}, "
          f"{options.threads} threads")
    print("| pass | T | N | H | candidate | us | of torch.nn.GRU |\n|---|--:|--:|--:|---|--:|--:|")
    for what, make in (("forward", forward), ("forward + backward", both), ("model, forward + backward", model)):
        for T, N, H in CASES:
            found = turns(make(T, N, H), options.rounds)
            for name, seconds in found.items():
                print(f"| {what} | {T} | {N} | {H} | {name} | {seconds * 1e6:.1f} | {seconds / found['torch.nn.GRU']:.2f} |",
                      flush=True)


if __name__ == "__main__":
    main()
