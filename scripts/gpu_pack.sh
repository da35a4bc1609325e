#!/usr/bin/env bash
# Makes the archive that scripts/gpu_check.sh needs on a machine with a GPU: builds preset gpu here, without a GPU, and packs the
# test programs, the benchmark and the scripts. At most 16 MB.
#
#     scripts/gpu_pack.sh gru-gpu.tar.xz                     here
#     tar xf gru-gpu.tar.xz && gru-gpu/scripts/gpu_check.sh --minutes 5      there
#
# usage: scripts/gpu_pack.sh [--architectures LIST] FILE     LIST: without it 90a-real (H100, H200); parted by ';'
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

architectures=90a-real limit=$((16 * 1000 * 1000))
if [ "${1:-}" = --architectures ]; then
    architectures=${2:?--architectures needs a list}
    shift 2
fi
[ $# = 1 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2; }
file=$(realpath "$1")

cmake --preset gpu "-DCMAKE_CUDA_ARCHITECTURES=$architectures" >&2
cmake --build --preset gpu --target gpu_check --parallel "$(nproc)" >&2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/gru-gpu
mkdir -p "$root"/{scripts,bench/peers} "$root"/build-gpu/{bench,tests/cuda}
cp scripts/gpu_check.sh scripts/gpu_parts.sh scripts/gpu_summary.awk "$root/scripts"
cp bench/bench_shapes.def "$root/bench"
cp bench/peers/common.py bench/peers/peer_torch.py "$root/bench/peers"
strip -o "$root/build-gpu/bench/gru_bench" build-gpu/bench/gru_bench
for program in build-gpu/tests/cuda/device_*; do
    [ ! -x "$program" ] || strip -o "$root/build-gpu/tests/cuda/${program##*/}" "$program"
done
{
    echo "commit $(git describe --always --dirty 2>/dev/null || echo unknown)"
    echo "architectures $architectures"
    echo "built by $(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' build-gpu/CMakeCache.txt), $(getconf GNU_LIBC_VERSION)"
} >"$root/build-gpu/contents.txt"
XZ_OPT=-9 tar -C "$scratch" -cJf "$file" gru-gpu

bytes=$(stat --format=%s "$file")
[ "$bytes" -le $limit ] || { fail "$file has $bytes bytes, limit $limit: name fewer --architectures"; exit 1; }
echo "$file: $bytes bytes, $(find "$root/build-gpu/tests" -name 'device_*' | wc -l) test programs, for $architectures"
