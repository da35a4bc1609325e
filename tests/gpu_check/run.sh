#!/usr/bin/env bash
# Checks scripts/gpu_check.sh with programs that pass, fail, die and hang: what it counts, cuts and writes, and the numbers of its last
# lines. Needs no GPU. usage: tests/gpu_check/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build=$scratch/build
mkdir -p "$build"/{tests/cuda,emulator}

program() { # NAME: its script from standard input
    { echo '#!/bin/sh' && cat; } >"$build/$1"
    chmod +x "$build/$1"
}
for name in engines bits dropout weight_checksum; do
    program tests/cuda/test_cuda_${name}_plain <<<'echo "Tested: 5, passed: 4, failed: 0, skipped: 1"'
done
program tests/cuda/test_cuda_backward_plain <<<'echo "FAIL suite/name file.c:7: 1 is 2"
echo "Tested: 3, passed: 2, failed: 1, skipped: 0"
exit 1'
program tests/cuda/test_cuda_backward_bits_plain <<<'kill -SEGV $$'
program tests/cuda/test_cuda_backward_stack_plain <<<'trap "" TERM; sleep 1000 & wait; sleep 1000'
program emulator/emu_gpu_probe_plain <<<'echo probed'
# H 8: twice as fast as cuDNN; H 16: no cuDNN; H 24: wrong; H 33: hangs; H 40: slower, and PyTorch too.
program tests/cuda/emulated_bench <<'PROGRAM'
[ "$2" != help ] || { echo "there are cuda_large_batch cuda_stepwise cpu_avx2" && exit; }
while [ $# -gt 1 ]; do
    case $1 in --shape) shape=$2 ;; --json) json=$2 ;; esac
    shift
done
N=${shape#*,N} N=${N%%,*} H=${shape##*,H}
row() { echo "{\"name\": \"$1\", \"kind\": \"$2\", \"shape\": \"s\", \"T\": 2, \"N\": $N, \"I\": $H, \"H\": $H, \"stage\": \"recurrence\", \"type\": \"bf16\", \"us_per_step\": $3, \"device\": \"gpu\"}" >>"$json"; }
case $H in
8) row cuda_stepwise engine 3 && row "cuda_stepwise graph" engine 2 && row "cuDNN standard" peer 5 && row "cuDNN static" peer 4 ;;
16) row cuda_stepwise engine 3 ;;
24) echo WRONG && exit 1 ;;
33) sleep 1000 ;;
40) row cuda_large_batch engine 8 && row "cuDNN standard" peer 6 && row "PyTorch GPU" peer 20 ;;
esac
PROGRAM

fail() { echo "FAILED: $*" && cat "$scratch/said" && exit 1; }
expect() { grep -qE -- "$1" "$scratch/said" || fail "missing: $1"; }

status=0
start=$SECONDS
scripts/gpu_check.sh --rehearse --build "$build" --minutes 0.5 --out "$scratch/out" >"$scratch/said" 2>&1 || status=$?
[ $status = 1 ] || fail "status $status"
[ $((SECONDS - start)) -le 60 ] || fail "it took $((SECONDS - start)) s of 30"
expect '^ok .* libraries'
expect '^CUT .* tests'
expect '^FAILED .* recurrences +6 of 10 shapes'
expect '^(ok|CUT) .* machine'
expect '^tests: passed 18, failed 3, skipped 4; failed: test_cuda_backward_plain test_cuda_backward_bits_plain \(died, status 139\) test_cuda_backward_stack_plain \(cut\)$'
expect '^FAIL suite/name file.c:7: 1 is 2$'
expect '^recurrence  bf16     2    1     8     8     2.00     4.00    2.00x        -        -  cuda_stepwise graph, cuDNN static$'
expect '^recurrence  bf16     2    9    16    16     3.00        -        -        -        -  cuda_stepwise, $'
expect '^recurrence  bf16     2    9    40    40     8.00     6.00    0.75x    20.00    2.50x  cuda_large_batch, cuDNN standard$'
! grep -q 'bf16     2    1    24' "$scratch/said" || fail "a wrong cell has a number"
[ "$(tail -n 1 "$scratch/said")" = "wrote $scratch/out" ] || fail "the last line"
for file in summary.txt log.txt rows.json; do [ -s "$scratch/out/$file" ] || fail "no $file"; done
! pgrep -f "$build/tests" >/dev/null || fail "a program was left behind"

# What is missing is named before anything runs.
rm "$build/tests/cuda/test_cuda_bits_plain"
if scripts/gpu_check.sh --rehearse --build "$build" --minutes 0.5 --out "$scratch/out" >"$scratch/said" 2>&1; then fail "nothing was missed"; fi
expect "^MISSING: $build/tests/cuda/test_cuda_bits_plain$"
! grep -q '== tests' "$scratch/said" || fail "it went on without a program"

# Every peer finds the list of shapes.
if python3 -c 'import numpy' 2>/dev/null; then
    PYTHONPATH=bench/peers python3 -c 'import common; assert common.shapes("S2_h512") == [("S2_h512", 100, 100, 1, 512, 512)]'
fi
scripts/gpu_check.sh --dry-run --minutes 60 >"$scratch/said" || fail "the dry run"
for word in libraries tests recurrences machine torch training memcheck racecheck synccheck initcheck units shapes; do expect "^$word, [0-9]+ s"; done
echo "scripts/gpu_check.sh counts, cuts and writes as it says"
