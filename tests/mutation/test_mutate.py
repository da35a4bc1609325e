#!/usr/bin/env python3
"""Places are found whatever comments and layout are like, and what is not found exactly once is said in a sentence."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import unittest
from pathlib import Path

import mutate
from mutated_copy import Mutator
from patch_list import PatchList, Problems
from source_text import reworded

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CELL = """
static float slope(float v) { /* of f */
    if (v < 0) return 0; // left
    return 2 * v + 1;
}
"""
ONE = "source src/cell.c\nfunction slope\nplace 2 * v\n    half: v\n"


class InTree(unittest.TestCase):
    """A small tree of sources, and a list for it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def copies(self, text: str, sources: dict[str, str]) -> dict[str, str]:
        for path, source in sources.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(source, encoding="utf-8")
        (self.root / "list.txt").write_text(text, encoding="utf-8")
        return Mutator(PatchList(self.root / "list.txt"), self.root).copies()

    def copy(self, text: str, source: str) -> str:
        return self.copies(text, {"src/cell.c": source})["src/cell.c"]

    def problems(self, text: str, source: str) -> list[str]:
        with self.assertRaises(Problems) as caught:
            self.copy(text, source)
        return [sentence.replace(f"{self.root}/", "") for sentence in caught.exception.sentences]


class Places(InTree):
    def test_an_expression_becomes_a_choice(self) -> None:
        copy = self.copy(ONE, CELL)
        self.assertIn("return (gru_mutation == 0 ? (v) : (2 * v)) + 1;", copy)
        self.assertIn("extern int gru_mutation;", copy)

    def test_comments_and_layout_do_not_matter(self) -> None:
        split, remarked = CELL.replace("2 * v", "2\n  * /* twice */ v"), CELL.replace("{", "\n{ // 2 * v")
        for source in (reworded(CELL), split, remarked):
            self.assertEqual(self.copy(ONE, source).count("gru_mutation == 0"), 1)

    def test_neighbours_tell_places_apart(self) -> None:
        text = ONE.replace("place 2 * v", "place if (`v` < 0)").replace("half: v", "half: -v")
        self.assertIn("if ((gru_mutation == 0 ? (-v) : (v)) < 0)", self.copy(text, CELL))

    def test_a_point_names_the_statement_behind_it(self) -> None:
        source = (
            "#define GRU_FAULT_POINT(name)\nvoid f(void) {\n    GRU_FAULT_POINT(stored) wait(a, b);\n    go();\n}"
        )
        copy = self.copy("source src/cell.c\npoint stored\n    early:\n", source)
        self.assertIn("if (gru_mutation == 0) {  } else { wait(a, b); }\n    go();", copy)

    def test_a_header_is_written_into_the_copy(self) -> None:
        text = ONE.replace("function", "file src/slope.h\nfunction")
        source = '#include "slope.h"\n#include "other.h"\nint last;\n'
        copy = self.copies(text, {"src/slope.h": CELL, "src/other.h": "", "src/cell.c": source})["src/cell.c"]
        self.assertIn("gru_mutation == 0", copy)
        self.assertIn('#line 2 "src/cell.c"\n#include "src/other.h"\nint last;', copy)

    def test_a_header_may_be_included_from_src(self) -> None:
        text = ONE.replace("function", "file src/core/slope.h\nfunction")
        copies = self.copies(text, {"src/core/slope.h": CELL, "src/cell.c": '#include "core/slope.h"\n'})
        self.assertIn("gru_mutation == 0", copies["src/cell.c"])


class Sentences(InTree):
    def test_a_place_that_is_not_there(self) -> None:
        self.assertEqual(
            self.problems(ONE, CELL.replace("2 *", "3 *")),
            [
                'list.txt:3: mutation half: "2 * v" in function slope of src/cell.c is found 0 times, not once; '
                "correct this list, or the code"
            ],
        )

    def test_a_place_that_is_there_twice(self) -> None:
        found = self.problems(ONE, CELL.replace("1", "2 * v"))[0]
        self.assertIn('"2 * v" in function slope of src/cell.c is found 2 times', found)

    def test_a_function_or_a_file_that_is_not_there(self) -> None:
        self.assertIn("defines 0 functions of that name", self.problems(ONE, CELL.replace("slope", "tilt"))[0])
        self.assertIn("defines 2 functions of that name", self.problems(ONE, CELL + CELL)[0])
        elsewhere = ONE.replace("function", "file src/cell.h\nfunction")
        self.assertIn("src/cell.h: there is no such file", self.problems(elsewhere, CELL)[0])

    def test_a_file_that_the_source_does_not_include(self) -> None:
        (self.root / "src").mkdir()
        (self.root / "src/slope.h").write_text(CELL, encoding="utf-8")
        found = self.problems(ONE.replace("function", "file src/slope.h\nfunction"), "int last;\n")
        self.assertIn("src/cell.c does not include src/slope.h", found[0])

    def test_places_that_overlap(self) -> None:
        text = ONE + "place 2 * v + 1\n    nothing: 0\n"
        self.assertIn("overlaps", self.problems(text, CELL)[0])

    def test_points(self) -> None:
        missing = self.problems("source src/cell.c\npoint stored\n    early:\n", CELL)[0]
        self.assertIn("mutation early: GRU_FAULT_POINT(stored) in src/cell.c is found 0 times", missing)
        unused = self.problems(ONE, CELL + "void f(void) { GRU_FAULT_POINT(stored) wait(); }\n")[0]
        self.assertEqual(unused, "src/cell.c: GRU_FAULT_POINT(stored) has no mutation in list.txt")

    def test_all_problems_are_told_at_once(self) -> None:
        self.assertEqual(len(self.problems(ONE + "place 4 * v\n    quarter: v\n", CELL.replace("2", "3"))), 2)

    def test_lists_that_cannot_be_read(self) -> None:
        wrong = {
            "list.txt:1: cannot be read: half: v": "half: v\n",
            "list.txt:5: a second mutation is named half": ONE + "    half: 0\n",
            "list.txt:2: a place needs a function line before it: 2 * v": ONE.replace("function slope\n", ""),
            "list.txt:4: mutation half says nothing to put in the place": ONE.replace("half: v", "half:"),
            "list.txt:5: a place without mutations": ONE + "place v\n",
            "list.txt:3: fault half needs both a test line and a words line": ONE + "        words data race\n",
        }
        for sentence, text in wrong.items():
            self.assertEqual(self.problems(text, CELL), [sentence])


class Faults(InTree):
    """check: a test that passes, or fails for another reason, has not noticed the fault."""

    def check(self, program: str) -> str:
        path = self.root / "program"
        path.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        path.chmod(0o755)
        text = ONE + "        test program slopes\n        words slope .* not\n"
        (self.root / "list.txt").write_text(text, encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            return mutate.check(PatchList(self.root / "list.txt"), "half", str(path))

    def test_a_fault_is_noticed_by_its_words(self) -> None:
        self.assertEqual(self.check('[ "$1 $GRU_TEST_FAULT" = "slopes half" ] && echo "slope is not" && exit 1'), "")

    def test_a_program_that_passes_noticed_nothing(self) -> None:
        self.assertIn("fault half was not noticed", self.check('echo "slope is not"'))

    def test_another_failure_is_not_the_fault(self) -> None:
        self.assertIn("not with the words slope .* not", self.check("exit 1"))


class OurLists(InTree):
    def test_every_place_is_found_in_sources_with_other_comments(self) -> None:
        for name in ("mutations.txt", "faults.txt"):
            patches = PatchList(HERE / name)
            mutator = Mutator(patches, ROOT)
            mutator.copies()
            for path, text in mutator.tree.texts.items():
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / path).write_text(reworded(text), encoding="utf-8")
            copies = Mutator(patches, self.root).copies()
            for mutation in patches.mutations:
                chosen = re.compile(rf"gru_mutation == {mutation.number}\b")
                self.assertTrue(any(chosen.search(copy) for copy in copies.values()), mutation.name)


if __name__ == "__main__":
    unittest.main()
