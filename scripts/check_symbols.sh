#!/usr/bin/env bash
# Checks the symbols of a built tree: everything external starts with gru_, and the shared library exports exactly the
# functions that include/gru declares with GRU_API. (nvcc gives the unnamed namespace of a file a name, with a hash in it,
# and so makes external what is not: those pass.)
# usage: scripts/check_symbols.sh [BUILD]      BUILD: a built folder, default build
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
failed=0

# Names declared GRU_API: each declaration is joined to one line first; the name stands before the first parenthesis.
declared=$(cat include/gru/*.h | sed -e 's#/\*.*\*/##' | tr '\n' ' ' |
    grep -oE 'GRU_API [^;(]*\(' | grep -oE 'gru_[a-z0-9_]+\($' | tr -d '(' | sort)
exported=$(nm --dynamic --defined-only --format=posix "$build/libgru.so" | awk '{ print $1 }' | sort)
archived=$(nm --extern-only --defined-only --format=posix "$build/libgru.a" | awk 'NF > 2 { print $1 }' | sort)

if [ -z "$declared" ] || [ -z "$exported" ] || [ -z "$archived" ]; then
    echo "no symbols found: nothing was checked"
    exit 1
fi
duplicates=$(uniq -d <<<"$declared")
missing=$(comm -23 <(uniq <<<"$declared") <(echo "$exported"))
extra=$(comm -13 <(uniq <<<"$declared") <(echo "$exported"))
foreign=$(grep -vE '^gru_|_GLOBAL__N__[0-9a-f]+_[0-9]+_cuda_' <<<"$archived" || true)

complain() { # SENTENCE NAMES
    [ -z "$2" ] && return
    printf '%s:\n' "$1"
    # shellcheck disable=SC2086  # names hold no spaces
    printf "    %s\n" $2
    failed=1
}
complain "declared twice in include/gru" "$duplicates"
complain "declared with GRU_API, not exported by libgru.so" "$missing"
complain "exported by libgru.so, not declared with GRU_API" "$extra"
complain "external in libgru.a without the prefix gru_" "$foreign"
[ $failed = 0 ] || exit 1
echo "$(wc -l <<<"$exported") exported and $(wc -l <<<"$archived") archived symbols passed"
