#!/usr/bin/env bash
# Runs kernels as the PTX that nvcc makes of them in the emulator (docs/emulator.md), under its checker, in build-ptx.
# usage: scripts/check_ptx.sh ARCHITECTURE...      of 80 90a: all kernels and programs with three seeds, and planted faults
#        scripts/check_ptx.sh --turn ARCHITECTURE  one family of tests/cuda/ptx_families.txt, by GRU_EMU_SEED
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
use_ccache
seed_of_commit
family=
if [ "${1:-}" = --turn ]; then
    shift
    mapfile -t families < <(sed -nE 's/^([a-z]+) \|.*/\1/p' tests/cuda/ptx_families.txt)
    family=${families[GRU_EMU_SEED / 2 % ${#families[@]}]}    # of odd and even seeds, which choose the architecture
fi
[ $# -gt 0 ] || fail "which architecture?"
builds=$(printf '%s;' "$@")

command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || { echo "there is no nvcc here"; exit 77; }
quietly build-ptx/configure.log cmake -S . -B build-ptx -G Ninja -DCMAKE_BUILD_TYPE=Release -DGRU_TESTS=ON -DGRU_BENCH=OFF \
    -DGRU_EXAMPLES=OFF -DGRU_CUDA=OFF "-DGRU_PTX=${builds%;}" "-DGRU_PTX_FAMILY=$family"
quietly build-ptx/build.log cmake --build build-ptx --parallel "$(nproc)" --target ptx_tests
find build-ptx -path "*/ran_ptx*" -type f -delete    # of an earlier run
test() {
    ctest --test-dir build-ptx --no-tests=error --parallel "$(nproc)" --timeout 900 --output-on-failure -L ptx "$@"
}
if [ "$family" ]; then
    test -LE full
    echo "kernels of family $family ran as PTX for $1"
else
    for seed in 1 2 3; do GRU_EMU_SEED=$seed test -LE full; done
    test -L full -FS '.*'    # whether each kernel ran, and planted faults
    echo "all kernels ran as PTX for $*"
fi
