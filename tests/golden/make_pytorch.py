#!/usr/bin/python3
"""Runs torch.nn.GRU in double precision, forward and backward: pytorch.safetensors and samples/."""
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import golden

ARRAYS = {"W": "weight_ih", "R": "weight_hh", "bW": "bias_ih", "bR": "bias_hh"}
BASE = {"reset": golden.AFTER, "update": golden.KEEP, "gate": golden.SIGMOID, "candidate": golden.TANH,
        "source_bits": 64}
CELLS = ("l0", "l0_reverse", "l1", "l1_reverse", "l2", "l2_reverse")


def tensor(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def make(draw, I, H, layers=1, bidirectional=False, bias=True):
    """A module with every weight drawn in -1..1: gates leave their linear range, no two gates are alike."""
    module = torch.nn.GRU(I, H, layers, bias=bias, bidirectional=bidirectional).double()
    for parameter in module.parameters():
        parameter.data = torch.tensor(draw(*parameter.shape))
    return module


def run(module, x, h0, lengths, dy, dhT):
    """y, hT; gradients of x, h0 and the parameters are left in .grad; dy past a length has no effect."""
    for value in (x, h0, *module.parameters()):
        if value is not None:
            value.grad = None
    if lengths is None:
        y, hT = module(x, h0)
    else:
        packed, hT = module(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), h0)
        y, _ = pad_packed_sequence(packed, total_length=x.shape[0])
    ((y * torch.tensor(dy)).sum() + (hT * torch.tensor(dhT)).sum()).backward()
    return y.detach().numpy(), hT.detach().numpy()


def cell_arrays(module, suffix, gradient=False):
    """Canonical names: {"W": ...} or {"dW": ...} of one cell."""
    found = {key: getattr(module, f"{name}_{suffix}", None) for key, name in ARRAYS.items()}
    return {("d" if gradient else "") + key: (value.grad if gradient else value.detach()).numpy()
            for key, value in found.items() if value is not None}


def add_single(file, seed, name, shape, lengths=None, h0=True, bias=True, reverse=False):
    """One direction of one layer; reverse is that half of a bidirectional module, alone in the loss."""
    (T, N, I, H), draw, D = shape, golden.Draw(seed), 2 if reverse else 1
    module = make(draw, I, H, bidirectional=reverse, bias=bias)
    x, start = tensor(draw(T, N, I)), tensor(draw(D, N, H)) if h0 else None
    dy, dhT = draw(T, N, D * H), draw(D, N, H)
    if reverse:
        dy[:, :, :H], dhT[0] = 0, 0
    y, hT = run(module, x, start, lengths, dy, dhT)
    suffix, half = CELLS[D - 1], slice((D - 1) * H, D * H)
    tensors = {"x": x.detach(), "y": y[:, :, half], "hT": hT[-1],
               "dy": dy[:, :, half], "dhT": dhT[-1], "dx": x.grad,
               **cell_arrays(module, suffix), **cell_arrays(module, suffix, gradient=True)}
    if h0:
        tensors.update(h0=start.detach()[-1], dh0=start.grad[-1])
    if lengths:
        tensors["lengths"] = lengths
    file.case(name, {**BASE, "direction": golden.REVERSE if reverse else golden.FORWARD,
                     "T": T, "N": N, "I": I, "H": H}, **tensors)
    return module


def add_stack(file, seed, name, shape, layers, directions, lengths=None):
    (T, N, I, H), draw, cells = shape, golden.Draw(seed), layers * directions
    module = make(draw, I, H, layers, bidirectional=directions == 2)
    x, h0 = tensor(draw(T, N, I)), tensor(draw(cells, N, H))
    dy, dhT = draw(T, N, directions * H), draw(cells, N, H)
    y, hT = run(module, x, h0, lengths, dy, dhT)
    tensors = {"x": x.detach(), "y": y, "dy": dy, "dx": x.grad}
    for k, suffix in enumerate(CELLS if directions == 2 else CELLS[::2]):
        if k < cells:
            own = {**cell_arrays(module, suffix), **cell_arrays(module, suffix, gradient=True),
                   "h0": h0.detach()[k], "hT": hT[k], "dhT": dhT[k], "dh0": h0.grad[k]}
            tensors.update({f"cell{k}/{key}": array for key, array in own.items()})
    if lengths:
        tensors["lengths"] = lengths
    file.case(name, {**BASE, "direction": golden.FORWARD, "T": T, "N": N, "I": I, "H": H, "layers": layers,
                     "directions": directions, "has_h0": 1, "has_bias": 1}, **tensors)
    return module


def write_sample():
    """What a user saves from a model whose encoder is a bidirectional GRU, with one input and its output."""
    (T, N, I, H), draw = (5, 2, 4, 6), golden.Draw(1900)
    module, x = make(draw, I, H, layers=2, bidirectional=True), torch.tensor(draw(T, N, I))
    with torch.no_grad():
        y, hT = module(x)
    tensors = {f"encoder.gru.{name}": value.float().numpy() for name, value in module.state_dict().items()}
    tensors.update({"encoder.embedding.weight": draw(5, I).astype("<f4"), "expected.x": x.float().numpy(),
                    "expected.y": y.numpy(), "expected.hT": hT.numpy()})
    folder = golden.HERE / "samples"
    folder.mkdir(exist_ok=True)
    golden.save(folder / "encoder.safetensors", tensors, {"format": "pt"})


def main():
    file = golden.File("pytorch")
    raw = {
        "forward": add_single(file, 1000, "forward", (5, 3, 4, 6)),
        "step": add_single(file, 1001, "step", (1, 2, 3, 5)),
        "no_bias_no_h0": add_single(file, 1002, "no_bias_no_h0", (7, 2, 3, 9), h0=False, bias=False),
        "lengths": add_single(file, 1003, "lengths", (6, 4, 5, 7), lengths=[4, 6, 1, 3]),
        "reverse": add_single(file, 1004, "reverse", (5, 2, 7, 4), reverse=True),
        "reverse_lengths": add_single(file, 1005, "reverse_lengths", (6, 4, 2, 5), lengths=[2, 5, 6, 1],
                                      reverse=True),
        "stack_lengths": add_stack(file, 1006, "stack_lengths", (6, 4, 3, 5), 2, 2, lengths=[5, 2, 6, 1]),
        "stack_forward": add_stack(file, 1007, "stack_forward", (4, 2, 5, 3), 3, 1),
    }
    for name in ("forward", "stack_lengths"):
        file.raw(name, **{key: value.numpy() for key, value in raw[name].state_dict().items()})
    file.write()
    write_sample()
    print("torch", torch.__version__, len(file.names), "cases")


if __name__ == "__main__":
    main()
