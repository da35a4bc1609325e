#!/usr/bin/env bash
# run.sh [SECONDS]: builds the fuzzers with clang and the address and undefined-behaviour sanitizers, and runs them side by
# side for SECONDS (60). What they find lies in build-fuzz/findings; what they learn stays in build-fuzz/corpus for the next time.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/common.sh
seconds=${1:-60}
clang=${CLANG:-$(command -v clang-14 || command -v clang || true)}
if [ -z "$clang" ]; then
    echo "clang is missing (Debian: clang-14)"
    exit 1
fi

# -O1: the instrumented kernels take clang minutes at -O2
quietly build-fuzz/configure.log cmake -S . -B build-fuzz -DCMAKE_C_COMPILER="$clang" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_C_FLAGS=-O1 -DGRU_FUZZ=ON -DGRU_SANITIZE=fuzzer-no-link,address,undefined -DGRU_TESTS=OFF -DGRU_BENCH=OFF -DGRU_EXAMPLES=OFF
quietly build-fuzz/build.log cmake --build build-fuzz --parallel "$(nproc)"

mkdir -p build-fuzz/findings build-fuzz/corpus/fuzz_{safetensors,run}
# Two seeds, after the byte that says "header" and two with the size of the data: one layer, and two directions with words.
cell() { # SUFFIX BEGIN
    printf '"weight_ih_l0%s":{"dtype":"F32","shape":[3,2],"data_offsets":[%d,%d]},' "$1" "$2" $(($2 + 24))
    printf '"weight_hh_l0%s":{"dtype":"F32","shape":[3,1],"data_offsets":[%d,%d]}' "$1" $(($2 + 24)) $(($2 + 36))
}
{ printf '\x00\x24\x00{'; cell "" 0; printf '}'; } >build-fuzz/corpus/fuzz_safetensors/layer
{ printf '\x00\x48\x00{"__metadata__":{"gru.reset":"before"},'; cell "" 0; printf ','; cell _reverse 36; printf '}'; } \
    >build-fuzz/corpus/fuzz_safetensors/directions

fuzz() { # NAME
    local options=(-max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
                   -artifact_prefix="build-fuzz/findings/$1-")
    [ "$1" = fuzz_run ] || options+=(-dict=tests/fuzz/safetensors.dict)
    "build-fuzz/tests/fuzz/$1" "${options[@]}" "build-fuzz/corpus/$1" >"build-fuzz/$1.log" 2>&1
}
names=(fuzz_safetensors fuzz_run)
pids=()
for name in "${names[@]}"; do
    fuzz "$name" &
    pids+=($!)
done
failed=0
for i in "${!names[@]}"; do
    name=${names[i]}
    if ! wait "${pids[i]}"; then
        tail -n 60 "build-fuzz/$name.log"
        echo "$name failed"
        failed=1
        continue
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build-fuzz/$name.log")
    [ "${runs:-0}" -gt 100 ] || { echo "$name made only ${runs:-0} runs"; failed=1; continue; }
    echo "$name: $runs runs in $seconds seconds, nothing found"
done
exit $failed
