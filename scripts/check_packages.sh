#!/usr/bin/env bash
# Builds the packages libgru0.3 and libgru-dev by cpack, unpacks them with dpkg in a root that has nothing else, and builds and
# runs tests/install against what is there, by CMake and by pkg-config.
# usage: scripts/check_packages.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
need_packages gcc libc6-dev cmake ninja-build pkg-config dpkg-dev
use_ccache
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root

say "building the packages"
quietly "$scratch/build.log" cmake -S . -B "$scratch/build" -G Ninja -DCMAKE_INSTALL_PREFIX=/usr -DGRU_CUDA=OFF -DGRU_TESTS=OFF \
    -DGRU_BENCH=OFF -DGRU_EXAMPLES=OFF
quietly "$scratch/build.log" cmake --build "$scratch/build" --parallel "$(nproc)"
(cd "$scratch/build" && quietly "$scratch/cpack.log" cpack -B "$scratch/packages")
library=$(echo "$scratch"/packages/libgru0.3_*.deb)
development=$(echo "$scratch"/packages/libgru-dev_*.deb)
dpkg-deb --field "$development" Depends | grep -q "libgru0.3 (= " || fail "libgru-dev does not depend on libgru0.3 of its version"
dpkg-deb --field "$library" Depends | grep -q libc6 || fail "libgru0.3 does not name the libraries that it needs"
if dpkg-deb --contents "$library" | grep -E 'libgru\.so$|\.h$|\.a$'; then fail "libgru0.3 holds files of libgru-dev"; fi

say "unpacking them"    # without their scripts, which call ldconfig: the root has no shell
mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/info" "$root/etc"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
as_root dpkg --root="$root" --ignore-depends=libc6 --log=/dev/null --unpack "$library" "$development" >"$scratch/dpkg.log" 2>&1 ||
    { cat "$scratch/dpkg.log"; fail "dpkg could not unpack the packages"; }
libraries=$(dirname "$(find "$root" -name libgru.so)")
export LD_LIBRARY_PATH=$libraries PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$libraries/pkgconfig

say "linking against them"
# shellcheck disable=SC2046  # pkg-config answers with several words
cc -o "$scratch/app" tests/install/app.c $(pkg-config --cflags --libs gru)
"$scratch/app" >/dev/null
quietly "$scratch/app.log" cmake -S tests/install -B "$scratch/app-cmake" -G Ninja -DCMAKE_PREFIX_PATH="$root/usr"
quietly "$scratch/app.log" cmake --build "$scratch/app-cmake"
"$scratch/app-cmake/app" >/dev/null
echo "$(basename "$library"), $(basename "$development"): unpacked and linked in two ways"
