#!/usr/bin/env bash
# Tests the converter with the packages whose files it reads: makes a Python environment with them (2.5 GB, some minutes the
# first time), builds models of many kinds, converts them, and compares the numbers. The short tests run too, and more of them.
# usage: scripts/test_convert.sh [RUNNER]      RUNNER: tests/clients/run_file.c as built, to load each result with the library
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

environment=build-convert-venv
python=$(venv "$environment" uv) || exit 77    # no network: nothing was tested
install() { "$environment/bin/uv" pip install --quiet --python "$python" "$@" >&2 || exit 77; }
say "installing the packages in $environment, unless they are there"
install numpy h5py onnx onnxscript onnxruntime keras tf_keras tensorflow-cpu safetensors mypy \
    filelock sympy networkx jinja2 fsspec
if ! "$python" -c 'import torch' 2>/dev/null; then
    # PyPI's torch is linked with CUDA's libraries, 3 GB that no GRU on a CPU needs: empty ones take their place.
    install --no-deps torch
    need_packages gcc binutils >&2
    "$python" python/tests/cuda_stand_ins.py >&2
fi

say "types"
(cd python && "../$environment/bin/mypy")
say "short tests, with every package"
"$python" python/tests/run.py "$@"
say "models of the real packages"
"$python" python/tests/run_frameworks.py "$@"
