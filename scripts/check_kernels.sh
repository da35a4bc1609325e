#!/usr/bin/env bash
# Builds the library with CUDA in build-cuda, warnings, spills and local memory being errors, and holds the registers and the
# static shared memory of each kernel against scripts/kernel_budget.txt. (Dynamic shared memory is the launchers' own table.)
# usage: scripts/check_kernels.sh [TARGET...]     of 80 89 90a 100 120, default all
#        scripts/check_kernels.sh --update        writes the budget anew, for a change that is meant
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
use_ccache
budget=scripts/kernel_budget.txt
all=(80 89 90a 100 120)
most=100   # kernels, half of them of the backward pass: each costs a second and a hundred kilobytes a target
update=
if [ "${1:-}" = --update ]; then
    update=yes
    shift
fi
targets=("$@")
[ $# -gt 0 ] || targets=("${all[@]}")

command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || { echo "there is no nvcc here"; exit 77; }
rm -rf build-cuda    # what is not compiled tells nothing
log=build-cuda/build.log
architectures=$(printf '%s-real;' "${targets[@]}")
quietly build-cuda/configure.log cmake --preset cuda -DCMAKE_CUDA_ARCHITECTURES="${architectures%;}"
quietly $log cmake --build --preset cuda --parallel "$(nproc)"

# One line a kernel: registers for each target, or - where it was not compiled; static shared bytes; name.
table() {
    sed -nE -e "s/.*Compiling entry function '([^']+)' for 'sm_([^']+)'.*/entry \1 \2/p" \
        -e 's/.*bytes stack frame, ([0-9]+) bytes spill stores.*/spill \1/p' \
        -e 's/.*Used ([0-9]+) registers(.* ([0-9]+) bytes smem)?.*/used \1 \3/p' $log |
        awk '$1 == "entry" { name = $2; target = $3 } $1 == "spill" { spills = $2 }
            $1 == "used" { print target, name, $2, $3 + 0, spills }' |
        c++filt -p | sed -E 's/\(anonymous namespace\):://g; s/\(gru_cuda_gate_set\)//g; s/, /,/g' |
        awk -v targets="${all[*]}" '
            { registers[$2, $1] = $3; if ($4 > shared[$2]) shared[$2] = $4; names[$2] = 1; spilled += $5 }
            END {
                count = split(targets, target, " ")
                for (name in names) {
                    line = ""
                    for (i = 1; i <= count; i++)
                        line = line sprintf("%5s", (name, target[i]) in registers ? registers[name, target[i]] : "-")
                    printf "%s %7d  %s\n", line, shared[name], name
                }
                exit spilled > 0
            }' | LC_ALL=C sort -k 7
}

header=$(printf '%5s' "${all[@]}"; printf '  shared  kernel, with registers for each target')
table >build-cuda/table
printf '%s\n' "$header"
cat build-cuda/table
count=$(wc -l <build-cuda/table)
[ "$count" -gt 0 ] || fail "no kernel found: nothing was checked"
entries=$(grep -c 'Compiling entry function' $log)
[ "$entries" -eq $((count * ${#targets[@]})) ] || fail "$entries kernels of all targets, expected ${#targets[@]} times $count"
[ "$count" -le "$most" ] || fail "$count kernels, expected at most $most"
if [ "$update" ]; then
    { printf '%s\n' "$header"; cat build-cuda/table; } >"$budget"
elif ! awk '
        FNR == 1 && NR != FNR { next }
        NR == FNR { for (i = 1; i <= 6; i++) allowed[$7, i] = $i; next }
        { for (i = 1; i <= 6; i++)
            if (!(($7, i) in allowed)) { print "no budget for " $7; bad = 1; break }
            else if ($i != "-" && $i + 0 > allowed[$7, i] + 0) { print $7 " takes " $i " in column " i ", budget " allowed[$7, i]; bad = 1 } }
        END { exit bad }' "$budget" <(echo; cat build-cuda/table); then
    fail "kernels outside $budget; --update writes it anew"
fi
echo "$count kernels for ${targets[*]} within their budget, without spills"
