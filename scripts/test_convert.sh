#!/usr/bin/env bash
# Tests the converter with the packages whose files it reads: makes a Python environment with them (2.5 GB, some minutes the
# first time), builds models of many kinds, converts them, and compares the numbers. The short tests run too, and more of them.
# usage: scripts/test_convert.sh [RUNNER]      RUNNER: tests/clients/run_file.c as built, to load each result with the library
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

environment=build-convert-venv
python=$(venv "$environment" uv) || exit 77    # no network: nothing was tested
say "installing the packages in $environment, unless they are there"
uv_install "$environment" numpy h5py onnx onnxscript onnxruntime keras tf_keras tensorflow-cpu safetensors mypy || exit 77
torch_without_cuda "$environment" || exit 77

say "types"
(cd python && "../$environment/bin/mypy")
say "short tests, with every package"
"$python" python/tests/run.py "$@"
say "models of the real packages"
"$python" python/tests/run_frameworks.py "$@"
