"""libgru in Keras 3: after `libgru.keras.enable()` keras.layers.GRU runs on libgru, with the backends JAX and PyTorch, on the CPU.
`disable()` undoes it."""
from libgru._errors import NotBuilt

try:
    import keras as _keras
except ImportError as _error:
    raise NotBuilt(f"libgru.keras needs the package keras: {_error}") from _error
if int(_keras.__version__.split(".")[0]) < 3:
    raise NotBuilt(f"libgru.keras needs keras 3, and this is {_keras.__version__}")

from libgru.keras._enable import disable, enable    # noqa: E402

__all__ = ["disable", "enable"]
