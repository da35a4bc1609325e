"""libgru beside the GRUs of PyTorch, flax and ONNX Runtime: each case in one process, in turns.

    python bench/frameworks [torch] [jax] [onnxruntime] [--threads 1] [--rounds 15] [--json RESULTS.json] [--plot PICTURE.svg]

Prints a table with the time of a call, the median and the least of all turns, and its part of the incumbent's: processor time on one
thread, so that other programs disturb less, else the clock's. Outputs are compared before they are timed. Needs libgru and the frameworks.
"""
import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

import libgru
from picture import draw
from turns import clock_of, measure

COLUMNS = ("pass", "T", "N", "H", "candidate", "us", "least us", "part", "least part")


def lines_of(framework: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    lines = []
    module = importlib.import_module(f"with_{framework}")
    layer = libgru.Layer(np.zeros((6, 2), np.float32), np.zeros((6, 2), np.float32))
    print(f"\n{module.title()}, libgru on {layer.engine()}, threads: {threads}\n")
    print("| " + " | ".join(COLUMNS) + " |\n|---|--:|--:|--:|---" + "|--:" * 4 + "|")
    for case in module.cases(threads):
        found = measure(case.calls, rounds, clock_of(threads))
        first = next(iter(found.values()))
        for name, time in found.items():
            line = {"framework": module.title(), "threads": threads, "pass": case.what, "T": case.T, "N": case.N, "H": case.H,
                    "candidate": name, "us": round(time.median * 1e6, 2), "least us": round(time.least * 1e6, 2),
                    "part": round(time.median / first.median, 3), "least part": round(time.least / first.least, 3)}
            lines.append(line)
            print("| " + " | ".join(str(line[key]) for key in COLUMNS) + " |", flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frameworks", nargs="*", default=["torch", "jax", "onnxruntime"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    lines = [line for framework in options.frameworks for line in lines_of(framework, options.threads, options.rounds)]
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if options.plot:
        options.plot.write_text(draw(lines))


if __name__ == "__main__":
    main()
