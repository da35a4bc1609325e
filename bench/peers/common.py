"""common.py: shapes, weights, timing and JSON lines for the peers that only speak Python.

A module gives main() a name and make(x, dy, weights, options) -> (run, outputs, wait): run() does once what options.stage
says or, where wait is not None, enqueues it; outputs() gives y [T][N][H] of the latest run and, for the stages "backward"
and "both", dx, dW, dR, dbW, dbR. The answer is compared with numpy in double precision before it is timed.
"""
import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import time

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = {"tf32": 2.0 ** -11, "f16": 2.0 ** -11, "bf16": 2.0 ** -8}  # largest relative error of one rounding
JUDGED = 3  # steps that numpy computes too
STAGES = {"forward": 1, "train": 1, "backward": 2, "both": 3}  # operations, forward = 1
LIMITS = {"default": 1e10, "quick": 1e9}  # operations in one run above which T is cut, as gru_bench does


def shapes(wanted):
    """-> [(name, T, whole T, N, I, H)]: names of bench_shapes.def, default, quick or all."""
    pattern = re.compile(r"^SHAPE\((\w+), (\d+), (\d+), (\d+), (\d+), ([01])\)")
    with open(os.path.join(HERE, "..", "bench_shapes.def"), encoding="utf-8") as file:
        known = [(m[1], *map(int, m.groups()[1:])) for m in map(pattern.match, file) if m]
    chosen = [s for s in known if wanted in ("all", "default") or (wanted == "quick" and s[5])
              or s[0] in wanted.split(",")]
    limit = LIMITS.get(wanted, 1e30)
    return [(n, min(T, max(2, int(limit / (6 * H * (I + H) * N)))), T, N, I, H) for n, T, N, I, H, _ in chosen]


def rounded(numbers, kind):
    """What the type can hold, to nearest, as f32."""
    if kind == "f16":
        return numbers.astype("f2").astype("f4")
    if kind == "bf16":
        bits = numbers.view("u4")
        return ((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000).astype("u4").view("f4")
    return numbers


def weights(I, H, kind):
    """Native order: W [3H][I], R [3H][H], bW, bR [3H], gates r, z, n."""
    random = numpy.random.default_rng(1)
    return [rounded(random.uniform(-1, 1, size).astype("f4") / numpy.float32(H ** 0.5), kind)
            for size in ((3 * H, I), (3 * H, H), 3 * H, 3 * H)]


def tolerance(I, H, kind):
    """As gru_bench derives it (bench/bench_problem.c)."""
    f32 = 4 * (16 + (I + H) ** 0.5) * 2.0 ** -24
    return f32 + 4 * max(1, ((I + H) / (2 * H)) ** 0.5) * UNITS.get(kind, 0)


def loss_gradients(shape, kind):
    """dy, such that of its first steps alone gradients are what they are to within rounding (bench/bench_problem.c)."""
    dy = 64 * numpy.random.default_rng(3).uniform(-1, 1, shape).astype("f4")
    dy[JUDGED:] *= UNITS.get(kind, 2.0 ** -24) / 64
    return rounded(dy, kind)


def forward_reference(x, numbers):
    """-> [(h before, r, z, n, c_n)] of the first steps in double precision, reset after, from a state of zeros; y"""
    W, R, bW, bR = numbers
    H = R.shape[1]
    h, steps, y = numpy.zeros((x.shape[1], H)), [], []
    for step in x:
        a, c = step @ W.T + bW, h @ R.T + bR
        r, z = (1 / (1 + numpy.exp(-(a + c)[:, g * H:(g + 1) * H])) for g in (0, 1))
        n = numpy.tanh(a[:, 2 * H:] + r * c[:, 2 * H:])
        steps.append((h, r, z, n, c[:, 2 * H:]))
        h = (1 - z) * n + z * h
        y.append(h)
    return steps, numpy.stack(y)


def reference(x, dy, numbers):
    """y, dx of the first steps, and dW, dR, dbW, dbR if later steps have no dy, in double precision."""
    x, dy, (W, R, bW, bR) = x[:JUDGED].astype("f8"), dy[:JUDGED].astype("f8"), (a.astype("f8") for a in numbers)
    steps, y = forward_reference(x, (W, R, bW, bR))
    dx, dW, dR, dbW, dbR = (numpy.zeros_like(a) for a in (x, W, R, bW, bR))
    dh = numpy.zeros_like(dy[0])
    for t in reversed(range(len(x))):
        h, r, z, n, c = steps[t]
        dh = dh + dy[t]
        dn = (1 - z) * (1 - n * n) * dh
        gates = [dn * c * r * (1 - r), (h - n) * z * (1 - z) * dh]
        da, dc = numpy.concatenate(gates + [dn], 1), numpy.concatenate(gates + [dn * r], 1)
        dx[t] = da @ W
        dW, dR, dbW, dbR = dW + da.T @ x[t], dR + dc.T @ h, dbW + da.sum(0), dbR + dc.sum(0)
        dh = z * dh + dc @ R
    return y, dx, dW, dR, dbW, dbR


def sample(run, wait, calls):
    start = time.perf_counter()
    for _ in range(calls):
        run()
    if wait:
        wait()
    return (time.perf_counter() - start) / calls


def measure(run, wait, seconds):
    """Samples of 0.2 ms at least (5 ms where they end with a wait), five of them at least, until seconds are over or
    there are 400."""
    once, least = min(sample(run, wait, 1) for _ in range(3)), 5e-3 if wait else 2e-4
    calls, samples, end = int(least / once) + 1, [], time.perf_counter() + seconds
    while len(samples) < 5 or (time.perf_counter() < end and len(samples) < 400):
        samples.append(sample(run, wait, calls))
    return samples


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def commit():
    try:
        answer = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                                check=False)
    except OSError:  # no git here
        return ""
    return answer.stdout.strip()


def arguments(description, extend, stages):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shape", default="default", help="default, quick, all or names of bench_shapes.def")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stage", default="forward", choices=stages,
                        help="train: forward in training; backward alone; both")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each shape")
    parser.add_argument("--json", help="file to append to")
    parser.set_defaults(type="f32", device="cpu", hardware=processor())
    extend(parser)
    return parser.parse_args()


def check(name, shape, got, right, kind):
    """got: y, then gradients: [T][N][..], of which the first steps count, or sums over them."""
    I, H = right[2].shape[1], right[0].shape[2]
    error = float(abs(got[0][:JUDGED] - right[0]).max())
    if not error <= tolerance(I, H, kind):
        sys.exit(f"{name} in {shape} differs from the equations by {error:.3g}: not timed")
    rows = right[0].shape[0] * right[0].shape[1]
    allowed = 4 * (16 + (I + 4 * H + rows) ** 0.5) * 2.0 ** -24 + 4 * UNITS.get(kind, 0)  # bench/bench_gradients.c
    for what, mine, exact in zip(("dx", "dW", "dR", "dbW", "dbR"), got[1:], right[1:]):
        difference = mine[:len(exact)] - exact
        error, worst = numpy.square(difference).mean() ** 0.5, abs(difference).max()
        if not (error <= allowed * numpy.square(exact).mean() ** 0.5 and worst <= 6 * allowed * abs(exact).max()):
            sys.exit(f"{name} in {shape}: {what} differs from the equations by {worst:.3g}: not timed")


def json_line(name, version, shape, sizes, options, samples):
    T, whole_T, N, I, H = sizes
    median = statistics.median(samples)
    return {"name": name, "kind": "peer", "shape": shape, "T": T, "whole_T": whole_T, "N": N, "I": I, "H": H,
            "threads": options.threads, "stage": options.stage, "reset": "after", "type": options.type, "cold": False,
            "samples": len(samples), "median_us": median * 1e6, "min_us": min(samples) * 1e6,
            "us_per_step": median * 1e6 / T, "gflops": STAGES[options.stage] * 6e-9 * H * (I + H) * N * T / median,
            "device": "cpu" if options.device == "cpu" else "gpu", "hardware": options.hardware,
            "compiler": f"Python {sys.version.split()[0]}", "version": version, "commit": commit(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}


def main(name, version, make, extend=lambda parser: None, prepare=lambda options: None, stages=("forward",)):
    """extend(parser) adds options of the module's own; prepare(options) may set options.name and options.hardware."""
    options = arguments(f"Times {name} on the shapes of gru_bench.", extend, stages)
    options.name = name
    prepare(options)
    out, chosen = open(options.json, "a", encoding="utf-8") if options.json else None, shapes(options.shape)
    if not chosen:
        sys.exit(f"no shape is called {options.shape}")
    print(f"{options.name} {version}, {options.stage}, {options.type}, {options.threads} threads, {options.hardware}")
    for shape, *sizes in chosen:
        T, whole_T, N, I, H = sizes
        numbers = weights(I, H, options.type)
        x = rounded(numpy.random.default_rng(2).uniform(-1, 1, (T, N, I)).astype("f4"), options.type)
        dy = loss_gradients((T, N, H), options.type)
        run, outputs, wait = make(x, dy, numbers, options)
        run()
        check(options.name, shape, outputs(), reference(x, dy, numbers), options.type)
        line = json_line(options.name, version, shape, sizes, options, measure(run, wait, options.seconds))
        print(f"{shape:22} T{T}{'*' * (T < whole_T)} N{N} I{I} H{H}".ljust(48),
              f"{line['median_us']:12.2f} us {line['min_us']:12.2f} us {line['gflops']:8.2f} GFLOP/s", flush=True)
        if out:
            out.write(json.dumps(line) + "\n")
            out.flush()
