#!/usr/bin/env bash
# Builds the library, tells with this repository's own GRU model how words are pronounced, and compares this machine's engines.
# As root, or with sudo for what has to be installed; a second call needs no network.
# usage: scripts/demo.sh [WORD]...
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

sentence="A gated recurrent unit reads letters and speaks: rhythm, chrysanthemum, serendipity, onomatopoeia."
seconds=20 # for each engine on the word list; the slowest do not finish it in that time

need_packages gcc libc6-dev cmake ninja-build pkg-config libcjson-dev wamerican

say "building"
use_ccache
options=(-DCMAKE_BUILD_TYPE=Release)
[ -f build/CMakeCache.txt ] || options+=(-G Ninja -DGRU_TESTS=OFF "$(cuda_option)")
quietly build/configure.log cmake -S . -B build "${options[@]}"
quietly build/build.log cmake --build build --parallel "$(nproc)" --target g2p gru_bench

g2p=(build/apps/g2p/g2p)
say "words, and their sounds in ARPAbet (1: stressed)"
"${g2p[@]}" "${@:-$sentence}"

list=/usr/share/dict/american-english
[ -f "$list" ] || list=/usr/share/dict/words
say "all words of $list on each engine, at most $seconds seconds each"
rates=()
mapfile -t engines < <("${g2p[@]}" --engine help | awk '/runs here$/ { print $1 }')
for engine in "${engines[@]}"; do
    rates+=("$("${g2p[@]}" --quiet --seconds "$seconds" --engine "$engine" <"$list")")
done
printf '%s\n' "${rates[@]}" | awk '
    { words[NR] = $1; time[NR] = $4; engine[NR] = $NF; rate[NR] = $1 / $4
      if (!slowest || rate[NR] < slowest) slowest = rate[NR] }
    END { printf "%-16s %8s %9s %9s %14s\n", "engine", "words", "seconds", "words/s", "x the slowest"
          for (i = 1; i <= NR; i++)
              printf "%-16s %8d %9.2f %9.0f %14.1f\n", engine[i], words[i], time[i], rate[i], rate[i] / slowest }'

say "the engines on layers of several sizes"
build/bench/gru_bench --shape quick
