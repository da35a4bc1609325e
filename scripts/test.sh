#!/usr/bin/env bash
# Installs what is missing, builds everything in build/ and runs the whole test suite. As root, or with sudo for what has
# to be installed; a second call needs no network.
# usage: scripts/test.sh [ARGUMENT OF CTEST...]      such as -R stack, or -V
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

need_packages gcc g++ libc6-dev cmake ninja-build pkg-config libcriterion-dev libcjson-dev libdnnl-dev libopenblas-dev \
    wamerican python3 python3-numpy python3-venv

generator=()
[ -f build/CMakeCache.txt ] || generator=(-G Ninja)
say "building"
mkdir -p build
log=build/build.log
if ! { cmake -S . -B build "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DGRU_TESTS=ON -DGRU_BENCH=ON -DGRU_EXAMPLES=ON &&
    cmake --build build --parallel "$(nproc)"; } >"$log" 2>&1; then
    cat "$log" >&2
    fail "the build failed"
    exit 1
fi

say "testing"
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"
