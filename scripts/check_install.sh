#!/usr/bin/env bash
# Installs a built tree into a scratch prefix and builds tests/install against it in every way that README.md names:
# CMake and pkg-config, shared and static, and as a part of another project.
# usage: scripts/check_install.sh [BUILD [OPTION...]]      BUILD: a built folder, default build; OPTION: of CMake, for the
# build as a part of another project
set -euo pipefail
cd "$(dirname "$0")/.."
source_folder=$PWD
build=${1:-build}
shift || true
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/moved

cmake --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log"
mv "$scratch/prefix" "$prefix"       # a tree that was moved after its installation must work too
libdir=$(dirname "$(find "$prefix" -name libgru.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
cc=${CC:-cc}
soname=$(readelf -d "$libdir/libgru.so" | sed -nE 's/.*SONAME.*\[(.*)\]/\1/p')

if command -v ninja >/dev/null; then export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}; fi

passed=0
report() {
    echo "  $1"
    passed=$((passed + 1))
}

expect() { # yes|no FILE LIBRARY: whether the program asks for the shared library
    local found=no
    readelf -d "$2" >"$scratch/dynamic"
    if grep -q "NEEDED.*\[$3" "$scratch/dynamic"; then found=yes; fi
    if [ $found != "$1" ]; then
        echo "${2##*/} of ${2%/*}: needs $3: $found, expected $1"
        exit 1
    fi
}

with_cmake() { # NAME LIBRARY OPTION...
    local folder=$scratch/cmake-$1 library=$2
    shift 2
    if ! { cmake -S tests/install -B "$folder" -DGRU_LIBRARY="$library" "$@" &&
        cmake --build "$folder" && "$folder/app"; } >"$folder.log" 2>&1; then
        cat "$folder.log"
        exit 1
    fi
}

with_cmake shared gru::gru -DCMAKE_PREFIX_PATH="$prefix"
expect yes "$scratch/cmake-shared/app" "$soname"
report "CMake, shared"

with_cmake static gru::static -DCMAKE_PREFIX_PATH="$prefix"
expect no "$scratch/cmake-static/app" "$soname"
report "CMake, static"

with_cmake subproject gru::static -DGRU_SOURCE="$source_folder" "$@"
report "CMake, add_subdirectory"

# shellcheck disable=SC2046  # pkg-config answers with several words
"$cc" -o "$scratch/app-shared" tests/install/app.c $(pkg-config --cflags --libs gru)
expect yes "$scratch/app-shared" "$soname"
LD_LIBRARY_PATH=$libdir "$scratch/app-shared" >/dev/null
report "pkg-config, shared"

rm "$libdir"/libgru.so*              # so that -lgru can only be the archive
# shellcheck disable=SC2046
"$cc" -o "$scratch/app-static" tests/install/app.c $(pkg-config --static --cflags --libs gru)
expect no "$scratch/app-static" "$soname"
"$scratch/app-static" >/dev/null
report "pkg-config, static"

for header in "$prefix"/include/gru/*.h "$prefix"/include/gru/gru.hpp; do cmp "$header" "include/gru/${header##*/}"; done
echo "$passed ways to link passed"
