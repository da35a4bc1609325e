"""Says what went where: as text, or as JSON for programs."""
from __future__ import annotations

import json
from typing import Any

from libgru.convert.gru import Gru
from libgru.convert.output import Output


def _gru(gru: Gru) -> dict[str, Any]:
    layers = [{"inputs": layer.inputs, "hidden": next(iter(layer.cells().values())).hidden,
               "type": next(iter(layer.cells().values())).W.tensor.dtype,
               "directions": ["reverse" if end else "forward" for end in layer.cells()],
               **layer.variant.words(), **({"merge": layer.merge} if len(layer.cells()) == 2 else {})}
              for layer in gru.layers]
    return {"prefix": gru.prefix, "origin": gru.origin, "layers": layers, "notes": gru.notes}


def as_json(output: Output) -> str:
    """One object: grus, tensors (each with its sources, and what --int8 lost), left_out (with reasons), unwanted."""
    tensors = {name: {"type": tensor.dtype, "shape": list(tensor.shape), "from": list(output.sources[name])}
               for name, tensor in output.tensors.items()}
    for name, loss in output.losses.items():
        tensors[name]["loss"] = loss
    return json.dumps({"grus": [_gru(gru) for gru in output.grus], "tensors": tensors, "left_out": output.left_out,
                       "unwanted": output.unwanted}, indent=2)


def as_text(output: Output) -> list[str]:
    """The same, a line for each layer and each tensor."""
    lines = []
    for gru in output.grus:
        lines.append(f"GRU \"{gru.prefix}\" from {gru.origin or 'the top level'}")
        for number, layer in enumerate(_gru(gru)["layers"]):
            words = ", ".join(f"{key} {value if isinstance(value, str) else '+'.join(value)}"
                              for key, value in layer.items() if key not in ("inputs", "hidden"))
            lines.append(f"  layer {number}: {layer['inputs']} -> {layer['hidden']}, {words}")
        lines.extend(f"  note: {note}" for note in gru.notes)
    for name, tensor in output.tensors.items():
        shape = "".join(f"[{size}]" for size in tensor.shape)
        lines.append(f"{name} {tensor.dtype}{shape} <- {', '.join(output.sources[name]) or 'zeros'}"
                     + (f", {output.losses[name]}" if name in output.losses else ""))
    lines.extend(f"left out: {name}: {reason}" for name, reason in output.left_out.items())
    lines.extend(f"left out as asked: {name}" for name in output.unwanted)
    return lines
