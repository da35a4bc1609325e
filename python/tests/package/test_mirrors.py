"""The structs that Python makes of the headers are those that the C compiler makes."""
from __future__ import annotations

import ctypes
import re
import subprocess
import unittest
from typing import Any

from support import INCLUDE, compiled

from libgru import _headers
from libgru._library import library

PROGRAM = """#include <stddef.h>
#include <stdio.h>
%s
int main(void) {
%s
    return 0;
}
"""


def facts(name: str, struct: Any) -> list[tuple[str, int]]:
    """Sizes and offsets as Python sees them, and the C expressions for the same."""
    found = [(f"sizeof({name})", ctypes.sizeof(struct))]
    for member, _ in struct._fields_:
        place = getattr(struct, member)
        found += [(f"offsetof({name}, {member})", place.offset), (f"sizeof((({name} *)0)->{member})", place.size)]
    return found


class Mirrors(unittest.TestCase):
    def setUp(self) -> None:
        self.known = _headers.read(INCLUDE / "gru")
        self.headers = "".join(path.read_text() for path in sorted((INCLUDE / "gru").glob("*.h")))

    def test_sizes_and_offsets_are_the_compiler_s(self) -> None:
        expected = [fact for name, struct in self.known.structs.items() for fact in facts(name, struct)]
        expected += list(self.known.constants.items())
        self.assertGreater(len(expected), 200)
        includes = "".join(f"#include <gru/{path.name}>\n" for path in sorted((INCLUDE / "gru").glob("*.h")))
        lines = "".join(f'    printf("%lld\\n", (long long)({expression}));\n' for expression, _ in expected)
        ran = subprocess.run([compiled(PROGRAM % (includes, lines))], capture_output=True, text=True, check=True)
        for (expression, value), found in zip(expected, ran.stdout.split(), strict=True):
            self.assertEqual(value, int(found), expression)

    def test_nothing_is_overlooked(self) -> None:
        structs = re.findall(r"^typedef struct (\w+) \{", self.headers, re.MULTILINE)
        self.assertEqual(sorted(structs), sorted(self.known.structs))
        functions = re.findall(r"^GRU_API .*?\b(gru_\w+)\(", self.headers, re.MULTILINE)
        self.assertEqual(sorted(functions), sorted(self.known.functions))
        missing = [name for name in functions if not hasattr(library().c, name)]
        self.assertEqual(missing, [])

    def test_arguments_that_are_no_pointers(self) -> None:
        """By hand, for a function with each kind."""
        self.assertEqual(self.known.functions["gru_layer_sizes"],
                         (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]))
        self.assertEqual(self.known.functions["gru_file_tensor"],
                         (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]))
        self.assertEqual(self.known.functions["gru_order_counts"],
                         (ctypes.c_int32, [ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p]))
        self.assertEqual(self.known.functions["gru_context_release"], (None, [ctypes.c_void_p]))


if __name__ == "__main__":
    unittest.main()
