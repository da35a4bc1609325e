"""What a Keras model's configuration says: its layers, however nested, with the names that the files call them by."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from libgru.convert.activations import Function
from libgru.convert.gru import Variant
from libgru.convert.refused import Refused

CELLS = ("GRU", "CuDNNGRU", "GRUCell")
_MODULES = re.compile(r"(tensorflow\.(python\.)?)?(tf_)?keras(\..*)?")    # where Keras' own classes are


@dataclass(frozen=True)
class Layer:
    """One layer's class and settings. names: of the models and wrappers around it and its own; place: of its group in a
    .keras file; aliases: other names that variables of this layer may go by."""
    kind: str
    config: dict[str, Any]
    names: tuple[str, ...]
    place: str
    aliases: tuple[str, ...] = ()

    def inside(self, value: Any, place: str, *aliases: str) -> Layer:
        """A layer that this one's settings describe: a wrapper's, or a cell."""
        kind, config = described(value, self.text())
        name = config.get("name")
        return Layer(kind, config, (*self.names, str(name)) if name else self.names, f"{self.place}/{place}", aliases)

    def text(self) -> str:
        """For sentences."""
        return f"layer {'/'.join(self.names)}"


def described(value: Any, who: str) -> tuple[str, dict[str, Any]]:
    """Class and settings. A class of somebody else's, even one called GRU, may compute anything: its name gets a *."""
    if not isinstance(value, dict) or not isinstance(value.get("config"), (dict, list)) or "class_name" not in value:
        raise Refused(f"{who}: its configuration describes no layer")
    config = value["config"] if isinstance(value["config"], dict) else {"layers": value["config"]}    # Keras 1
    kind, module = str(value["class_name"]), value.get("module")
    foreign = isinstance(module, str) and not _MODULES.fullmatch(module) or ("module" in value and module is None)
    return (f"{kind}*" if foreign else kind), config


def snake_case(name: str) -> str:
    """As Keras calls groups in .keras files by a layer's class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def numbered(kinds: list[str]) -> list[str]:
    """Groups' names of the members of a list: gru, gru_1, dense, gru_2."""
    counts: dict[str, int] = {}
    names = []
    for kind in kinds:
        base = snake_case(kind)
        counts[base] = counts.get(base, -1) + 1
        names.append(f"{base}_{counts[base]}" if counts[base] else base)
    return names


def layers_of(model: Layer) -> Iterator[Layer]:
    """The model's layers and those of models within it, each model before its layers."""
    members = model.config.get("layers")
    if not isinstance(members, list):
        raise Refused(f"{model.text() if model.names else 'the model'} is of a class of its own, {model.kind}, and its "
                      "file does not describe its layers: save one that is Sequential or functional")
    found = [model.inside(member, "") for member in members]
    for layer, group in zip(found, numbered([layer.kind for layer in found])):
        placed = Layer(layer.kind, layer.config, layer.names, f"{model.place}/layers/{group}".lstrip("/"))
        yield placed
        if isinstance(placed.config.get("layers"), list):
            yield from layers_of(placed)


def _function(layer: Layer, field: str, default: str) -> str:
    """An activation's name; some versions describe it as an object."""
    value = layer.config.get(field, default)
    if isinstance(value, dict):
        value = value.get("config") if value.get("class_name") == "function" else value.get("class_name")
    return str(value)


# Keras' names of functions that the library calls otherwise, and those with numbers. Keras 3 has other numbers, and leaky_relu.
_OTHER_NAMES = {"swish": "silu", "hard_swish": "hard_silu", "celu": "elu"}
_WITHOUT_NUMBERS = ("sigmoid", "tanh", "relu", "linear", "softsign", "softplus", "selu", "silu", "gelu", "exponential", "relu6",
                    "hard_tanh", "hard_silu", "mish")


def _known(layer: Layer, field: str, default: str, major: int) -> Function:
    """The library's function of a field; Refused where it has none."""
    name = _function(layer, field, default)
    word = _OTHER_NAMES.get(name, name)
    numbers = {"hard_sigmoid": Function("hard_sigmoid", 1 / 6 if major >= 3 else 0.2, 0.5), "elu": Function("elu", 1.0)}
    if major >= 3:
        numbers["leaky_relu"] = Function("leaky_relu", 0.2)
    if word in numbers:
        return numbers[word]
    if word in _WITHOUT_NUMBERS:
        return Function(word)
    raise Refused(f"{layer.text()}: {field} is {name}, expected one of {', '.join([*_WITHOUT_NUMBERS, *numbers])}")


def variant(layer: Layer, version: str) -> Variant:
    """Of one GRU or cell; Refused for functions that the library does not have."""
    major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 2
    if layer.kind == "CuDNNGRU":
        return Variant()
    gate_field = "inner_activation" if major < 2 else "recurrent_activation"
    gate = _known(layer, gate_field, "sigmoid" if major > 2 else "hard_sigmoid", major)
    candidate = _known(layer, "activation", "tanh", major)
    reset = "after" if layer.config.get("reset_after", major > 2) else "before"
    return Variant(reset, gate, candidate)
