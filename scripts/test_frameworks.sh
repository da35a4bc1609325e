#!/usr/bin/env bash
# Installs the Python package and the frameworks in an environment (3 GB, some minutes the first time), and tests the package in
# each of them. PyTorch gets empty stand-ins for CUDA's libraries.
# usage: scripts/test_frameworks.sh [TEST...]      TEST: such as test_torch_values or test_onnx_runtime.Values
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

environment=build-frameworks-venv
python=$(venv "$environment" uv) || exit 77    # no network: nothing was tested
torch_without_cuda "$environment" || exit 77
uv_install "$environment" onnx onnxruntime jax flax keras safetensors pytest expecttest || exit 77
say "installing the package"
use_ccache
need_packages gcc g++ libc6-dev festlex-cmu >&2
torch=$("$python" -c 'import torch; print(torch.__path__[0])')    # for the extension that makes small calls faster
CMAKE_ARGS="-DGRU_CUDA=OFF -DLIBGRU_TORCH=$torch" uv_install "$environment" --reinstall-package libgru ./python

say "testing in $(uv_versions "$environment" torch onnxruntime jax flax keras)"
cd python/tests/frameworks
if [ $# -gt 0 ]; then
    "../../../$python" -m unittest "$@"
else
    "../../../$python" -m unittest discover -p 'test_*.py'
fi
cd ../../..
for example in examples/frameworks/*.py; do
    [[ $example != *_ddp.py ]] || continue    # test_torch_g2p runs it, in two processes
    say "$example"
    OMP_NUM_THREADS=1 "$python" "$example"    # torch.get_num_threads(): two threads wait for each other on a busy machine
done
