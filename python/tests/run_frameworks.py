#!/usr/bin/env python3
"""Runs the converter's long tests: models made by the real packages. run_frameworks.py [RUNNER]     as run.py"""
import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    if len(sys.argv) > 1:
        os.environ["GRU_RUNNER"] = str(Path(sys.argv[1]).resolve())
    sys.path.insert(0, str(HERE))
    loader = unittest.defaultTestLoader
    result = unittest.TextTestRunner(verbosity=2).run(loader.discover(str(HERE), "framework_*.py"))
    return 0 if result.wasSuccessful() and not result.skipped else 1


if __name__ == "__main__":
    sys.exit(main())
