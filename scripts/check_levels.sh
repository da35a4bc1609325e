#!/usr/bin/env bash
# Checks who includes whom. A file may include files of its own level and of levels below it:
#
#   outside   bench, apps, examples, python, emulator     only include/ and their own folder
#   5         tests                                       everything, bench and emulator too
#   4         src/api, src/stack, src/import
#   3         src/registry                                the only file that knows which backends exist
#   2         src/cpu, src/cuda                           never each other; folders of src/cuda below
#   1         src/core                                    contracts between the levels
#   0         include/gru                                 <stddef.h> and <stdint.h> only; .hpp: headers of C++
#
# Within src/cuda a file may include its own folder and those before it: kernels, device, layer, run, src/cuda itself. So
# device/ knows no layer and layer/ no run. kernels/ has no host C, and host C sees of kernels/ only its .h files, so no PTX.
# No files of src and bench include each other in a circle; x.h and x.c count as one, a .inl does not.
#
# Intrinsics only in src/cpu/cpu_kernels_*.c, CUDA's headers only in src/cuda.
# The emulator stands in for PTX: only cuda_ptx.cuh may include it. The emulator tests the library's PTX wrappers and the
# benchmark measures them: both may include cuda_ptx.cuh, and the emulator may include the benchmark's probes.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
includes=0
pairs=$(mktemp)
trap 'rm -f "$pairs" "$pairs.circle"' EXIT
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

cuda_level() { # sets REPLY, as resolve does
    case $1 in
    src/cuda/kernels/*) REPLY=0 ;;
    src/cuda/device/*) REPLY=1 ;;
    src/cuda/layer/*) REPLY=2 ;;
    src/cuda/run/*) REPLY=3 ;;
    src/cuda/*/*) REPLY=none ;;
    *) REPLY=4 ;;
    esac
}

check_cuda() { # FILE INCLUDED, both of the library
    local from to
    cuda_level "$1"
    from=$REPLY
    cuda_level "$2"
    to=$REPLY
    if [ "$from" = none ]; then
        complain "$1 lies in a folder of src/cuda that has no level: give it one here"
    elif [[ $2 == src/cuda/* ]] && [ "$to" -gt "$from" ]; then
        complain "$1 includes $2: only folders before its own, in the order kernels, device, layer, run"
    elif [[ $1 == *.[ch] && $2 == *.cuh ]]; then
        complain "$1 includes $2: host C includes no device code"
    elif [[ $1 == src/cuda/device/* && $2 == src/core/@(layer|engine).h ]]; then
        complain "$1 includes $2: device/ knows no layer"
    fi
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
    [[ $1 != src/cuda/* ]] || check_cuda "$1" "$2"
}

check_foreign() { # FILE INCLUDED
    case $2 in
    *intrin.h | arm_neon.h | arm_sve.h)
        [[ $1 == src/cpu/cpu_kernels_*.c || $1 != src/* ]] || complain "$1 includes $2: only cpu_kernels_*.c may" ;;
    cuda*.h | cublas*.h | cudnn*.h)
        [[ $1 == src/cuda/* || $1 != src/* && $1 != include/* ]] || complain "$1 includes $2: only src/cuda may" ;;
    esac
    case $1 in
    include/*.hpp) [[ $2 != *.h ]] || complain "$1 includes $2: the C++ header takes C++'s own headers only" ;;
    include/*) [[ $2 == stddef.h || $2 == stdint.h ]] || complain "$1 includes $2: public headers take no other header" ;;
    esac
}

# A header and the source of its name are one; a body that sources include is not.
unit() {
    [[ $1 == *.inl ]] && echo "$1" || echo "${1%.*}"
}

named='^[^"<]*["<]([^">]+)[">]'
while IFS=: read -r file line; do
    [[ $line =~ $named ]]
    included=${BASH_REMATCH[1]}
    includes=$((includes + 1))
    resolve "$file" "$included"
    if [ -n "$REPLY" ]; then
        [[ $file != src/* && $file != bench/* ]] || echo "$(unit "$file") $(unit "$REPLY")" >>"$pairs"
        check_ours "$file" "$REPLY"
    elif [[ $line == *\"* ]]; then
        complain "$file includes \"$included\": no such file in the tree"
    else
        check_foreign "$file" "$included"
    fi
done < <(git grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' -- '*.c' '*.h' '*.inl' '*.cu' '*.cuh' '*.cpp' '*.hpp' '*.cc')

tsort "$pairs" >/dev/null 2>"$pairs.circle" || complain "files include each other in a circle: $(sed 's/tsort: //' "$pairs.circle" | tr '\n' ' ')"
if git ls-files 'src/cuda/kernels/*.c' | grep .; then
    complain "host C lies in src/cuda/kernels"
fi

# bench, examples and python reach the library through its headers, never by declaring its inner functions themselves
if git grep -nE '^[[:space:]]*extern .*gru_' -- bench examples python; then
    complain "declare nothing of the library by hand: include its headers"
fi

[ $failed = 0 ] || exit 1
[ $includes -gt 0 ] || { echo "no #include found: this check looked at nothing"; exit 1; }
echo "$includes includes passed"
