#!/usr/bin/env python3
"""Mutated copies of sources, by a patch list, and the check that a planted fault is noticed. See README.md.

usage: mutate.py plan LIST                            what CMake needs to know, one line each, from the list alone
       mutate.py write LIST ROOT FOLDER               the copies, names.c and depends.d, into FOLDER
       mutate.py check LIST FAULT PROGRAM             runs the fault's test, which must fail with the fault's words
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mutated_copy import Mutator
from patch_list import PatchList, Problems


def plan(patches: PatchList) -> None:
    for source in patches.sources:
        print(f"source {source.path}")
    for mutation in patches.mutations:
        if mutation.test:
            print(f"fault {mutation.name} {mutation.program} {mutation.test}")


def write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def names_text(patches: PatchList) -> str:
    """The C arrays that test_mutations.c and chosen_fault.c read."""
    sources = [(m.name, source.path) for source in patches.sources for p in source.places for m in p.mutations]
    names = "".join(f'    "{name}",\n' for name, _ in sources)
    files = "".join(f'    "{path}",\n' for _, path in sources)
    return (
        f"const char *const gru_mutations[] = {{\n{names}}};\n"
        f"const char *const gru_mutation_sources[] = {{\n{files}}};\n"
        f"const int gru_mutation_count = {len(sources)};\n"
    )


def write(patches: PatchList, root: Path, folder: Path) -> None:
    mutator = Mutator(patches, root)
    copies = mutator.copies()
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in copies.items():
        write_if_changed(folder / Path(path).name, text)
    write_if_changed(folder / "names.c", names_text(patches))
    read = " ".join(str(mutator.tree.root / path) for path in mutator.tree.texts)
    write_if_changed(folder / "depends.d", f"{folder / 'names.c'}: {read}\n")


def check(patches: PatchList, fault: str, program: str) -> str:
    """What is wrong; empty: the test noticed the fault."""
    found = [m for m in patches.mutations if m.name == fault and m.test]
    if not found:
        return f"{patches.path} has no fault {fault}"
    environment = dict(os.environ, GRU_TEST_FAULT=fault)
    run = subprocess.run(
        [program, found[0].test], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    output = run.stdout.decode("utf-8", "replace")
    print(output[-4000:])
    if run.returncode == 0:
        return f"fault {fault} was not noticed: {found[0].program} {found[0].test} passed"
    if not re.search(found[0].words, output, re.DOTALL):
        return f"fault {fault}: {found[0].test} failed, but not with the words {found[0].words}"
    return ""


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__)
        return 2
    command, rest = arguments[0], arguments[2:]
    try:
        patches = PatchList(Path(arguments[1]))
        if command == "plan" and not rest:
            plan(patches)
        elif command == "write" and len(rest) == 2:
            write(patches, Path(rest[0]), Path(rest[1]))
        elif command == "check" and len(rest) == 2:
            wrong = check(patches, rest[0], rest[1])
            print(wrong or "noticed")
            return 1 if wrong else 0
        else:
            print(__doc__)
            return 2
    except Problems as problems:
        print("\n".join(problems.sentences), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
