"""common.py: shapes, weights, timing and JSON lines for the peers that only speak Python.

A module gives main() a name and make(x, weights, options) -> (run, outputs, wait): run() computes one forward pass or,
where wait is not None, enqueues it; outputs() gives y [T][N][H] of the latest run. The answer is compared with numpy in
double precision before it is timed.
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
LIMITS = {"default": 1e10, "quick": 1e9}  # operations in one run above which T is cut, as gru_bench does


def shapes(wanted):
    """-> [(name, T, whole T, N, I, H)]: names of shapes.def, default, quick or all."""
    pattern = re.compile(r"^SHAPE\((\w+), (\d+), (\d+), (\d+), (\d+), ([01])\)")
    with open(os.path.join(HERE, "..", "shapes.def"), encoding="utf-8") as file:
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
    """Canonical order: W [3H][I], R [3H][H], bW, bR [3H], gates r, z, n."""
    random = numpy.random.default_rng(1)
    return [rounded(random.uniform(-1, 1, size).astype("f4") / numpy.float32(H ** 0.5), kind)
            for size in ((3 * H, I), (3 * H, H), 3 * H, 3 * H)]


def tolerance(I, H, kind):
    """As gru_bench derives it (bench/problem.c)."""
    f32 = 4 * (16 + (I + H) ** 0.5) * 2.0 ** -24
    return f32 + 4 * max(1, ((I + H) / (2 * H)) ** 0.5) * UNITS.get(kind, 0)


def truth(x, numbers):
    """The first steps of y in double precision, reset after, from a state of zeros."""
    W, R, bW, bR = (a.astype("f8") for a in numbers)
    H, h, y = R.shape[1], numpy.zeros((x.shape[1], R.shape[1])), []
    for step in x[:3].astype("f8"):
        a, c = step @ W.T + bW, h @ R.T + bR
        r, z = (1 / (1 + numpy.exp(-(a + c)[:, g * H:(g + 1) * H])) for g in (0, 1))
        h = (1 - z) * numpy.tanh(a[:, 2 * H:] + r * c[:, 2 * H:]) + z * h
        y.append(h)
    return numpy.stack(y)


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
    answer = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False)
    return answer.stdout.strip()


def arguments(description, extend):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shape", default="default", help="default, quick, all or names of shapes.def")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each shape")
    parser.add_argument("--json", help="file to append to")
    parser.set_defaults(type="f32", device="cpu", machine=processor())
    extend(parser)
    return parser.parse_args()


def check(name, shape, x, numbers, y, kind):
    error = float(abs(y[:3] - truth(x, numbers)).max())
    if not error <= tolerance(x.shape[2], y.shape[2], kind):
        sys.exit(f"{name} in {shape} differs from the equations by {error:.3g}: not timed")


def json_line(name, version, shape, sizes, options, samples):
    T, whole_T, N, I, H = sizes
    median = statistics.median(samples)
    return {"name": name, "kind": "peer", "shape": shape, "T": T, "whole_T": whole_T, "N": N, "I": I, "H": H,
            "threads": options.threads, "stage": "forward", "reset": "after", "type": options.type, "cold": False,
            "samples": len(samples), "median_us": median * 1e6, "min_us": min(samples) * 1e6,
            "us_per_step": median * 1e6 / T, "gflops": 6e-9 * H * (I + H) * N * T / median,
            "device": "cpu" if options.device == "cpu" else "gpu", "machine": options.machine,
            "compiler": f"Python {sys.version.split()[0]}", "version": version, "commit": commit(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}


def main(name, version, make, extend=lambda parser: None, prepare=lambda options: None):
    """extend(parser) adds options of the module's own; prepare(options) may set options.name and options.machine."""
    options = arguments(f"Times {name} on the shapes of gru_bench.", extend)
    options.name = name
    prepare(options)
    out, chosen = open(options.json, "a", encoding="utf-8") if options.json else None, shapes(options.shape)
    if not chosen:
        sys.exit(f"no shape is called {options.shape}")
    print(f"{options.name} {version}, {options.type}, {options.threads} threads, {options.machine}")
    for shape, *sizes in chosen:
        T, whole_T, N, I, H = sizes
        numbers = weights(I, H, options.type)
        x = rounded(numpy.random.default_rng(2).uniform(-1, 1, (T, N, I)).astype("f4"), options.type)
        run, outputs, wait = make(x, numbers, options)
        run()
        check(options.name, shape, x, numbers, outputs(), options.type)
        line = json_line(options.name, version, shape, sizes, options, measure(run, wait, options.seconds))
        print(f"{shape:22} T{T}{'*' * (T < whole_T)} N{N} I{I} H{H}".ljust(48),
              f"{line['median_us']:12.2f} us {line['min_us']:12.2f} us {line['gflops']:8.2f} GFLOP/s", flush=True)
        if out:
            out.write(json.dumps(line) + "\n")
            out.flush()
