#!/usr/bin/env python3
"""Recomputes every golden case with the equations as the project defines them, gradients by complex steps.

Needs numpy only. Prints the largest difference of each case; fails where one is over its source's budget."""
import math
import sys

import numpy as np

from golden import (AFTER, BEFORE, CONFIG, FORWARD, HARD_SIGMOID, HERE, KEEP, RELU, REVERSE, SIGMOID, TANH,
                    cases, load)

# Relative to the larger of 1 and the value. Single precision sources: a few dozen roundings of 6e-8 per step.
BUDGET = {64: 1e-12, 32: 2e-6}
STEP = 1e-30   # of the complex step: f(a + i STEP).imag / STEP is f'(a) without cancellation


def bounded(v, low, high):
    """clip() that decides on the real part and keeps the derivative in the imaginary part."""
    return np.where(v.real < low, low, np.where(v.real > high, high, v))


def erf(v):
    """Of a number with a tiny imaginary part."""
    real = np.vectorize(math.erf)(v.real)
    return real + 1j * v.imag * 2 / np.sqrt(np.pi) * np.exp(-v.real ** 2)


def from_zero(v, below, above):
    return np.where(v.real < 0, below, above)


# By GRU_ACTIVATION_... of gru.h, from v, alpha and beta.
ACTIVATIONS = {
    16: lambda v, a, b: 1 / (1 + np.exp(-v)),
    17: lambda v, a, b: bounded(a * v + b, 0.0, 1.0),
    18: lambda v, a, b: np.tanh(v),
    19: lambda v, a, b: from_zero(v, 0, v),
    20: lambda v, a, b: v,
    21: lambda v, a, b: a * v + b,
    22: lambda v, a, b: from_zero(v, a * v, v),
    23: lambda v, a, b: np.where(v.real > a, v, 0),
    24: lambda v, a, b: a * np.tanh(b * v),
    25: lambda v, a, b: from_zero(v, a * (np.exp(v) - 1), v),
    26: lambda v, a, b: v / (1 + from_zero(v, -v, v)),
    27: lambda v, a, b: np.log(1 + np.exp(v)),
    28: lambda v, a, b: 1.0507009873554804934 * from_zero(v, 1.6732632423543772848 * (np.exp(v) - 1), v),
    29: lambda v, a, b: v / (1 + np.exp(-v)),
    30: lambda v, a, b: v * (1 + erf(v / np.sqrt(2))) / 2,
    31: lambda v, a, b: v * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v ** 3))) / 2,
    32: lambda v, a, b: np.exp(v),
    33: lambda v, a, b: bounded(v, 0.0, 6.0),
    34: lambda v, a, b: bounded(v, -1.0, 1.0),
    35: lambda v, a, b: v * bounded(v / 6 + 0.5, 0.0, 1.0),
    36: lambda v, a, b: v * np.tanh(np.log(1 + np.exp(v))),
}


def gate(c, v):
    if c["gate"] in ACTIVATIONS:
        return ACTIVATIONS[c["gate"]](v, *c["numbers"][:2])
    if c["gate"] == HARD_SIGMOID:
        return bounded(c["hard_slope"] * v + 0.5, 0.0, 1.0)
    return 1 / (1 + np.exp(-v))


def candidate(c, v):
    if c["candidate"] in ACTIVATIONS:
        return ACTIVATIONS[c["candidate"]](v, *c["numbers"][2:])
    if c["candidate"] == TANH:
        return np.tanh(v)
    return np.where(v.real > 0, v, 0) if c["candidate"] == RELU else v


def step(c, w, x, h, attention=None):
    """One step of one sequence."""
    H = len(h)
    clip = (lambda v: bounded(v, -c["clip"], c["clip"])) if c["clip"] else (lambda v: v)
    a, s = w["W"] @ x + w["bW"], w["R"] @ h + w["bR"]
    r = gate(c, clip(a[:H] + s[:H]))
    z = gate(c, clip(a[H:2 * H] + s[H:2 * H]))
    if c["reset"] == AFTER:
        v = a[2 * H:] + r * s[2 * H:]
    elif c["reset"] == BEFORE:
        v = a[2 * H:] + w["R"][2 * H:] @ (r * h) + w["bR"][2 * H:]
    else:
        v = r * (a[2 * H:] + s[2 * H:])
    n = candidate(c, clip(v))
    if attention is not None:
        z = (1 - attention) * z if c["update"] == KEEP else 1 - (1 - attention) * (1 - z)
    return (1 - z) * n + z * h if c["update"] == KEEP else (1 - z) * h + z * n


def gru(c, w, x, lengths, h0, attention=None, reset=None, h_restart=None):
    """One layer in one direction: y [T][N][H] and hT [N][H]."""
    T, N, _ = x.shape
    y = np.zeros((T, N, c["H"]), complex)
    hT = np.zeros((N, c["H"]), complex)
    for n in range(N):
        h = h0[n]
        valid = range(lengths[n])
        starts = [t for t in valid if reset is not None and reset[t, n]]
        for t in reversed(valid) if c["direction"] == REVERSE else valid:
            # A forward walk enters a segment at its first step, a reverse walk at its last.
            entered = t + 1 in starts if c["direction"] == REVERSE else t in starts
            if entered:
                h = np.zeros(c["H"]) if h_restart is None else h_restart[n]
            h = step(c, w, x[t, n], h, None if attention is None else attention[t, n])
            y[t, n] = h
        hT[n] = h
    return y, hT


def stack(c, v):
    """All layers of a case from its dict of tensors: {"y": ..., "hT" or "cellK/hT": ...}."""
    x, out, single = v["x"], {}, c["layers"] * c["directions"] == 1
    lengths = v.get("lengths", np.full(c["N"], c["T"]))
    for layer in range(c["layers"]):
        ys = []
        for direction in range(c["directions"]):
            cell = "" if single else f"cell{layer * c['directions'] + direction}/"
            w = {key: v.get(cell + key, np.zeros(3 * c["H"])) for key in ("W", "R", "bW", "bR")}
            this = c if c["directions"] == 1 else {**c, "direction": direction}
            y, out[cell + "hT"] = gru(this, w, x, lengths, v.get(cell + "h0", np.zeros((c["N"], c["H"]))))
            ys.append(y)
        x = np.concatenate(ys, axis=2)
    return {"y": x, **out}


def gradients(c, v):
    """{name: derivative of sum(dy y) + sum(dhT hT)} for every d-name of the case, one step per number."""
    heads = [key for key in v if key.split("/")[-1] == "dhT"] + ["dy"]
    names = [key for key in v if key.split("/")[-1][0] == "d" and key not in heads]
    source = {key: "/".join(key.split("/")[:-1] + [key.split("/")[-1][1:]]) for key in names + heads}
    out = {}
    for key in names:
        value = v[source[key]].astype(complex)
        flat, grad = value.reshape(-1), np.zeros(value.size)
        for k in range(flat.size):
            kept, flat[k] = flat[k], flat[k] + 1j * STEP
            result = stack(c, {**v, source[key]: value})
            grad[k] = sum((v[head] * result[source[head]].imag).sum() for head in heads) / STEP
            flat[k] = kept
        out[key] = grad.reshape(value.shape)
    return out


def difference(got, want):
    assert got.shape == want.shape, (got.shape, want.shape)
    return (np.abs(got - want) / np.maximum(1, np.abs(want))).max()


def verify(source):
    tensors, failed = load(HERE / f"{source}.safetensors"), 0
    assert cases(tensors) and {key.split("/")[0] for key in tensors} - {"raw"} == set(cases(tensors))
    for name in cases(tensors):
        v = {key[len(name) + 1:]: array for key, array in tensors.items() if key.startswith(name + "/")}
        c = dict(zip(CONFIG, v.pop("config").tolist()))
        c["clip"], c["hard_slope"] = v.pop("parameters").tolist()
        c["numbers"] = v.pop("numbers", np.zeros(4)).tolist()
        got = stack(c, v)
        worst = {"forward": max(difference(got[key].real, v[key]) for key in got if key in v)}
        if c["has_gradients"]:
            worst["gradients"] = max(difference(grad, v[key]) for key, grad in gradients(c, v).items())
        over = not max(worst.values()) <= BUDGET[c["source_bits"]]
        failed += over
        print(f"{source:12} {name:36} f{c['source_bits']}",
              *(f" {key} {value:.1e}" for key, value in worst.items()), " OVER BUDGET" if over else "")
    return failed


def verify_sample():
    """samples/encoder.safetensors: two bidirectional layers under PyTorch's names."""
    tensors, v = load(HERE / "samples" / "encoder.safetensors"), {}
    v["x"] = tensors["expected.x"].astype(np.float64)
    for k, suffix in enumerate(("l0", "l0_reverse", "l1", "l1_reverse")):
        for key, name in (("W", "weight_ih"), ("R", "weight_hh"), ("bW", "bias_ih"), ("bR", "bias_hh")):
            v[f"cell{k}/{key}"] = tensors[f"encoder.gru.{name}_{suffix}"].astype(np.float64)
    T, N, _ = v["x"].shape
    c = {"reset": AFTER, "update": KEEP, "gate": SIGMOID, "candidate": TANH, "direction": FORWARD,
         "T": T, "N": N, "H": v["cell0/R"].shape[1], "layers": 2, "directions": 2,
         "clip": 0.0, "hard_slope": 0.0}
    got = stack(c, v)
    hT = np.stack([got[f"cell{k}/hT"] for k in range(4)])
    worst = max(difference(got["y"].real, tensors["expected.y"]), difference(hT.real, tensors["expected.hT"]))
    print(f"samples      {'encoder':36} f64  forward {worst:.1e}")
    return not worst <= BUDGET[64]


if __name__ == "__main__":
    names = sys.argv[1:] or ["pytorch", "onnxruntime", "keras", "onnx_node", "activations", "samples"]
    sys.exit(1 if sum(verify_sample() if name == "samples" else verify(name) for name in names) else 0)
