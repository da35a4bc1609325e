"""The exceptions of the package, one for each kind of failure of the C library."""
from __future__ import annotations


class Error(Exception):
    """A failure of libgru. The text is the library's sentence: the argument, its value and what was expected."""


class BadArgument(Error, ValueError):
    """An argument is wrong."""


class BadData(Error, ValueError):
    """A file is wrong, or lengths, slots or a loss scale are."""


class Unsupported(Error, NotImplementedError):
    """Valid, but no engine here can run it."""


class NotBuilt(Error, ImportError):
    """The library is missing, of another version, or was built without this part."""


class NoDevice(Error, RuntimeError):
    """Driver, device or cuBLASLt is missing, or has a wrong version."""


class OutOfMemory(Error, MemoryError):
    """An allocation failed."""


class DeviceFailed(Error, RuntimeError):
    """A CUDA call failed."""


class FileError(Error, OSError):
    """The system refused a read or write."""


# By the value of gru_status.
BY_STATUS: dict[int, type[Error]] = {1: BadArgument, 2: BadData, 3: Unsupported, 4: NotBuilt, 5: NoDevice, 6: OutOfMemory,
                                     7: DeviceFailed, 8: FileError}
