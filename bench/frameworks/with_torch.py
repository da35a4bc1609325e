"""libgru.torch.GRU and libgru.Stream beside torch.nn.GRU."""
from collections.abc import Iterator
from typing import Any

import torch

import libgru
import libgru.torch
from turns import CASES, Call, Case

STOCK, OURS = "torch.nn.GRU", "libgru.torch.GRU"


def title() -> str:
    return f"torch {torch.__version__}"


def modules(H: int, layers: int) -> dict[str, torch.nn.Module]:
    stock, ours = torch.nn.GRU(H, H, layers), libgru.torch.GRU(H, H, layers)
    ours.load_state_dict(stock.state_dict())
    return {STOCK: stock, OURS: ours}


def forward(T: int, N: int, H: int, layers: int) -> dict[str, Call]:
    x, pair = torch.randn(T, N, H), modules(H, layers)

    def call(module: torch.nn.Module) -> Any:
        with torch.no_grad():
            return module(x)[0]
    calls: dict[str, Call] = {name: (lambda module=module.eval(): call(module)) for name, module in pair.items()}
    wanted = calls[STOCK]()
    assert (calls[OURS]() - wanted).abs().max() < 1e-5
    if T == N == layers == 1:
        stream = libgru.Stream(libgru.Layer(*(p.detach().numpy() for p in pair[STOCK].parameters())))
        row = x[0, 0].numpy()
        assert (torch.from_numpy(stream.step(row)) - wanted[0, 0]).abs().max() < 1e-5
        calls["libgru.Stream.step"] = lambda: stream.step(row)
    return calls


def both(T: int, N: int, H: int, layers: int) -> dict[str, Call]:
    x, dy = torch.randn(T, N, H, requires_grad=True), torch.randn(T, N, H)

    def call(module: torch.nn.Module) -> Any:
        module.zero_grad()
        x.grad = None
        torch.autograd.backward(module(x)[0], dy)
        return module.weight_hh_l0.grad
    calls: dict[str, Call] = {name: (lambda module=module: call(module)) for name, module in modules(H, layers).items()}
    wanted, found = (call().clone() for call in calls.values())
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()    # with T = 1 and no h0 all are 0
    return calls


def model(T: int, N: int, H: int) -> dict[str, Call]:
    """Embedding, two layers, a linear layer: what torch's threads and libgru's do beside each other."""
    torch.manual_seed(0)
    text = torch.randint(50, (T, N))
    calls: dict[str, Call] = {}
    for name, cls in ((STOCK, torch.nn.GRU), (OURS, libgru.torch.GRU)):
        embedding, gru, output = torch.nn.Embedding(50, H), cls(H, H, 2), torch.nn.Linear(H, 500)

        def call(embedding: Any = embedding, gru: Any = gru, output: Any = output) -> Any:
            loss = torch.nn.functional.gelu(output(gru(embedding(text))[0])).sum()
            loss.backward()
            return loss
        calls[name] = call
    return calls


def cases(threads: int) -> Iterator[Case]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    for shape in CASES:
        yield Case("forward", *shape, forward(*shape, 1))
        yield Case("forward + backward", *shape, both(*shape, 1))
        if shape[0] == 1:
            yield Case("two layers: forward", *shape, forward(*shape, 2))
            yield Case("two layers: forward + backward", *shape, both(*shape, 2))
        yield Case("embedding, two layers, linear: forward + backward", *shape, model(*shape))
