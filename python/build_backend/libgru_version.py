"""The version of the package: that of the C header."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parents[1]


def dynamic_metadata(field: str, settings: Any = None, *_: Any) -> str:
    """Called by scikit-build-core for the field version. In a source package the headers are in c/."""
    folder = _HERE / "c" if (_HERE / "c").is_dir() else _HERE.parent
    numbers = re.findall(r"#define GRU_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (folder / "include/gru/gru.h").read_text())
    assert field == "version" and len(numbers) == 3, (field, numbers)
    return ".".join(numbers)
