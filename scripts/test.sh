#!/usr/bin/env bash
# Installs what is missing, builds everything in build/ and runs the whole test suite. As root, or with sudo for what has
# to be installed; a second call needs no network.
# usage: scripts/test.sh [ARGUMENT OF CTEST...]      such as -R stack, or -V
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

need_packages gcc g++ libc6-dev cmake ninja-build pkg-config libcriterion-dev libcjson-dev libdnnl-dev libopenblas-dev \
    wamerican festlex-cmu
python=$(venv .venv numpy)

say "building"
options=(-DCMAKE_BUILD_TYPE=Release -DGRU_TESTS=ON -DGRU_BENCH=ON -DGRU_EXAMPLES=ON)
[ -f build/CMakeCache.txt ] || options+=(-G Ninja -DCMAKE_CUDA_ARCHITECTURES="$(cuda_architectures)")
quietly build/configure.log cmake -S . -B build "${options[@]}"
quietly build/build.log cmake --build build --parallel "$(nproc)"
"$python" apps/g2p/fetch_model.py

say "testing"
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"
