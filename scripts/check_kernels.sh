#!/usr/bin/env bash
# Compiles every CUDA kernel for every target, warnings, spills and local memory being errors, and holds the registers and
# the static shared memory of each against scripts/kernel_budget.txt. (Dynamic shared memory is the launchers' own table.)
# usage: scripts/check_kernels.sh [--update]      --update: write the budget anew, for a change that is meant
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
budget=scripts/kernel_budget.txt
targets=(80 89 90a 100 120)
most=100   # kernels, half of them of the backward pass: each costs a second and a hundred kilobytes a target

nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[ -x "$nvcc" ] || { echo "there is no nvcc here"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

compile() { # SOURCE TARGET
    "$nvcc" -std=c++17 --fmad=false -O3 -arch="sm_$2" -Isrc -Iinclude -Werror all-warnings -Xcompiler -Wall,-Wextra \
        -Xptxas -v,-warn-spills,-warn-lmem-usage,-Werror -cubin "$1" -o "$folder/$(basename "$1").$2.cubin" \
        >"$folder/$(basename "$1").$2.log" 2>&1 || { cat "$folder/$(basename "$1").$2.log"; return 1; }
}
export -f compile
export nvcc folder
printf '%s\n' src/cuda/kernels/*.cu | while read -r source; do printf "$source %s\n" "${targets[@]}"; done |
    xargs -P "$(nproc)" -L 1 bash -c 'compile "$@"' compile

# One line a kernel: registers for each target, static shared bytes, name.
table() {
    local target
    for target in "${targets[@]}"; do
        cat "$folder"/*."$target".log | sed -nE \
            -e "s/.*Compiling entry function '([^']+)'.*/entry \1/p" \
            -e 's/.*bytes stack frame, ([0-9]+) bytes spill stores.*/spill \1/p' \
            -e 's/.*Used ([0-9]+) registers(.* ([0-9]+) bytes smem)?.*/used \1 \3/p' |
            awk -v target="$target" '$1 == "entry" { name = $2 } $1 == "spill" { spills = $2 }
                $1 == "used" { print target, name, $2, $3 + 0, spills }'
    done | c++filt -p | sed -E 's/\(anonymous namespace\):://g; s/\(gru_cuda_part\)//g; s/, /,/g' |
        awk -v targets="${targets[*]}" '
            { registers[$2, $1] = $3; if ($4 > shared[$2]) shared[$2] = $4; names[$2] = 1; spilled += $5 }
            END {
                count = split(targets, target, " ")
                for (name in names) {
                    line = ""
                    for (i = 1; i <= count; i++) line = line sprintf("%5s", registers[name, target[i]])
                    printf "%s %7d  %s\n", line, shared[name], name
                }
                exit spilled > 0
            }' | LC_ALL=C sort -k 7
}

header=$(printf '%5s' "${targets[@]}"; printf '  shared  kernel, with registers for each target')
table >"$folder/table"
printf '%s\n' "$header"
cat "$folder/table"
count=$(wc -l <"$folder/table")
[ "$count" -gt 0 ] || fail "no kernel found: nothing was checked"
[ "$count" -le "$most" ] || fail "$count kernels, expected at most $most"
if [ "${1:-}" = --update ]; then
    { printf '%s\n' "$header"; cat "$folder/table"; } >"$budget"
elif ! awk '
        FNR == 1 && NR != FNR { next }
        NR == FNR { for (i = 1; i <= 6; i++) allowed[$7, i] = $i; next }
        { for (i = 1; i <= 6; i++)
            if (!(($7, i) in allowed)) { print "no budget for " $7; bad = 1; break }
            else if ($i + 0 > allowed[$7, i] + 0) { print $7 " takes " $i " in column " i ", budget " allowed[$7, i]; bad = 1 } }
        END { exit bad }' "$budget" <(echo; cat "$folder/table"); then
    fail "kernels outside $budget; --update writes it anew"
fi
echo "$count kernels for ${targets[*]} within their budget, without spills"
