"""The patch lists, mutations.txt and faults.txt. README.md describes their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


class Problems(Exception):
    """Sentences, each of which names a line of a list and says what is wrong with it."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


@dataclass
class Mutation:
    name: str
    number: int  # in its list, from 0
    text: str  # what takes the place's place; empty: the statement is left out
    program: str = ""  # faults only: the test program, the test in it, and what it must then print
    test: str = ""
    words: str = ""


@dataclass
class Place:
    line: int
    file: str
    function: str  # empty: the place is a point
    text: str  # the expression, between `...` where its neighbours are given too; or the point's name
    mutations: list[Mutation] = field(default_factory=list)

    def describe(self) -> str:
        if not self.function:
            return f"GRU_FAULT_POINT({self.text}) in {self.file}"
        return f'"{self.text}" in function {self.function} of {self.file}'


@dataclass
class Source:
    path: str
    places: list[Place] = field(default_factory=list)


class PatchList:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.sources: list[Source] = []
        self.mutations: list[Mutation] = []
        self._state: dict[str, str] = {}  # the last file and function
        self._place: Place | None = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            words = line.strip()
            if words and not words.startswith("#") and not self._read(number, words):
                raise Problems([self.sentence(number, f"cannot be read: {words}")])
        self._require_whole()

    def sentence(self, line: int, text: str) -> str:
        return f"{self.path}:{line}: {text}"

    def _read(self, number: int, words: str) -> bool:
        keyword, _, rest = words.partition(" ")
        rest = rest.strip()
        named = re.fullmatch(r"(\w+):\s*(.*)", words)
        if keyword == "source" and rest:
            self.sources.append(Source(rest))
            self._state, self._place = {"file": rest}, None
        elif keyword == "file" and rest and self.sources:
            self._state, self._place = {"file": rest}, None
        elif keyword == "function" and rest and self.sources:
            self._state["function"], self._place = rest, None
        elif keyword in ("place", "point") and rest and self.sources:
            self._add_place(number, keyword, rest)
        elif named and self._place:
            self._add_mutation(number, named.group(1), named.group(2))
        elif keyword in ("test", "words") and rest and self._place and self._place.mutations:
            self._describe_test(self._place.mutations[-1], keyword, rest)
        else:
            return False
        return True

    def _add_place(self, number: int, keyword: str, text: str) -> None:
        function = self._state.get("function", "") if keyword == "place" else ""
        if keyword == "place" and not function:
            raise Problems([self.sentence(number, f"a place needs a function line before it: {text}")])
        self._place = Place(number, self._state["file"], function, text)
        self.sources[-1].places.append(self._place)

    def _add_mutation(self, number: int, name: str, text: str) -> None:
        assert self._place
        if any(m.name == name for m in self.mutations):
            raise Problems([self.sentence(number, f"a second mutation is named {name}")])
        if not text and self._place.function:
            raise Problems([self.sentence(number, f"mutation {name} says nothing to put in the place")])
        mutation = Mutation(name, len(self.mutations), text)
        self.mutations.append(mutation)
        self._place.mutations.append(mutation)

    @staticmethod
    def _describe_test(mutation: Mutation, keyword: str, rest: str) -> None:
        if keyword == "words":
            mutation.words = rest
        else:
            mutation.program, _, mutation.test = rest.partition(" ")

    def _require_whole(self) -> None:
        empty = [self.sentence(p.line, "a place without mutations") for p in self.places() if not p.mutations]
        half = [
            self.sentence(p.line, f"fault {m.name} needs both a test line and a words line")
            for p in self.places()
            for m in p.mutations
            if (m.test == "") != (m.words == "")
        ]
        if empty or half or not self.mutations:
            raise Problems(empty + half or [self.sentence(1, "a list without mutations")])

    def places(self) -> list[Place]:
        return [place for source in self.sources for place in source.places]
