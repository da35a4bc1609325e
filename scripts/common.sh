# shellcheck shell=bash
# common.sh: what the scripts share: messages, packages of Debian and Ubuntu, a Python environment. Source it.
#
#     source "$(dirname "$0")/common.sh"
#     need_packages cmake ninja-build || exit 1
#     python=$(venv .venv numpy) || exit 1

say() { printf '== %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; return 1; }

# Runs a command as root: as it is, or with sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# The packages among the arguments that are not installed, one a line.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# Installs those of the packages that are missing; touches no network when none is. Where there is no apt it says what
# to install by hand and goes on: the build then tells whether it is there.
need_packages() {
    local missing
    if ! command -v apt-get >/dev/null; then
        say "not Debian or Ubuntu: make sure that what these packages hold is installed: $*"
        return 0
    fi
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        fail "not root, and there is no sudo; as root, run: apt-get install ${missing[*]}"
        return 1
    fi
    say "installing ${missing[*]}"
    as_root apt-get update -qq >&2 || say "the list of packages could not be refreshed; trying with the old one"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        fail "could not install ${missing[*]}: is the network reachable, and (on Ubuntu) 'universe' enabled?"
}

# venv DIRECTORY REQUIREMENT...: makes the environment unless it is there, installs what it does not have yet, and
# prints the path of its python. The list of what it has stands in it, so that the second call needs no network.
venv() {
    local directory=$1 requirement missing=()
    shift
    if ! [ -x "$directory/bin/python" ] || ! "$directory/bin/python" -c 'import pip' 2>/dev/null; then
        command -v python3 >/dev/null || need_packages python3 || return 1
        python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv || return 1
        rm -rf "$directory"
        python3 -m venv "$directory" >&2 || { fail "could not make a Python environment in $directory"; return 1; }
    fi
    for requirement in "$@"; do
        grep -qxF "$requirement" "$directory/installed.txt" 2>/dev/null || missing+=("$requirement")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        say "installing ${missing[*]} in $directory"
        "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "${missing[@]}" >&2 ||
            { fail "pip could not install ${missing[*]}: is the network reachable?"; return 1; }
        printf '%s\n' "${missing[@]}" >>"$directory/installed.txt"
    fi
    echo "$directory/bin/python"
}

# uv_install ENVIRONMENT PACKAGE...: installs packages into an environment of venv() that has uv.
uv_install() {
    local environment=$1
    shift
    "$environment/bin/uv" pip install --quiet --python "$environment/bin/python" "$@" >&2
}

# uv_versions ENVIRONMENT PACKAGE...: names and versions of packages in such an environment, in one line.
uv_versions() {
    local environment=$1
    shift
    "$environment/bin/uv" pip freeze --python "$environment/bin/python" 2>/dev/null |
        grep -xE "($(IFS='|' && echo "$*"))==.*" | tr '\n' ' '
}

# torch_without_cuda ENVIRONMENT: PyTorch in such an environment. Its published build is linked with CUDA's libraries, 3 GB that no GRU on a
# CPU needs: empty ones take their place (python/tests/cuda_stand_ins.py).
torch_without_cuda() {
    local environment=$1
    if ! "$environment/bin/python" -c 'import torch' 2>/dev/null; then
        say "installing PyTorch in $environment, with empty stand-ins for CUDA's libraries"
        uv_install "$environment" numpy filelock sympy networkx jinja2 fsspec typing_extensions setuptools || return 1
        uv_install "$environment" --no-deps torch || return 1
        need_packages gcc binutils >&2 || return 1
        "$environment/bin/python" python/tests/cuda_stand_ins.py >&2
    fi
}

# Sets GRU_EMU_SEED, unless the caller did, from the commit: each commit tries another, and any can be tried again.
seed_of_commit() {
    local commit
    [ -z "${GRU_EMU_SEED:-}" ] || return 0
    commit=$(git rev-parse HEAD 2>/dev/null || echo 000001)
    export GRU_EMU_SEED=$((16#${commit:0:6} % 1000))
}

# quietly LOG COMMAND...: keeps what the command says in the file, and shows it only if the command fails.
quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "this failed: $*"; }
}

# Lets CMake call the compilers through ccache, where it is there: what was compiled once, in whichever build folder, is taken
# from its cache, wherever the build folder lies in this one. Not nvcc: ccache sees one of the architectures only, and may take
# a kernel for unchanged.
use_ccache() {
    command -v ccache >/dev/null || return 0
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
    export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
}

# The option for CMake's CUDA: this machine's GPUs and no others, so that a first build is short; without any, no CUDA.
cuda_option() {
    local found
    found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d '. ' | sort -u |
        sed -e 's/^90$/90a/' -e 's/$/-real/' | paste -sd ';')
    if [ "$found" ]; then echo "-DCMAKE_CUDA_ARCHITECTURES=$found"; else echo -DGRU_CUDA=OFF; fi
}
