"""Copies of sources in which gru_mutation chooses, while the program runs, which mutation there is.

A header is written into the copy where it is mutated, or includes a mutated one. So a copy is one file, and needs no copies of
its neighbours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from patch_list import PatchList, Place, Problems, Source
from source_text import Token, find_all, function_bodies, statement_at, tokens_of

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"[^\n]*$', re.MULTILINE)
_POINT = "GRU_FAULT_POINT"


@dataclass(frozen=True)
class Edit:
    start: int
    end: int
    text: str
    place: Place


class Tree:
    """The files below a root, and which of them were read."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.texts: dict[str, str] = {}

    def read(self, path: str) -> str:
        if path not in self.texts:
            self.texts[path] = (self.root / path).read_text(encoding="utf-8")
        return self.texts[path]

    def included(self, path: str, name: str) -> str | None:
        """The file that path includes as "name", beside it or in src; others are left to the compiler."""
        for folder in ((self.root / path).parent, self.root / "src"):
            found = folder.joinpath(name).resolve()
            if found.is_file() and self.root in found.parents:
                return found.relative_to(self.root).as_posix()
        return None


# ---- places ----


def _marked(text: str) -> tuple[str, str, str]:
    """What stands before the expression, the expression, and what stands behind it."""
    parts = text.split("`")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return "", text, ""


def _spans(tokens: list[Token], place: Place) -> list[tuple[int, int]]:
    """Where in the text of its file the place is."""
    if not place.function:
        marker = tokens_of(f"{_POINT}({place.text})")
        return [statement_at(tokens, i + len(marker)) for i in find_all(tokens, marker)]
    before, expression, behind = (tokens_of(part) for part in _marked(place.text))
    spans = []
    for body in function_bodies(tokens, place.function):
        for i in find_all(body, before + expression + behind):
            first = i + len(before)
            spans.append((body[first].start, body[first + len(expression) - 1].end))
    return spans


def _choice(original: str, place: Place) -> str:
    """The original, or one of the mutations of it."""
    choice = original
    statement = not place.function or original.endswith(";")
    for mutation in place.mutations:
        if statement:
            choice = f"if (gru_mutation == {mutation.number}) {{ {mutation.text} }} else {{ {choice} }}"
        else:
            choice = f"(gru_mutation == {mutation.number} ? ({mutation.text}) : ({choice}))"
    return choice


class Mutator:
    """Copies the sources of a list; what is wrong with its places is collected."""

    def __init__(self, patches: PatchList, root: Path) -> None:
        self.patches = patches
        self.tree = Tree(root)
        self.problems: list[str] = []

    def copies(self) -> dict[str, str]:
        """The text of each source's copy."""
        copies = {source.path: self._copy(source) for source in self.patches.sources}
        self._find_unused_points()
        if self.problems:
            raise Problems(self.problems)
        return copies

    def _complain(self, place: Place, text: str) -> None:
        names = ", ".join(mutation.name for mutation in place.mutations)
        self.problems.append(
            self.patches.sentence(place.line, f"mutation {names}: {text}; correct this list, or the code")
        )

    def _edit(self, tokens: list[Token], text: str, place: Place) -> Edit | None:
        if place.function and len(list(function_bodies(tokens, place.function))) != 1:
            count = len(list(function_bodies(tokens, place.function)))
            self._complain(place, f"{place.describe()}: the file defines {count} functions of that name, not one")
            return None
        spans = _spans(tokens, place)
        if len(spans) != 1:
            self._complain(place, f"{place.describe()} is found {len(spans)} times, not once")
            return None
        start, end = spans[0]
        return Edit(start, end, _choice(text[start:end], place), place)

    def _mutated(self, path: str, places: list[Place]) -> str:
        """The file's text with choices in its places."""
        if not (self.tree.root / path).is_file():
            for place in places:
                self._complain(place, f"{place.describe()}: there is no such file")
            return ""
        text = self.tree.read(path)
        tokens = tokens_of(text)
        edits = [edit for edit in (self._edit(tokens, text, place) for place in places) if edit]
        edits.sort(key=lambda edit: edit.start, reverse=True)
        for later, edit in zip(edits, edits[1:]):
            if edit.end > later.start:
                self._complain(edit.place, f"{edit.place.describe()} overlaps {later.place.describe()}")
        for edit in edits:
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def _copy(self, source: Source) -> str:
        by_file: dict[str, list[Place]] = {source.path: []}
        for place in source.places:
            by_file.setdefault(place.file, []).append(place)
        mutated = {path: self._mutated(path, places) for path, places in by_file.items()}
        written: set[str] = set()
        text = self._whole(source.path, mutated, written)
        for path in sorted(set(by_file) - written):
            for place in by_file[path]:
                self._complain(place, f"{source.path} does not include {path}")
        return f"extern int gru_mutation;\n{text}"

    def _includes_mutated(self, path: str, mutated: dict[str, str]) -> bool:
        if path in mutated:
            return True
        names = _INCLUDE.findall(self.tree.read(path))
        inner = [self.tree.included(path, name) for name in names]
        return any(self._includes_mutated(file, mutated) for file in inner if file)

    def _whole(self, path: str, mutated: dict[str, str], written: set[str]) -> str:
        """The file's text with the text of all that includes a mutated file, and the rest included from the root."""
        if not (self.tree.root / path).is_file():
            return ""
        text = mutated[path] if path in mutated else self.tree.read(path)
        written.add(path)

        def replace(include: re.Match[str]) -> str:
            inner = self.tree.included(path, include.group(1))
            if not inner:
                return include.group()
            if not self._includes_mutated(inner, mutated):
                return f'#include "{inner}"'
            line = text.count("\n", 0, include.end()) + 2
            return f'{self._whole(inner, mutated, written)}\n#line {line} "{path}"'

        return f'#line 1 "{path}"\n{_INCLUDE.sub(replace, text)}'

    def _find_unused_points(self) -> None:
        """A marker that no mutation uses tells the reader of the code something untrue."""
        named = {(place.file, place.text) for place in self.patches.places() if not place.function}
        for path, text in self.tree.texts.items():
            tokens = tokens_of(text)
            for i in find_all(tokens, tokens_of(f"{_POINT}(")):
                name = tokens[i + 2].text
                if (path, name) not in named:
                    self.problems.append(f"{path}: {_POINT}({name}) has no mutation in {self.patches.path}")
