#!/usr/bin/env bash
# What only a machine with a GPU can say, within minutes: the device tests, the engines beside cuDNN, and the GPU itself.
# Writes three files, each longer after each part: summary.txt, log.txt, and rows.json with one line per measurement.
# A program that hangs is cut. Status 0: every part that ran passed.
#
# usage: scripts/gpu_check.sh [OPTION]...
#   --minutes M     5 (without it): libraries, tests, ten recurrences beside cuDNN, the GPU itself
#                   15: also PyTorch, training, compute-sanitizer on this library's kernels
#                   60: also the unit tests on all engines, and all shapes of the benchmark
#   --build DIR     a build that scripts/gpu_pack.sh made elsewhere; without it build-gpu
#   --out DIR       where the three files go; without it bench/results/NAME-OF-GPU
#   --only PART,..  libraries tests recurrences machine torch training memcheck racecheck synccheck initcheck units shapes
#   --rehearse      without a GPU: small sizes, by the programs of a build that run in the emulator (--build build)
#   --dry-run       prints what would run; needs no GPU
set -uo pipefail
cd "$(dirname "$0")/.." || exit
source scripts/gpu_parts.sh

minutes=5 build=build-gpu out='' only='' rehearse='' dry=''
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=${2:?--minutes needs a number} && shift ;;
    --build) build=${2:?--build needs a folder} && shift ;;
    --out) out=${2:?--out needs a folder} && shift ;;
    --only) only=,${2:?--only needs parts}, && shift ;;
    --rehearse) rehearse=yes ;;
    --dry-run) dry=yes ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
    esac
    shift
done
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || { echo "gpu_check.sh: --minutes $minutes is no number of minutes"; exit 2; }
seconds=$(awk "BEGIN { print int($minutes * 60) }")
[ "${build:0:1}" = / ] || build=$PWD/$build

# ---- what runs, and where -------------------------------------------------------------------------------------------

ask_gpu() { timeout 20 nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }

on_gpu() {
    gpu=$(ask_gpu name,driver_version,memory.total,compute_cap)
    [ -n "$gpu" ] || gpu=$(head -n 1 /proc/driver/nvidia/version 2>/dev/null) # there is no nvidia-smi
    name=$(ask_gpu name | tr '[:upper:] /' '[:lower:]--' | tr -cd 'a-z0-9-')
    bench=$build/bench/gru_bench
    programs=("$build"/tests/cuda/device_*)
    cells=(T100,N{1,8,64},I512,H512 T100,N{1,8,64},I1024,H1024 T50,N{1,8,64},I2048,H2048 T100,N128,I512,H512)
    steps=S2_h512,S3_b8_h512,S3_b64_h512,S3_b8_h1024,S3_b64_h1024
}

in_emulator() {
    gpu=emulator name=rehearsal
    bench=$build/tests/cuda/emulated_bench
    programs=("$build"/tests/cuda/test_cuda_{engines,bits,dropout,weight_checksum,backward,backward_bits,backward_stack}_plain)
    cells=(T2,N{1,9},I8,H8 T2,N{1,9},I16,H16 T2,N{1,9},I24,H24 T2,N{1,9},I33,H33 T2,N{1,9},I40,H40)
    steps=T2,N9,I16,H16
}

# CUDA's libraries may lie in the toolkit or beside a Python that has them.
python_folders() {
    python3 -c 'import glob, os, sysconfig
print(":".join(glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "**", "lib"), recursive=True)))' 2>/dev/null
}
LD_LIBRARY_PATH=$build:${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64:$(python_folders)
export LD_LIBRARY_PATH

# ---- libraries ------------------------------------------------------------------------------------------------------

# Words of the build's programs that match, the last in the order of versions.
named_in_build() { grep -aohE "$1" "$bench" "${programs[@]}" 2>/dev/null | sort -Vu | tail -n 1; }

find_library() { # FILE
    local folder
    [ -n "$1" ] || { echo "the build names no such library" && return 1; }
    for folder in ${LD_LIBRARY_PATH//:/ } $(ldconfig -p 2>/dev/null | sed -n "s|.*=> \(.*\)/$1\$|\1|p"); do
        [ ! -e "$folder/$1" ] || { echo "$folder/$1" && return; }
    done
    echo "$1 is missing: looked in $LD_LIBRARY_PATH and where ldconfig knows"
    return 1
}

# Everything that is missing is named, before anything runs.
libraries() {
    local program status=0 need have cap
    [ -z "$dry" ] || { echo "    the files of $build, glibc, cuBLASLt, cuDNN, compute capability" && return 0; }
    echo "$gpu"
    cat "$build/contents.txt" 2>/dev/null || echo "$build has no contents.txt: not made by scripts/gpu_pack.sh"
    for program in "$bench" "${programs[@]}"; do
        [ -x "$program" ] || { echo "MISSING: $program" && status=1 && continue; }
        ! ldd "$program" | grep 'not found' || status=1
    done
    need=$(named_in_build 'GLIBC_[0-9]+\.[0-9]+') have=$(getconf GNU_LIBC_VERSION)
    [ "$(printf '%s\n' "${need#GLIBC_}" "${have#glibc }" | sort -V | tail -n 1)" = "${have#glibc }" ] ||
        { echo "the build needs glibc ${need#GLIBC_}, and this machine has $have" && status=1; }
    if [ -z "$rehearse" ]; then
        find_library "$(named_in_build 'libcublasLt\.so\.[0-9]+')" || status=1
        find_library "$(named_in_build 'libcudnn\.so\.[0-9]+' | grep . || echo libcudnn.so.9)" || echo "so nothing is compared with cuDNN"
        cap=$(ask_gpu compute_cap | tr -d .)
        grep -qs "^architectures.*\b$cap" "$build/contents.txt" || { echo "not built for compute capability $cap" && status=1; }
    fi
    [ -n "$engines" ] || { echo "this build has no CUDA engine" && status=1; }
    [ $status = 0 ] && echo "glibc ${have#glibc }, ${#programs[@]} test programs, $engines"
}

# ---- measurements ---------------------------------------------------------------------------------------------------

beside_peers() { # SECONDS OPTION...
    run_within "$1" "$bench" --peers --engine "$engines" --threads 1 --json "$out/rows.json" "${@:2}"
}

# A process for each cell: one that hangs takes no other along.
recurrences() {
    local cell status worst=0 done=0
    for cell in "${cells[@]}"; do
        beside_peers $(((limit + 4) / 5)) --stage recurrence --type bf16,f32 --seconds 1 --shape "$cell"
        status=$?
        if [ $status = 0 ]; then done=$((done + 1)); else echo "FAILED: $cell, status $status"; fi
        [ $worst != 0 ] || worst=$status
    done
    echo "$done of ${#cells[@]} shapes"
    return $worst
}

machine() {
    if [ -n "$rehearse" ]; then run "$build/emulator/emu_gpu_probe_plain" 1; else run "$bench" --gpu-probe --json "$out/rows.json"; fi
}

training() { beside_peers $limit --stage both --type bf16,f32 --seconds 1 --shape "$steps"; }

torch() {
    local type graph
    [ -n "$dry" ] || python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null ||
        { echo "there is no PyTorch that sees a GPU" && return 77; }
    beside_peers $((limit / 2)) --stage forward --type bf16,f32 --seconds 1 --shape "$steps" || return
    for type in bf16 f32; do
        for graph in '' --graph; do
            # shellcheck disable=SC2086
            run python3 bench/peers/peer_torch.py --device cuda --type $type $graph --seconds 0.5 --shape $steps \
                --json "$out/rows.json" || return
        done
        run python3 bench/peers/peer_torch.py --device cuda --type $type --stage both --seconds 0.5 --shape "$steps" \
            --json "$out/rows.json" || return
    done
    echo "PyTorch: forward, as a graph, and with autograd"
}

# Small shapes: rows and units that fill no tile, one step, the state alone. Only names with that of a source file cuda_*.cu are watched, so none of cuBLASLt.
under_sanitizer() { # TOOL
    local place tool=''
    for place in "$(command -v compute-sanitizer)" /usr/local/cuda/{bin,compute-sanitizer}/compute-sanitizer \
        /opt/nvidia/*/compute-sanitizer/compute-sanitizer; do
        [ -n "$tool" ] || [ ! -x "$place" ] || tool=$place
    done
    [ -n "$tool$dry" ] || { echo "compute-sanitizer is not here" && return 77; }
    local watched=("${tool:-compute-sanitizer}" --tool "$1" --error-exitcode 9 --print-limit 20 --kernel-name kns=_cuda_)
    local small=(--check --engine "$engines" --shape T3,N3,I17,H33/T2,N9,I64,H64/T4,N1,I5,H130 --threads 1
        --type f32,tf32,f16,bf16 --stage forward,both)
    run "${watched[@]}" "$bench" "${small[@]}" && run "${watched[@]}" "$bench" "${small[@]}" --reset before
}

units() {
    local all=("$build"/tests/test_*)
    [ -n "$dry" ] || [ -x "${all[0]}" ] || { echo "this build has no unit tests" && return 77; }
    run_beside 2 "${all[@]}"
}

shapes() { beside_peers $limit --stage forward,both --type f32,tf32,f16,bf16; }

# ---- the summary ----------------------------------------------------------------------------------------------------

summary() {
    echo "$gpu; --minutes $minutes; $(date -u +%Y-%m-%dT%H:%MZ)"
    printf '%s\n' "${results[@]}"
    awk -f scripts/gpu_summary.awk "$out/log.txt" "$out/rows.json"
}

# ---- all parts, in the order of what a short lease must bring --------------------------------------------------------

if [ -n "$rehearse" ]; then in_emulator; else on_gpu; fi
engines=$(timeout 20 "$bench" --engine help 2>&1 | tr ' ' '\n' | grep '^cuda_' | paste -sd, -)
if [ -z "$gpu$dry" ]; then
    echo "gpu_check.sh: there is no NVIDIA GPU with a driver here; --dry-run prints what would run, --rehearse runs it without"
    exit 1
fi
begin_parts "${out:-bench/results/${name:-gpu}}" "$seconds"
many=$(($(nproc) < 8 ? $(nproc) : 8))
long=$((seconds >= 900))
part libraries 7 libraries || [ -n "$dry$only" ] || { cat "$out/summary.txt" && exit 1; }
part tests $((long ? 15 : 45)) run_beside "$many" "${programs[@]}"
part recurrences $((long ? 15 : 45)) recurrences
part machine $((long ? 20 : 100)) machine
if [ $long = 1 ]; then
    part torch 15 torch
    part training 12 training
    for tool in memcheck racecheck synccheck initcheck; do part $tool 10 under_sanitizer $tool; done
fi
if [ "$seconds" -ge 3600 ]; then
    part units 25 units
    part shapes 25 shapes
fi
[ -z "$dry" ] || exit 0

summary | tee "$out/summary.txt"
echo "wrote $out"
! printf '%s\n' "${results[@]}" | grep -qE '^(FAILED|CUT)'
