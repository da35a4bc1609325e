#!/usr/bin/env python3
"""peer_torch.py: torch.nn.GRU (and GRUCell for a single step) in the rows of gru_bench; needs PyTorch and numpy.

    bench/peers/peer_torch.py --shape quick --threads 1 --json RESULTS.json
"""
import torch

import common


def make(x, numbers, threads):
    torch.set_num_threads(threads)
    T, N, I = x.shape
    H = numbers[1].shape[1]
    single = T == 1
    layer = torch.nn.GRUCell(I, H) if single else torch.nn.GRU(I, H)
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), numbers):
            parameter.copy_(torch.from_numpy(value))
    inputs = torch.from_numpy(x)
    state = torch.zeros(N, H) if single else torch.zeros(1, N, H)
    latest = [None]

    def run():
        with torch.inference_mode():
            latest[0] = layer(inputs[0], state) if single else layer(inputs, state)[0]

    return run, lambda: (latest[0][None] if single else latest[0]).numpy()


if __name__ == "__main__":
    common.main("PyTorch", torch.__version__, make)
