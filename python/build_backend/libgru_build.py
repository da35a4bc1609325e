"""scikit-build-core, except that a source package also gets the C sources, which lie beside python/ in the tree."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from scikit_build_core.build import *    # noqa: F403
from scikit_build_core.build import build_sdist as _build_sdist

_HERE = Path(__file__).resolve().parents[1]
_COPY = _HERE / "c"                      # where CMakeLists.txt looks first
_PARTS = ("CMakeLists.txt", "LICENSE", "cmake", "include", "src")


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Copies the C sources into python/c for as long as the package is written."""
    if _COPY.exists():                   # this is an unpacked source package
        return str(_build_sdist(sdist_directory, config_settings))
    try:
        _COPY.mkdir()
        for name in _PARTS:
            source = _HERE.parent / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, _COPY / name)
        return str(_build_sdist(sdist_directory, config_settings))
    finally:
        shutil.rmtree(_COPY, ignore_errors=True)
