#!/usr/bin/env bash
# Counts the cycles of step kernels in build-cuda, which scripts/check_kernels.sh has built, with the model of
# bench/kernel_cycles, and holds each phase against bench/results/h200-kernel-cycles.txt. Installs NVIDIA's disassembler.
# usage: scripts/check_cycles.sh [--update]    --update writes the table anew, for a change that is meant
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
table=bench/results/h200-kernel-cycles.txt
cuobjdump=13.4.92 nvdisasm=13.4.92    # of any version that knows 9.0a: the listing is the same

[ -f build-cuda/libgru.a ] || { echo "there is no build-cuda"; exit 77; }
cuobjdump -version >/dev/null 2>&1 || python=$(venv .venv-sass "nvidia-cuda-cuobjdump==$cuobjdump" "nvidia-cuda-nvdisasm==$nvdisasm") ||
    { echo "the disassembler could not be installed"; exit 77; }
if [ "${python:-}" ]; then
    PATH=$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])')/cu13/bin:$PATH
fi
"${CC:-cc}" -std=c11 -Isrc -Iinclude -Iemulator/include tests/cuda/print_launches.c -o build-cuda/launches
python3 -m bench.kernel_cycles build-cuda/libgru.a >build-cuda/cycles
cat build-cuda/cycles
steps=$(($(wc -l <build-cuda/cycles) - 1))
[ "$steps" -gt 0 ] || fail "no step: nothing was counted"
if [ "${1:-}" = --update ]; then
    { sed '/^step /,$d' "$table"; cat build-cuda/cycles; } >build-cuda/table.new
    mv build-cuda/table.new "$table"
elif ! awk '
        !/^(forward|backward|streaming)-/ { next }
        NR == FNR { for (i = 2; i <= 4; i++) allowed[$1, i] = $i; next }
        { for (i = 2; i <= 4; i++)
            if (!(($1, i) in allowed)) { print "no line for " $1; bad = 1; break }
            else if ($i > allowed[$1, i]) { print $1 " takes " $i " cycles in column " i ", the table has " allowed[$1, i]; bad = 1 } }
        END { exit bad }' "$table" build-cuda/cycles; then
    fail "steps slower than in $table; --update writes it anew"
fi
echo "$steps steps take no more cycles than in $table"
