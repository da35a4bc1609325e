"""common.py: shapes, weights, timing and JSON lines for the peers that only speak Python.

A module gives main() a name and make(shape, weights, threads) -> (run, outputs): run() computes one forward pass,
outputs() gives y [T][N][H] of the latest run. The answer is compared with numpy in double precision before it is timed.
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
LIMITS = {"default": 1e10, "quick": 1e9}  # operations in one run above which T is cut, as gru_bench does


def shapes(wanted):
    """-> [(name, T, whole T, N, I, H)]: names of shapes.def, default, quick or all."""
    pattern = re.compile(r"^SHAPE\((\w+), (\d+), (\d+), (\d+), (\d+), ([01])\)")
    with open(os.path.join(HERE, "..", "shapes.def"), encoding="utf-8") as file:
        known = [(m[1], *map(int, m.groups()[1:])) for m in map(pattern.match, file) if m]
    chosen = [s for s in known if wanted in ("all", "default") or (wanted == "quick" and s[5])
              or s[0] in wanted.split(",")]
    limit = LIMITS.get(wanted, float("inf"))
    return [(n, min(T, max(2, int(limit / (6 * H * (I + H) * N)))), T, N, I, H) for n, T, N, I, H, _ in chosen]


def weights(I, H):
    """Canonical order: W [3H][I], R [3H][H], bW, bR [3H], gates r, z, n."""
    random = numpy.random.default_rng(1)
    return [random.uniform(-1, 1, size).astype("f4") / numpy.float32(H ** 0.5)
            for size in ((3 * H, I), (3 * H, H), 3 * H, 3 * H)]


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


def sample(run, calls):
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def measure(run, seconds):
    """Samples of 0.2 ms at least, five of them at least, until seconds are over or there are 400."""
    once = min(sample(run, 1) for _ in range(3))
    calls, samples, end = int(2e-4 / once) + 1, [], time.perf_counter() + seconds
    while len(samples) < 5 or (time.perf_counter() < end and len(samples) < 400):
        samples.append(sample(run, calls))
    return samples


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def commit():
    answer = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False)
    return answer.stdout.strip()


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shape", default="default", help="default, quick, all or names of shapes.def")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each shape")
    parser.add_argument("--json", help="file to append to")
    return parser.parse_args()


def main(name, version, make):
    options = arguments(f"Times {name} on the shapes of gru_bench.")
    out, chosen = open(options.json, "a", encoding="utf-8") if options.json else None, shapes(options.shape)
    if not chosen:
        sys.exit(f"no shape is called {options.shape}")
    print(f"{name} {version}, {options.threads} threads, {processor()}")
    for shape, T, whole_T, N, I, H in chosen:
        numbers = weights(I, H)
        x = numpy.random.default_rng(2).uniform(-1, 1, (T, N, I)).astype("f4")
        run, outputs = make(x, numbers, options.threads)
        run()
        error = float(abs(outputs()[:3] - truth(x, numbers)).max())
        if not error <= 4 * (16 + (I + H) ** 0.5) * 2.0 ** -24:
            sys.exit(f"{name} in {shape} differs from the equations by {error:.3g}: not timed")
        samples = measure(run, options.seconds)
        median, flops = statistics.median(samples), 6.0 * H * (I + H) * N * T
        print(f"{shape:22} T{T}{'*' * (T < whole_T)} N{N} I{I} H{H}".ljust(48),
              f"{median * 1e6:12.2f} us {min(samples) * 1e6:12.2f} us {flops / median * 1e-9:8.2f} GFLOP/s", flush=True)
        if out:
            line = {"name": name, "kind": "peer", "shape": shape, "T": T, "whole_T": whole_T, "N": N, "I": I, "H": H,
                    "threads": options.threads, "stage": "forward", "reset": "after", "type": "f32", "cold": False,
                    "samples": len(samples), "median_us": median * 1e6, "min_us": min(samples) * 1e6,
                    "us_per_step": median * 1e6 / T, "gflops": flops / median * 1e-9, "machine": processor(),
                    "compiler": f"Python {sys.version.split()[0]}", "version": version, "commit": commit(),
                    "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
            out.write(json.dumps(line) + "\n")
            out.flush()
