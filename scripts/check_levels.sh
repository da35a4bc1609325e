#!/usr/bin/env bash
# Checks who includes whom. A file may include files of its own level and of levels below it:
#
#   outside   bench, apps, examples, python, emulator     only include/ and their own folder
#   5         tests                                       everything, bench and emulator too
#   4         src/api, src/stack, src/import
#   3         src/registry                                the only file that knows which backends exist
#   2         src/cpu, src/cuda                           never each other
#   1         src/core                                    contracts between the levels
#   0         include/gru                                 <stddef.h> and <stdint.h> only
#
# Intrinsics only in src/cpu/cpu_kernels_*.c, CUDA's headers only in src/cuda, cJSON only in src/import.
# The emulator stands in for PTX: only cuda_ptx.cuh may include it. The emulator tests the library's PTX wrappers and the
# benchmark measures them: both may include cuda_ptx.cuh, and the emulator may include the benchmark's probes.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
includes=0
complain() {
    echo "$*"
    failed=1
}

# These two leave their answer in REPLY: a process for each of thousands of includes would take half a minute.
level() {
    case $1 in
    include/gru/*) REPLY=0 ;;
    src/core/*) REPLY=1 ;;
    src/cpu/* | src/cuda/*) REPLY=2 ;;
    src/registry.[ch]) REPLY=3 ;;
    src/api/* | src/stack/* | src/import/*) REPLY=4 ;;
    src/*) REPLY=none ;;
    tests/*) REPLY=5 ;;
    *) REPLY=6 ;;
    esac
}

# The file that #include "$2" in file $1 means: beside it, else in include/, src/, tests/ or emulator/; empty: none of this tree.
resolve() {
    local folder
    for folder in "${1%/*}" include src tests emulator; do
        REPLY=$folder/$2
        [ -f "$REPLY" ] || continue
        while [[ $REPLY =~ ^(|.*/)[^/.][^/]*/\.\./(.*)$ ]]; do REPLY=${BASH_REMATCH[1]}${BASH_REMATCH[2]}; done
        return
    done
    REPLY=
}

check_ours() { # FILE INCLUDED
    local from to
    level "$1"
    from=$REPLY
    level "$2"
    to=$REPLY
    if [[ "$1 $2" == "src/cuda/kernels/cuda_ptx.cuh emulator/"* || "$1 $2" == "bench/gpu_probe/"*" src/cuda/kernels/cuda_ptx.cuh" ||
        "$1 $2" == "emulator/"*" src/cuda/kernels/cuda_ptx.cuh" || "$1 $2" == "emulator/"*" bench/"* ]]; then
        return    # as said above
    elif [ "$from" = none ] || [ "$to" = none ]; then
        complain "$1 lies beside the folders of src: put it in the folder whose level it has"
    elif [ "$from" = 6 ]; then
        [ "$to" = 0 ] || [ "${1%%/*}" = "${2%%/*}" ] ||
            complain "$1 includes $2: programs outside the library may only include include/gru"
    elif [ "$from" = 5 ]; then
        return 0
    elif [ "$to" -gt "$from" ]; then
        complain "$1 (level $from) includes $2 (level $to)"
    elif [ "$from" = 2 ] && [ "$to" = 2 ] && [ "${1:0:8}" != "${2:0:8}" ]; then
        complain "$1 includes $2: backends never include each other"
    fi
}

check_foreign() { # FILE INCLUDED
    case $2 in
    *intrin.h | arm_neon.h | arm_sve.h)
        [[ $1 == src/cpu/cpu_kernels_*.c || $1 != src/* ]] || complain "$1 includes $2: only cpu_kernels_*.c may" ;;
    cuda*.h | cublas*.h | cudnn*.h)
        [[ $1 == src/cuda/* || $1 != src/* && $1 != include/* ]] || complain "$1 includes $2: only src/cuda may" ;;
    cjson/*)
        [[ $1 == src/import/* || $1 != src/* ]] || complain "$1 includes $2: only src/import may" ;;
    esac
    case $1 in
    include/*) [[ $2 == stddef.h || $2 == stdint.h ]] || complain "$1 includes $2: public headers take no other header" ;;
    esac
}

named='^[^"<]*["<]([^">]+)[">]'
while IFS=: read -r file line; do
    [[ $line =~ $named ]]
    included=${BASH_REMATCH[1]}
    includes=$((includes + 1))
    resolve "$file" "$included"
    if [ -n "$REPLY" ]; then
        check_ours "$file" "$REPLY"
    elif [[ $line == *\"* ]]; then
        complain "$file includes \"$included\": no such file in the tree"
    else
        check_foreign "$file" "$included"
    fi
done < <(git grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' -- '*.c' '*.h' '*.inl' '*.cu' '*.cuh' '*.cpp' '*.cc')

# bench, examples and python reach the library through its headers, never by declaring its inner functions themselves
if git grep -nE '^[[:space:]]*extern .*gru_' -- bench examples python; then
    complain "declare nothing of the library by hand: include its headers"
fi

[ $failed = 0 ] || exit 1
[ $includes -gt 0 ] || { echo "no #include found: this check looked at nothing"; exit 1; }
echo "$includes includes passed"
