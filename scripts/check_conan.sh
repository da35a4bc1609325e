#!/usr/bin/env bash
# Makes the package of Conan in an empty cache, without any remote, and builds and runs tests/install against it.
# usage: scripts/check_conan.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
need_packages gcc libc6-dev cmake make
conan=$(dirname "$(venv build-conan-venv 'conan>=2')")/conan
use_ccache
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CONAN_HOME=$scratch/conan
cp -r tests/install "$scratch/test"    # Conan builds where the test lies

quietly "$scratch/profile.log" "$conan" profile detect
quietly "$scratch/create.log" "$conan" create . --no-remote -s build_type=Debug --test-folder "$scratch/test"    # compiles fastest
echo "Conan's package: made, linked against and run"
