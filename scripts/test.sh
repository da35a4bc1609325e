#!/usr/bin/env bash
# Installs what is missing, builds everything in build/ and runs the test suite: the short tier, or with --full the long one
# (TESTING.md). As root, or with sudo for what has to be installed; a second call needs no network.
# usage: scripts/test.sh [--full] [ARGUMENT OF CTEST...]      such as -R stack, or -V
#        scripts/test.sh --frameworks [TEST...]               the Python package in the frameworks: scripts/test_frameworks.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
if [ "${1:-}" = --frameworks ]; then
    shift
    exec scripts/test_frameworks.sh "$@"
fi
seed_of_commit
targets=(all)
tier=(-LE "^(full|turn_[^$((GRU_EMU_SEED % 4))])\$")    # of the tests that take turns those of this commit
if [ "${1:-}" = --full ]; then
    tier=() targets=(all full_tests)
    shift
    need_packages libeigen3-dev    # a peer of the benchmark, which takes the compiler half a minute
fi

need_packages gcc g++ libc6-dev cmake ninja-build ccache pkg-config libcriterion-dev libdnnl-dev \
    libopenblas-dev wamerican festlex-cmu procps
python=$(venv .venv numpy h5py onnx)

say "building"
use_ccache
options=(-DCMAKE_BUILD_TYPE=Release -DGRU_TESTS=ON -DGRU_BENCH=ON -DGRU_EXAMPLES=ON)
[ -f build/CMakeCache.txt ] || options+=(-G Ninja "$(cuda_option)")
quietly build/configure.log cmake -S . -B build "${options[@]}"
quietly build/build.log cmake --build build --parallel "$(nproc)" --target "${targets[@]}"
"$python" apps/g2p/fetch_model.py

say "testing; seed of the emulated tests: GRU_EMU_SEED=$GRU_EMU_SEED"
# One more test than there are processors: some wait for others, as in tests/gpu_check.
ctest --test-dir build --output-on-failure --no-tests=error --parallel $(($(nproc) + 1)) "${tier[@]}" "$@"
