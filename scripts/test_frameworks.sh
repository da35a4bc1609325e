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
uv_install "$environment" onnx onnxruntime jax flax keras safetensors pytest expecttest hypothesis || exit 77
say "installing the package"
use_ccache
need_packages gcc g++ libc6-dev festlex-cmu >&2
torch=$("$python" -c 'import torch; print(torch.__path__[0])')    # for the extension that makes small calls faster
CMAKE_ARGS="-DGRU_CUDA=OFF -DLIBGRU_TORCH=$torch" uv_install "$environment" --reinstall-package libgru ./python

scripts/fetch_torch_tests.sh "$environment/torch" || [ $? -eq 77 ]    # 77: they cannot be had here, and its test skips itself
[ ! -d "$environment/torch/test" ] || export TORCH_TESTS=$PWD/$environment/torch/test

say "testing in $(uv_versions "$environment" torch onnxruntime jax flax keras)"
# Each file in a process of its own, as many at once as there are processors, the longest first.
export OMP_NUM_THREADS=1 python=$PWD/$python    # torch.get_num_threads(): two threads wait for each other on a busy machine
export logs=$PWD/$environment/logs
mkdir -p "$logs"
run_file() {
    local log=$logs/$1.log
    if ! "$python" -W ignore -m unittest "$1" >"$log" 2>&1; then
        cat "$log"
        echo "FAILED $1"
        return 1
    fi
    echo "ok $1: $(grep '^Ran' "$log") $(tail -n 1 "$log")"
}
export -f run_file
if [ $# -gt 0 ]; then tests=("$@"); else
    mapfile -t tests < <(cd python/tests/frameworks && echo test_torch_files && ls test_*.py | sed -e 's/\.py$//' -e '/^test_torch_files$/d')
fi
(cd python/tests/frameworks && printf '%s\n' "${tests[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'run_file "$1"' - '{}')

for example in examples/frameworks/*.py; do
    [[ $example != *_ddp.py ]] || continue    # test_torch_g2p runs it, in two processes
    say "$example"
    "$python" "$example"
done

say "bench/frameworks"
"$python" -W ignore bench/frameworks --rounds 1 --json "$environment/speed.json" --plot "$environment/speed.svg" >/dev/null
