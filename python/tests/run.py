#!/usr/bin/env python3
"""Runs the short tests of the Python package, which need only numpy.

    run.py [RUNNER]               the converter's; RUNNER: tests/clients/run_file.c as built, to load each result
    run.py --package LIBRARY      the package's; LIBRARY: libgru.so as built

Ends with 77, a skipped test, where numpy is missing. Tests of Keras and ONNX files skip themselves where h5py or onnx is
missing, and are counted.
"""
import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    try:
        import numpy  # noqa: F401
    except ImportError:
        print("numpy is missing (Debian: python3-numpy)")
        return 77
    folder = HERE
    if sys.argv[1:2] == ["--package"]:
        folder = HERE / "package"
        os.environ["LIBGRU_LIBRARY"] = str(Path(sys.argv[2]).resolve())
    elif len(sys.argv) > 1:
        os.environ["GRU_RUNNER"] = str(Path(sys.argv[1]).resolve())
    sys.path.insert(0, str(folder))
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.discover(str(folder), "test_*.py"))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
