"""The words that a file's metadata may hold for a GRU, as the library's loader reads them (gru/import.h)."""
from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable

import numpy as np

from libgru.convert.activations import TABLE
from libgru.convert.refused import Refused

_WORDS = {"reset": ("after", "before", "all"), "update": ("keep", "write"), "gate": tuple(TABLE), "candidate": tuple(TABLE),
          "merge": ("concat", "sum", "separate", "average", "multiply")}
_SIGNED = ("gate_alpha", "gate_beta", "candidate_alpha", "candidate_beta")
_NUMBERS = ("clip", "hard_slope", "dropout", *_SIGNED)
_OF_STACK = {"initial_state": ("zeros", "learned")}    # and dropout: not of a layer alone
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")    # as JSON writes them


def check_value(key: str, text: str) -> None:
    """Refuses a value that its field cannot have, whatever the prefix is."""
    field = key.rpartition(".")[2]
    if "gru." in key and _is_field(field):
        _check_value(key, field, text)


def _is_field(field: str) -> bool:
    return field in _WORDS or field in _NUMBERS or field in _OF_STACK


def _check_value(key: str, field: str, text: str) -> None:
    words = _WORDS.get(field) or _OF_STACK.get(field)
    if words:
        if text not in words:
            raise Refused(f"metadata {key} is {text!r}, expected {', '.join(words)}")
        return
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    with np.errstate(over="ignore", under="ignore"):
        single = float(np.float32(number))
    low = "" if field in _SIGNED else " above 0" if field == "hard_slope" else " from 0"
    if not np.isfinite(single) or low and single < 0 or number and not single or field == "dropout" and single >= 1 \
            or field == "hard_slope" and not single:
        raise Refused(f"metadata {key} is {text!r}, expected a number{low} that single precision holds"
                      f"{', below 1' if field == 'dropout' else ''}")


def check(metadata: dict[str, str], layers: dict[str, int], others: Collection[str] = ()) -> None:
    """Refuses words of GRUs that the loader would refuse, or take for nothing. layers: how many each prefix has. others:
    prefixes of further GRUs, which are not checked."""
    for key, text in metadata.items():
        of_direction = re.fullmatch(r"(.*)gru\.l[0-9]+\.reverse\.[^.]*", key, re.DOTALL)
        if of_direction and of_direction[1] in layers:
            raise Refused(f"metadata {key} is of one direction alone, which gru_stack_load reads and this package does not")
        ways = list(_matches(key))
        match = next((found for found in ways if found["prefix"] in layers), None)
        if match is None:
            if ways and _is_field(ways[-1]["field"]) and ways[-1]["prefix"] not in others:
                raise Refused(f"metadata {key} is of a GRU with the prefix {ways[-1]['prefix']!r}, which is not there")
            continue
        field, layer = match["field"], match["layer"]
        if not _is_field(field) or layer and (field == "dropout" or field in _OF_STACK):
            raise Refused(f"metadata {key} names no option that the library knows")
        if layer and int(layer) >= layers[match["prefix"]]:
            raise Refused(f"metadata {key} is of a layer that is not there")
        _check_value(key, field, text)


def check_given(given: dict[str, str], layers: dict[str, int]) -> None:
    """The same of what the user gave, where a key that looks like a GRU's has to be one's."""
    for key in given:
        found = list(_matches(key))
        if found and not any(match["prefix"] in layers for match in found):
            raise Refused(f"--set {key}: there is no GRU with the prefix {found[0]['prefix']!r}")
    check(given, layers)


def _matches(key: str) -> Iterable[re.Match[str]]:
    """A prefix may itself contain gru. : every way to read the key."""
    for start in (found.start() for found in re.finditer(r"gru\.", key)):
        match = re.fullmatch(r"(?P<prefix>.{%d})gru\.(?:l(?P<layer>\d+)\.)?(?P<field>[^.]*)" % start, key, re.DOTALL)
        if match:
            yield match
