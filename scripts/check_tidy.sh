#!/usr/bin/env bash
# Runs clang-tidy over the library's C files with the checks of .clang-tidy; each finding is an error.
# usage: scripts/check_tidy.sh [FILE...]      default: all of src that this machine can compile
set -euo pipefail
cd "$(dirname "$0")/.."
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || { echo "clang-tidy is missing (Debian: clang-tidy-14)"; exit 77; }
flags=(-std=c11 -D_GNU_SOURCE -Iinclude -Isrc)
leave_out='_neon\.c$|^src/cuda/'
case $(uname -m) in
x86_64) flags+=(-mavx512f -mavx512bw -mavx512vnni -mavx512bf16 -mavx2 -mfma -mf16c) ;;
*) leave_out='_avx(2|512)[a-z0-9_]*\.c$|^src/cuda/' ;;
esac
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(git ls-files 'src/*.c' | grep -vE "$leave_out"); fi
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 sh -c 'tidy=$1 flags=$2; shift 2
    "$tidy" --quiet "$@" -- $flags' sh "$tidy" "${flags[*]}"
echo "${#files[@]} files passed"
