"""Rounds the weights of GRUs to int8, with a scale for each row, and tells what that lost."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from libgru.convert.output import Output
from libgru.convert.refused import Refused
from libgru.convert.tensor import Tensor

Numbers = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)


def _numbers(name: str, tensor: Tensor) -> Numbers:
    numbers = tensor.values()
    wrong = np.argwhere(~(np.abs(numbers) <= LARGEST))
    if len(wrong):
        place = "".join(f"[{index}]" for index in wrong[0])
        raise Refused(f"--int8: {name}{place} is {numbers[tuple(wrong[0])]:g}, expected a finite number of single precision")
    return numbers


def round_rows(numbers: Numbers) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers [rows][columns] and scales [rows]: the largest magnitude of a row becomes 127, ties go to even. A row of zeros
    has scale 0. As the library does where it packs weights of a layer of int8."""
    scales = (np.abs(numbers).max(axis=1, initial=0) / 127).astype(np.float32)
    divisors = np.where(scales == 0, 1, scales).astype(np.float64)[:, None]
    integers = np.clip(np.rint(np.where(scales[:, None] == 0, 0, numbers) / divisors), -127, 127)
    return integers.astype(np.int8), scales


def _loss(numbers: Numbers, integers: NDArray[np.int8], scales: NDArray[np.float32]) -> str:
    """Tells the root mean square of the errors over that of the numbers, and the largest error."""
    errors = integers * scales.astype(np.float64)[:, None] - numbers
    norm = float(np.sqrt(np.square(numbers).sum()))
    relative = float(np.sqrt(np.square(errors).sum())) / norm if norm else 0.0
    return f"rounded to int8: error {relative:.2%} in the root mean square, {np.abs(errors).max(initial=0):.2g} at most"


def round_weights(output: Output) -> None:
    """Makes both matrices of each cell int8, and its other parts f32; output.losses tells what was lost."""
    for gru in output.grus:
        for number, layer in enumerate(gru.layers):
            for end, cell in layer.cells().items():
                for part in cell.parts():
                    name = f"{gru.prefix}{part}_l{number}{end}"
                    numbers = _numbers(name, output.tensors[name])
                    if not part.startswith("weight"):
                        output.tensors[name] = Tensor("F32", numbers.astype("<f4"))
                        continue
                    integers, scales = round_rows(numbers)
                    output.tensors[name] = Tensor("I8", integers)
                    output.add(f"{gru.prefix}{part}_scale_l{number}{end}", Tensor("F32", scales.astype("<f4")),
                               output.sources[name])
                    output.losses[name] = _loss(numbers, integers, scales)
