"""The library with the operator, which ONNX Runtime loads."""
from __future__ import annotations

from typing import Any

from libgru._errors import NotBuilt, Unsupported
from libgru._library import HERE, library


def library_path() -> str:
    """The path of the library: the argument of SessionOptions.register_custom_ops_library(), or of RegisterCustomOpsLibrary in C."""
    path = HERE / "libgru_onnx.so"
    if not path.is_file():
        raise NotBuilt(f"{path} does not exist: pip install builds it into the package")
    return str(path)


def register(options: Any) -> None:
    """Makes sessions with these onnxruntime.SessionOptions know libgru's operator."""
    library()    # a wrong library fails here, with a sentence
    try:
        options.register_custom_ops_library(library_path())
    except RuntimeError as error:    # what onnxruntime raises is its own
        raise Unsupported(f"onnxruntime does not take libgru's operator: {error}") from error
