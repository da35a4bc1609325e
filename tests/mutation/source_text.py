"""C and C++ text as tokens, so that comments and layout never matter, and where things stand in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator

_TOKEN = re.compile(
    r"""
    (?P<gap> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<directive> ^[ \t]*\#(?: /\*.*?\*/ | \\\n | [^\n] )* )
  | (?P<token> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
             | [A-Za-z_]\w* | \.?\d(?:[eEpP][+-]|[\w.'])*
             | <<= | >>= | \.\.\. | -> | \+\+ | -- | && | \|\| | :: | << | >> | \#\#
             | [-+*/%&|^=!<>]= | . )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Token:
    text: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """All tokens but comments and preprocessor directives."""
    return [Token(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text) if m.lastgroup == "token"]


def reworded(text: str) -> str:
    """The same program with every comment, and every space between tokens, written differently."""
    return "".join("\n/* in other words; */\n" if m.lastgroup == "gap" else m.group() for m in _TOKEN.finditer(text))


def find_all(tokens: list[Token], wanted: list[Token]) -> list[int]:
    """Where the wanted tokens stand one behind the other."""
    texts, pattern = [t.text for t in tokens], [t.text for t in wanted]
    return [i for i in range(len(texts) - len(pattern) + 1) if texts[i : i + len(pattern)] == pattern]


def closing(tokens: list[Token], opening: int) -> int:
    """The index of the bracket that closes this one; the number of tokens if none does."""
    expected: list[str] = []
    for i in range(opening, len(tokens)):
        if tokens[i].text in _CLOSING:
            expected.append(_CLOSING[tokens[i].text])
        elif expected and tokens[i].text == expected[-1]:
            expected.pop()
            if not expected:
                return i
    return len(tokens)


def function_bodies(tokens: list[Token], name: str) -> Iterator[list[Token]]:
    """The tokens of each definition of the function: NAME (...) {...}."""
    for i, token in enumerate(tokens[:-1]):
        if token.text != name or tokens[i + 1].text != "(":
            continue
        body = closing(tokens, i + 1) + 1
        if body < len(tokens) and tokens[body].text == "const":
            body += 1
        if body < len(tokens) and tokens[body].text == "{":
            yield tokens[body : closing(tokens, body) + 1]


def statement_at(tokens: list[Token], first: int) -> tuple[int, int]:
    """Where in the text the statement that begins at this token begins and ends: at its semicolon, or with its block."""
    has_block = tokens[first].text in ("{", "if", "for", "while", "switch")
    last = first
    while last < len(tokens) - 1 and tokens[last].text != ";":
        opened = tokens[last].text
        last = min(closing(tokens, last), len(tokens) - 1) if opened in _CLOSING else last
        if opened == "{" and has_block:
            break
        last += 1
    return tokens[first].start, tokens[min(last, len(tokens) - 1)].end
