#!/usr/bin/env bash
# Compares the binary interface of the built shared library with scripts/abi.txt: exported functions, sizes of public
# structs, values of public constants. A change must be announced: a new minor version, and the list written anew.
# usage: scripts/check_abi.sh [--update] [BUILD]      BUILD: a built folder, default build
set -euo pipefail
cd "$(dirname "$0")/.."
update=
if [ "${1:-}" = --update ]; then update=1; shift; fi
library=${1:-build}/libgru.so
list=scripts/abi.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

headers=$(sed -E 's#/\*.*\*/##' include/gru/*.h)
structs=$(grep -oE '^typedef struct gru_[a-z_]+ \{' <<<"$headers" | awk '{ print $3 }')
constants=$(grep -oE '\bGRU_[A-Z0-9_]+ += +[0-9]+' <<<"$headers" | awk '{ print $1 }')
{
    echo '#include <gru/import.h>'
    echo '#include <gru/stream.h>'
    echo '#include <stdio.h>'
    echo 'int main(void) {'
    printf '    printf("sizeof %%s %%zu\\n", "%s", sizeof(%s));\n' $(for name in $structs; do echo "$name $name"; done)
    printf '    printf("value %%s %%d\\n", "%s", (int)%s);\n' $(for name in $constants; do echo "$name $name"; done)
    echo '    return 0;'
    echo '}'
} >"$scratch/abi.c"
${CC:-cc} -Iinclude -o "$scratch/abi" "$scratch/abi.c"
{
    sed -nE 's/^#define GRU_VERSION_(MAJOR|MINOR) ([0-9]+).*/\2/p' include/gru/gru.h | paste -sd . | sed 's/^/version /'
    nm --dynamic --defined-only --format=posix "$library" | awk '{ print "function", $1 }' | LC_ALL=C sort
    "$scratch/abi" | LC_ALL=C sort
} >"$scratch/abi.txt"

count=$(wc -l <"$scratch/abi.txt")
[ "$(grep -c '^function' "$scratch/abi.txt")" -gt 30 ] && [ "$(grep -c '^sizeof' "$scratch/abi.txt")" -gt 10 ] ||
    { echo "found $count lines only: nothing was checked"; exit 1; }
if [ "$update" ]; then cp "$scratch/abi.txt" "$list"; fi
if ! diff "$list" "$scratch/abi.txt"; then
    echo "the binary interface has changed (< $list, > this build). If a version with the old one was released, raise" \
        "GRU_VERSION_MINOR; then run scripts/check_abi.sh --update"
    exit 1
fi
echo "$count functions, sizes and values are those of $list"
