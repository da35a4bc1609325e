#!/usr/bin/env bash
# Runs the commands of README.md, docs/ and apps/g2p/README.md as a newcomer would: every ```sh block in a shell of its own, in order, in a copy
# of the tree. Blocks marked ```sh ci are not run here. What the commands install stays in a mount namespace of this script,
# so it needs root, or sudo without a password; without either it is skipped (status 77).
# usage: scripts/check_commands.sh [BUILD [PAGE...]]      BUILD: a built folder, the commands' build/; default build. Without
# the commands of these pages
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
if [ "${1:-}" = --inside ]; then
    build=$2
    shift 2
    pages=("$@")
else
    build=$(realpath "${1:-build}")
    shift || true
    mapfile -t pages < <(git ls-files README.md 'docs/*.md' apps/g2p/README.md | grep -vxF "$(printf '%s\n' "$@" -)")
    mapfile -t packages < <(sed -nE 's/^sudo apt-get install //p' "${pages[@]}" | tr ' ' '\n' | sort -u)
    need_packages "${packages[@]}"
    venv .venv numpy >/dev/null
    unshare=(unshare --mount)
    [ "$(id -u)" = 0 ] || unshare=(sudo -n "${unshare[@]}")
    "${unshare[@]}" true 2>/dev/null || { echo "this machine makes no mount namespaces"; exit 77; }
    exec "${unshare[@]}" scripts/check_commands.sh --inside "$build" "${pages[@]}"
fi

# Everything below scratch, and every change of /usr/local and /etc, vanishes with the namespace.
scratch=/mnt
mount -t tmpfs scratch "$scratch"
for folder in /usr/local /etc; do
    mkdir -p "$scratch/changed$folder" "$scratch/work$folder"
    mount -t overlay -o "lowerdir=$folder,upperdir=$scratch/changed$folder,workdir=$scratch/work$folder" overlay "$folder"
done
mkdir "$scratch"/{tree,home,bin}
printf '#!/bin/sh\nexec "$@"\n' >"$scratch/bin/sudo"
chmod +x "$scratch/bin/sudo"
export PATH=$scratch/bin:$PWD/.venv/bin:$PATH
git -c safe.directory='*' ls-files -z -co --exclude-standard | xargs -0 cp --parents -t "$scratch/tree"
ln -s "$build" "$scratch/tree/build"
cd "$scratch/tree"
export CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/ccache} HOME=$scratch/home    # what is compiled once is compiled for all
unset PKG_CONFIG_PATH LD_LIBRARY_PATH

# Block NUMBER of a page's ```sh blocks.
block() { # PAGE NUMBER
    awk -v wanted="$2" '/^```/ { inside = $0 == "```sh" && ++n == wanted; next } inside' "$1"
}

count=0
for page in "${pages[@]}"; do
    for number in $(seq "$(grep -cx '```sh' "$page")"); do
        start=$SECONDS
        block "$page" "$number" >"$scratch/block.sh"
        if ! bash -euo pipefail -x "$scratch/block.sh" >"$scratch/log" 2>&1 </dev/null; then
            cat "$scratch/log"
            echo "$page: block $number of its commands failed"
            exit 1
        fi
        count=$((count + 1))
        echo "$page, block $number: $((SECONDS - start)) s"
    done
done
[ $count -gt 0 ] || { echo "no commands found: nothing was run"; exit 1; }
echo "$count blocks of commands passed"
