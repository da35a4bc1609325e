#!/usr/bin/env bash
# Fetches PyTorch's own test files, which its wheel lacks, from Debian's source package, 38 MB. Unpacks them into FOLDER/test.
# Status 77: they cannot be had here.
# usage: scripts/fetch_torch_tests.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
folder=$(realpath -m "$1")
[ ! -f "$folder/test/test_nn.py" ] || exit 0

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | grep -m 1 '/debian/*$') ||
    { say "not Debian: PyTorch's own test files cannot be fetched"; exit 77; }
need_packages debian-archive-keyring xz-utils
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/lists"
chmod 755 "$scratch"    # apt downloads as a user of its own
# The lists are apart from the machine's: nothing about its own packages changes.
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$scratch/sources.list"
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$scratch/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$scratch/lists" -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root "$@"
}
apt update >&2 || { say "no network: PyTorch's own test files cannot be fetched"; exit 77; }
(cd "$scratch" && apt --download-only source pytorch >&2)
mkdir -p "$folder" "$scratch/torch"
tar -xf "$scratch"/pytorch_*.orig.tar.* -C "$scratch/torch" --strip-components=1 --wildcards '*/test/test_nn.py' '*/test/test_modules.py' \
    '*/test/nn/test_packed_sequence.py' '*/test/functorch/*.py'
rm -rf "$folder/test"
mv "$scratch/torch/test" "$folder/test"
