#!/usr/bin/env python3
"""Makes empty stand-ins for the CUDA libraries that PyPI's torch is linked with, beside it, so that it can be imported on a
machine without a GPU and without 3 GB of libraries. Every function that it asks for answers with an error.

Run it with the Python whose torch it is. Needs gcc, and readelf and nm of the binutils.
"""
from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SYSTEM = re.compile(r"(ld-linux|lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|gomp|gfortran|quadmath)\.so)")
# How the functions of a library are called, where the symbols have no version that tells.
BEGINNINGS = {"libcudart": "_*cuda", "libcupti": "cupti", "libcudnn": "cudnn", "libcufile": "cuFile", "libcufft": "cufft",
              "libcusparseLt": "cusparseLt", "libcusparse": "cusparse(?!Lt)", "libnccl": "p?nccl", "libcublasLt": "cublasLt",
              "libcublas": "cublas(?!Lt)", "libnvrtc": "nvrtc", "libnvshmem_host": "nvshmem", "libcusolver": "cusolver"}
TEXT = re.compile(r".*([eE]rrorString|ErrorName|LastErrorString|StatusString|StatusName)")


def output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def needed(libraries: list[Path]) -> set[str]:
    """Names of libraries that these are linked with and that are neither among them nor the system's."""
    here = {library.name for library in libraries}
    found = {name for library in libraries for name in re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", str(library)))}
    return {name for name in found if name not in here and not SYSTEM.match(name)}


def versions(library: Path) -> dict[str, str]:
    """Which library a version of symbols belongs to, as this one asks for it."""
    found: dict[str, str] = {}
    file = ""
    for line in output("readelf", "-VW", str(library)).splitlines():
        if match := re.search(r"Version: 1\s+File: (\S+)", line):
            file = match[1]
        elif match := re.search(r"Name: (\S+)\s+Flags", line):
            found[match[1]] = file
    return found


def symbols(libraries: list[Path], wanted: set[str]) -> dict[str, dict[str, set[str]]]:
    """What is undefined, by the library that it comes from and its version ("": none)."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    plain: set[str] = set()
    defined: set[str] = set()
    for library in libraries:
        files = versions(library)
        for line in output("nm", "-D", "--with-symbol-versions", str(library)).splitlines():
            parts = line.split()
            if parts[0] not in ("U", "w", "v"):
                defined.add(parts[2].split("@")[0])
                continue
            name, _, version = parts[1].partition("@")
            version = version.strip("@")
            if files.get(version) in wanted:
                found[files[version]][version].add(name)
            elif not version:
                plain.add(name)
    for library_name in wanted:
        beginning = BEGINNINGS.get(library_name.split(".so")[0])
        if beginning:
            found[library_name][""] |= {name for name in plain - defined if re.match(beginning, name)}
    return found


def source(names: set[str]) -> str:
    """One function for each name: 100 means that there is no device."""
    lines = []
    for name in sorted(names):
        if TEXT.fullmatch(name):
            lines.append(f'const char *{name}(void) {{ return "there is no CUDA here"; }}')
        else:
            lines.append(f"long {name}(void) {{ return {0 if name.startswith(('__cuda', 'nvshmemid')) else 100}; }}")
    return "\n".join(lines) + "\n"


def make(name: str, by_version: dict[str, set[str]], target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        code, script = Path(folder) / "stand_in.c", Path(folder) / "versions"
        every = set().union(*by_version.values()) if by_version else set()
        code.write_text(source(every))
        script.write_text("\n".join(f"{version} {{ global: {'; '.join(sorted(names))}; }};"
                                    for version, names in sorted(by_version.items()) if version and names))
        versioned = [f"-Wl,--version-script={script}"] if script.read_text() else []
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{name}", "-o", str(target / name),
                        str(code), *versioned], check=True)


def main() -> int:
    place = importlib.util.find_spec("torch")
    if place is None or place.origin is None:
        print("torch is not installed", file=sys.stderr)
        return 1
    folder = Path(place.origin).parent
    libraries = sorted(folder.glob("lib/*.so"))
    wanted = needed(libraries)
    target = folder.parent / "nvidia" / "cu13" / "lib"    # where torch looks for them
    target.mkdir(parents=True, exist_ok=True)
    found = symbols(libraries, wanted)
    for name in sorted(wanted):
        make(name, found.get(name, {}), target)
    print(f"{len(wanted)} stand-ins in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
