#!/usr/bin/env bash
# Everything that only a machine with a GPU can say: builds, runs all tests there, lets compute-sanitizer look on, benches the
# engines beside cuDNN and PyTorch, and measures the GPU itself. Writes bench/results/GPU/: tables, JSON lines, pictures, logs.
# A stage that fails or outlasts its limit does not stop the others. Status 0: every stage passed or had nothing to run.
#
# usage: scripts/gpu_check.sh [OPTION]...
#   --build DIR          take this build, made elsewhere, instead of building here: cmake --preset gpu makes one that needs
#                        nothing but a driver and CUDA's libraries
#   --only STAGE,..      device build tests memcheck racecheck initcheck synccheck machine f32 tf32 f16 bf16 steps training
#                        torch picture; without it all
#   --seconds S          of the benchmark, for each shape; without it 1
#   --dry-run            prints what would run; needs no GPU
set -uo pipefail
cd "$(dirname "$0")/.." || exit

build='' only='' seconds=1 dry=''
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a folder} && shift ;;
    --only) only=,${2:?--only needs stages}, && shift ;;
    --seconds) seconds=${2:?--seconds needs a number} && shift ;;
    --dry-run) dry=yes ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
    esac
    shift
done

if [ -z "$dry" ] && ! nvidia-smi -L >/dev/null 2>&1 && [ ! -e /proc/driver/nvidia/version ]; then
    echo "gpu_check.sh: there is no NVIDIA GPU with a driver here; --dry-run prints what would run"
    exit 1
fi
made_here=''
if [ -z "$build" ]; then
    build=$PWD/build-gpu
    made_here=yes
fi
[ "${build:0:1}" = / ] || build=$PWD/$build
bench=$build/bench/gru_bench

# ---- where things are -----------------------------------------------------------------------------------------------

gpu_name() { nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1; }
name=$(gpu_name | tr '[:upper:] /' '[:lower:]--' | tr -cd 'a-z0-9-')
out=bench/results/${name:-gpu}
logs=$out/logs

# CUDA's libraries may lie in the toolkit or beside a Python that has them; the build's own come first.
cuda_folders() {
    python3 - 2>/dev/null <<'PYTHON'
import glob, os, sysconfig
found = glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "**", "lib"), recursive=True)
print(":".join(found))
PYTHON
}
LD_LIBRARY_PATH=$build:${LD_LIBRARY_PATH:-}:/usr/local/cuda/lib64:$(cuda_folders)
export LD_LIBRARY_PATH

sanitizer() {
    local place
    for place in "$(command -v compute-sanitizer)" /usr/local/cuda/{bin,compute-sanitizer}/compute-sanitizer \
        /opt/nvidia/*/compute-sanitizer/compute-sanitizer; do
        [ ! -x "$place" ] || { echo "$place" && return; }
    done
}

# Names of this build's CUDA engines, joined by commas.
cuda_engines() {
    if [ -n "$dry" ] && [ ! -x "$bench" ]; then
        echo CUDA_ENGINES
        return
    fi
    "$bench" --engine help 2>&1 | tr ' ' '\n' | grep '^cuda_' | paste -sd, -
}

# ---- stages ---------------------------------------------------------------------------------------------------------

results=() # "STATUS SECONDS NAME LAST-LINE"
deadline=0

# run COMMAND...: until the stage's deadline.
run() {
    if [ -n "$dry" ]; then
        printf '   '
        printf ' %q' "$@"
        printf '\n'
        return 0
    fi
    local left=$((deadline - SECONDS))
    [ $left -gt 0 ] || { echo "no time left for $*" && return 124; }
    timeout --kill-after=10 $left "$@"
}

# nothing REASON: ends a stage that has nothing to run here.
nothing() {
    echo "$*"
    exit 77
}

# stage NAME LIMIT FUNCTION ARGUMENT...: LIMIT in seconds. The last line of what it prints says what it did.
stage() {
    local name=$1 limit=$2 start=$SECONDS status word last
    shift 2
    [ -z "$only" ] || [[ $only == *,$name,* ]] || return 0
    deadline=$((SECONDS + limit))
    if [ -n "$dry" ]; then
        echo "$name, $limit s at most:"
        ("$@")
        return 0
    fi
    echo "== $name"
    ("$@") >"$logs/$name.txt" 2>&1
    status=$?
    last=$(grep -v '^[[:space:]]*$' "$logs/$name.txt" | tail -n 1 | cut -c 1-90)
    case $status in
    0) word=ok ;;
    77) word=skipped ;;
    124 | 137) word=TIMEOUT ;;
    *) word=FAILED ;;
    esac
    [ $word = ok ] || tail -n 20 "$logs/$name.txt"
    results+=("$(printf '%-8s %5d s  %-10s %s' $word $((SECONDS - start)) "$name" "$last")")
}

device() {
    run nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,compute_mode --format=csv || return
    run cat /proc/driver/nvidia/version
    echo "commit $(git rev-parse HEAD 2>/dev/null || echo unknown)"
    [ -n "$dry" ] || cp "$logs/device.txt" "$out/device.txt"
}

build_here() {
    [ -n "$made_here" ] || nothing "built elsewhere: $build"
    run cmake --preset gpu && run cmake --build "$build" --parallel "$(nproc)"
}

# Each program by itself, so that one that dies does not take the others along.
all_tests() {
    local program status=0 count=0
    for program in "$build"/tests/test_* "$build"/tests/cuda/device_* "$build"/bench/test_bench "$build"/tests/client_*; do
        if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
        [[ $program != */client_ragged ]] || continue # needs a file as its argument, and the part that reads files
        count=$((count + 1))
        echo "-- ${program##*/}"
        run "$program" || { echo "FAILED ${program##*/}" && status=1; }
    done
    echo "$count test programs"
    [ -n "$dry" ] || { [ $count -gt 0 ] && [ $status = 0 ]; }
}

# Small shapes of every kind: rows and units that fill no tile, one step, the state alone.
under_sanitizer() { # TOOL
    local tool engines
    tool=$(sanitizer)
    [ -n "$tool" ] || [ -z "$dry" ] || tool=compute-sanitizer
    [ -n "$tool" ] || nothing "compute-sanitizer is not here"
    engines=$(cuda_engines)
    [ -n "$engines" ] || { echo "this build has no CUDA engine" && exit 1; }
    local small=(--check --engine "$engines" --shape "T3,N3,I17,H33/T2,N9,I64,H64/T4,N1,I5,H130"
        --type "f32,tf32,f16,bf16" --stage "forward,train,both,recurrence,streaming" --threads 1)
    local watch=("$tool" --tool "$1" --error-exitcode 9 --print-limit 20)
    run "${watch[@]}" "$bench" "${small[@]}" && run "${watch[@]}" "$bench" "${small[@]}" --reset before &&
        run "${watch[@]}" "$bench" --gpu-probe --check
}

machine() {
    [ -n "$dry" ] || rm -f "$out/gpu_probe.json"
    run "$bench" --gpu-probe --json "$out/gpu_probe.json"
    local status=$?
    [ -n "$dry" ] || cp "$logs/machine.txt" "$out/machine.txt"
    return $status
}

engines_beside_peers() { # NAME OPTION...
    local name=$1
    shift
    [ -n "$dry" ] || rm -f "$out/$name.json"
    run "$bench" --peers --seconds "$seconds" --json "$out/$name.json" "$@"
    local status=$?
    [ -n "$dry" ] || cp "$logs/$name.txt" "$out/$name.txt"
    return $status
}

trained=S3_b8_h256,S3_b8_h512,S3_b8_h1024,S3_b32_h256,S3_b32_h512,S3_b32_h1024,S3_b64_h256,S3_b64_h512,S3_b64_h1024

torch() {
    local kind graph
    if [ -z "$dry" ] && ! python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        nothing "there is no PyTorch that sees a GPU"
    fi
    [ -n "$dry" ] || rm -f "$out/torch.json"
    for kind in f32 tf32 f16 bf16; do
        for graph in '' --graph; do
            run python3 bench/peers/peer_torch.py --device cuda --type $kind $graph --seconds "$seconds" \
                --json "$out/torch.json" || return
        done
        run python3 bench/peers/peer_torch.py --device cuda --type $kind --stage both --shape $trained \
            --seconds "$seconds" --json "$out/torch.json" || return
    done
}

picture() {
    local kind lines drawn=0
    for kind in f32 tf32 f16 bf16; do
        [ -n "$dry" ] || [ -s "$out/$kind.json" ] || continue
        lines=("$out/$kind.json")
        if [ -n "$dry" ] || [ -s "$out/torch.json" ]; then lines+=("$out/torch.json"); fi
        run bench/plot "${lines[@]}" --stage forward --type $kind -o "$out/$kind.svg" || return
        drawn=$((drawn + 1))
    done
    if [ -n "$dry" ] || [ -s "$out/training.json" ]; then
        run bench/plot "$out/training.json" --stage both --type bf16 -o "$out/training.svg" || return
        drawn=$((drawn + 1))
    fi
    [ $drawn -gt 0 ] || nothing "nothing was measured that could be drawn"
    echo "$drawn pictures"
}

[ -n "$dry" ] || mkdir -p "$logs"
many=$(nproc)
stage device 60 device
stage build 590 build_here
stage tests 590 all_tests
for tool in memcheck racecheck initcheck synccheck; do stage $tool 590 under_sanitizer $tool; done
stage machine 590 machine
stage f32 590 engines_beside_peers f32 --type f32 --threads "1,$((many > 64 ? 64 : many))"
for kind in tf32 f16 bf16; do stage $kind 590 engines_beside_peers $kind --type $kind --threads 1; done
stage steps 590 engines_beside_peers steps --type f32,tf32,f16,bf16 --threads 1 --stage recurrence,train \
    --shape S3_b8_h256,S3_b8_h1024,S3_b64_h512,S3_b64_h1024,S4_b128_h512
stage training 590 engines_beside_peers training --type f32,tf32,f16,bf16 --threads 1 --stage train,backward,both \
    --engine cuda_large_batch,cuda_fused_before,cuda_stepwise --shape $trained
stage torch 590 torch
stage picture 60 picture
[ -z "$dry" ] || exit 0

printf '%s\n' "${results[@]}" | tee "$out/stages.txt"
echo "wrote $out"
! grep -qE '^(FAILED|TIMEOUT)' "$out/stages.txt"
