"""One table of activations: that of the library's source is the converter's, and the one in the documentation."""
from __future__ import annotations

import re
import unittest
from pathlib import Path

import numpy as np

from tools import Case

from libgru.convert.activations import TABLE, Function, function

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/core/activations.def"
HEADER = ROOT / "include/gru/gru.h"
PAGE = ROOT / "docs/variants.md"


def rows() -> list[list[str]]:
    """NAME, word, alpha, beta, sign, bound, value, slope of each row of the table."""
    text = re.sub(r"/\*.*?\*/", "", SOURCE.read_text(), flags=re.DOTALL)
    found = []
    for row in re.findall(r"^ACTIVATION\((.*?)\)$", text, flags=re.DOTALL | re.MULTILINE):
        cells, depth = [""], 0
        for char in re.sub(r"\s+", " ", row):
            depth += {"(": 1, ")": -1}.get(char, 0)
            if char == "," and not depth:
                cells.append("")
            else:
                cells[-1] += char
        found.append([cell.strip().strip('"') for cell in cells])
    return found


def number(text: str) -> float | None:
    return None if text == "ABSENT" else float(text.rstrip("f"))


def page_table() -> str:
    """What docs/variants.md has to say."""
    lines = ["| constant `GRU_ACTIVATION_` | word | alpha | beta | value y at v | slope | error |", "|---|---|--:|--:|---|---|--:|"]
    for name, word, alpha, beta, _, bound, value, slope in rows():
        shown = ("" if number(text) is None else f"{number(text):g}" for text in (alpha, beta))
        lines.append(f"| `{name}` | `{word}` | {' | '.join(shown)} | `{value}` | `{slope}` | {bound} |")
    return "\n".join(lines) + "\n"


class Table(Case):
    def test_the_library_s_rows(self) -> None:
        self.assertEqual([row[1] for row in rows()], list(TABLE))
        for _, word, alpha, beta, sign, *_ in rows():
            facts = TABLE[word]
            self.assertEqual((facts.alpha, facts.beta), (number(alpha), number(beta)), word)
            self.assertEqual(facts.negative, sign == "ANY_SIGN", word)

    def test_the_header_s_constants(self) -> None:
        constants = re.findall(r"GRU_ACTIVATION_(\w+) += (\d+)", HEADER.read_text())
        self.assertEqual(constants, [(row[0], str(16 + k)) for k, row in enumerate(rows())])

    def test_the_page(self) -> None:
        found = re.search(r"<!-- table activations -->\n(.*?)<!-- end -->", PAGE.read_text(), flags=re.DOTALL)
        assert found
        self.assertEqual(found[1], page_table(), "docs/variants.md has another table; page_table() makes the right one")


class Functions(Case):
    """Values from the definitions, at hand-picked numbers."""

    def test_values(self) -> None:
        v = np.array([-2.0, 0.5, 7.0])
        for made, expected in ((Function("affine", 2.0, 1.0), [-3, 2, 15]), (Function("leaky_relu", 0.5), [-1, 0.5, 7]),
                               (Function("thresholded_relu", 0.5), [0, 0, 7]), (Function("relu6"), [0, 0.5, 6]),
                               (Function("hard_sigmoid", 0.25, 0.5), [0, 0.625, 1]), (Function("hard_tanh"), [-1, 0.5, 1]),
                               (Function("softsign"), [-2 / 3, 1 / 3, 7 / 8]), (Function("hard_silu"), [-1 / 3, 7 / 24, 7]),
                               (Function("elu", 2.0), [2 * np.expm1(-2), 0.5, 7]), (Function("exponential"), np.exp(v)),
                               (Function("gelu"), [-0.04550026389635842, 0.34573123063700656, 6.999999999991041]),
                               (Function("softplus"), [0.12692801104297263, 0.9740769841801067, 7.000911466453774])):
            np.testing.assert_allclose(made(v), expected, rtol=1e-13, err_msg=made.word)

    def test_faults(self) -> None:
        for made, words in ((Function("affine", 2.0), ""), (Function("affine", -2.0, 1.0), ""),
                            (Function("elu", -1.0), "above 0"), (Function("elu", float("inf")), "single precision"),
                            (Function("affine", 1e-60, 1.0), "single precision"), (Function("affine", 0.0, 1.0), "than 0 for alpha"),
                            (Function("hard_sigmoid", 0.2, 0.0), "than 0 for beta"), (Function("cosine"), "expected one of sigmoid")):
            self.assertIn(words, made.fault())
            self.assertEqual(bool(words), bool(made.fault()))

    def test_plain(self) -> None:
        for made, word in ((Function("elu", 0.0), "relu"), (Function("leaky_relu", 1.0), "linear"), (Function("elu", 1.0), "elu"),
                           (Function("affine", 1.0, 0.0), "linear"), (Function("scaled_tanh", 1.0, 1.0), "tanh")):
            self.assertEqual(made.plain().word, word)

    def test_a_file_s_numbers(self) -> None:
        self.assertEqual(function("elu", 0.0, 0.0), Function("elu", 1.0))
        self.assertEqual(function("hard_sigmoid", 0.0, 0.25), Function("hard_sigmoid", 0.2, 0.25))
        self.assertEqual(function("tanh", 0.0, 0.0), Function("tanh"))


if __name__ == "__main__":
    unittest.main()
