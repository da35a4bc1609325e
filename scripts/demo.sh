#!/usr/bin/env bash
# Builds the library, lets this repository's own GRU model pronounce words, and compares the engines of this machine with a
# plain C loop. As root, or with sudo for what has to be installed; a second call needs no network.
# usage: scripts/demo.sh [WORD]...
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

sentence="A gated recurrent unit reads letters and speaks: rhythm, chrysanthemum, serendipity, onomatopoeia."
list_seconds=12 # for the word list; slow machines do not finish it in that time

need_packages gcc libc6-dev cmake ninja-build pkg-config wamerican

say "building (the first time some two minutes)"
use_ccache
options=(-DCMAKE_BUILD_TYPE=Release)
[ -f build/CMakeCache.txt ] || options+=(-G Ninja -DGRU_TESTS=OFF "$(cuda_option)")
quietly build/configure.log cmake -S . -B build "${options[@]}"
quietly build/build.log cmake --build build --parallel "$(nproc)" --target g2p gru_bench

g2p=(build/apps/g2p/g2p)
say "words, and their sounds in ARPAbet (1: stressed)"
"${g2p[@]}" --quiet </dev/null >/dev/null # loads the model once, so that a failure shows here
[ $# = 0 ] || "${g2p[@]}" "$@"
"${g2p[@]}" "$sentence"

list=/usr/share/dict/american-english
[ -f "$list" ] || list=/usr/share/dict/words
say "the word list $list ($(wc -l <"$list") words) on the fastest engine, at most $list_seconds seconds"
"${g2p[@]}" --quiet --progress --seconds "$list_seconds" <"$list"

say "the same, 2 seconds each, with weights of 32, 16 and 8 bits"
for weights in f32 bf16 int8; do
    printf '%-5s' "$weights"
    "${g2p[@]}" --quiet --seconds 2 --weights "$weights" <"$list"
done

say "the engines of this machine beside a plain C loop (and oneDNN or OpenBLAS, where installed)"
# Streaming: one step of one sequence. Batch: five steps of 16 sequences.
build/bench/gru_bench --shape S1_h64,T5,N16,I64,H64 --engine all --peers --threads 1 --seconds 1 >build/demo-bench.txt 2>build/demo-bench.log
awk '
    /^[^ ].*: T[0-9]+ N[0-9]+ I/ { shape++ }
    shape && /^  [^ ].*  +[0-9.]+ +[0-9.]+ +[0-9.]+/ && !/left out/ {
        name = substr($0, 3, 26); sub(/ +$/, "", name); rest = substr($0, 29); split(rest, value, " ")
        if (!(name in seen)) { seen[name] = 1; names[++count] = name }
        time[name, shape] = value[1] }
    function speed(name, s) { return time["plain C", s] / time[name, s] }
    function cell(name, s) { return (name, s) in time ? sprintf("%10.2f %8.1fx", time[name, s], speed(name, s)) \
                                                      : sprintf("%10s %9s", "-", "") }
    END {
        if (!(("plain C", 1) in time && ("plain C", 2) in time)) { print "the benchmark timed no plain C loop: see build/demo-bench.txt"; exit 1 }
        printf "%-16s %20s %20s\n", "", "1 step, 64 units", "5 steps, N 16, 64"
        printf "%-16s %10s %9s %10s %9s\n", "", "us", "speed", "us", "speed"
        for (i = 1; i <= count; i++) printf "%-16s %s %s\n", names[i], cell(names[i], 1), cell(names[i], 2)
        best = names[1]
        printf "\nSpeed 1.0x is the plain C loop. %s runs a streaming step %.0f times and a batch %.0f times as fast", best,
            speed(best, 1), speed(best, 2)
        if (("oneDNN", 1) in time) printf "; oneDNN %.0f and %.0f times", speed("oneDNN", 1), speed("oneDNN", 2)
        printf ".\n" }' build/demo-bench.txt

say "what to try next"
echo "    build/apps/g2p/g2p                           type words, or pipe a text into it"
echo "    build/bench/gru_bench --shape quick --peers  more sizes, with the share of the machine's peak"
echo "    README.md, Quick start                       link the library; load a PyTorch model"
