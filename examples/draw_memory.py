#!/usr/bin/env python3
"""Draws the two tables of long_memory as one SVG: long_memory | examples/draw_memory.py PICTURE.svg

Left: accuracy against sequence length. Right: norm of the gradient against distance in time. Lines are medians over the
seeds, bands reach from the smallest to the largest value. Prints the tables too. Needs only Python.
"""
import math
import statistics
import sys
from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 260, 64, 84, 96
COLORS = ["#d9480f", "#8a8a8a", "#0b3c8c", "#2b8a3e"]
DASHES = ["", "2 4", "", "7 5"]  # KEEP and WRITE coincide
SMALLEST = 1e-12


def read(lines):
    """-> [(title, names, {x: [values of a seed]})]. A table is a title, a line of names, and rows: seed, x, values."""
    tables = []
    for line in lines:
        print(line, end="")
        words = line.split()
        if words and words[0].isdigit():
            tables[-1][2].setdefault(int(words[1]), []).append([float(word) for word in words[2:]])
        elif words and words[0] == "seed":
            tables[-1][1].extend(name.strip() for name in line[13:].split("  ") if name.strip())
        elif words:
            tables.append((line.strip(), [], {}))
    return tables


def text(x, y, words, size=12, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def path(points, color, dash):
    steps = " ".join(f"{'ML'[i > 0]}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return f'<path d="{steps}" fill="none" stroke="{color}" stroke-width="2.5" stroke-dasharray="{dash}"/>'


def band(points, color):
    """points: (x, y of the smallest value, y of the largest)."""
    edge = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
    steps = " ".join(f"{'ML'[i > 0]}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(edge))
    return f'<path d="{steps}Z" fill="{color}" fill-opacity="0.16"/>'


class Panel:
    """A logarithmic axis of lengths across; up: shares (0 to 1), or powers of ten down to SMALLEST."""

    def __init__(self, left, table, logarithmic):
        self.left, (self.title, self.names, rows), self.logarithmic = left, table, logarithmic
        self.rows = [(x, seeds) for x, seeds in sorted(rows.items()) if x > 0]
        self.low, self.high = (math.log10(f(x for x, _ in self.rows)) for f in (min, max))

    def across(self, x):
        return self.left + WIDTH * (math.log10(x) - self.low) / (self.high - self.low)

    def up(self, value):
        share = 1 - math.log10(max(value, SMALLEST)) / math.log10(SMALLEST) if self.logarithmic else value
        return TOP + HEIGHT * (1 - share)

    def grid(self):
        powers = range(0, int(math.log10(SMALLEST)) - 1, -3)
        marks = [(10.0 ** p, f"1e{p}" if p else "1") for p in powers] if self.logarithmic else [
            (share / 4, f"{share * 25} %") for share in range(5)]
        out = [text(self.left + WIDTH / 2, TOP - 16, self.title, 12, more=' font-weight="bold"')]
        for value, name in marks:
            y = self.up(value)
            out += [f'<path d="M{self.left} {y:.1f}h{WIDTH}" stroke="#ddd"/>', text(self.left - 8, y + 4, name, 11, "end")]
        for x in [x for p in range(4) for x in (10 ** p, 3 * 10 ** p)]:
            if self.low - 1e-9 <= math.log10(x) <= self.high + 1e-9:
                out += [f'<path d="M{self.across(x):.1f} {TOP}v{HEIGHT}" stroke="#eee"/>',
                        text(self.across(x), TOP + HEIGHT + 18, str(x), 11)]
        return out

    def curves(self):
        bands, lines = [], []
        for i, color in enumerate(COLORS[:len(self.names)]):
            values = [(self.across(x), sorted(seed[i] for seed in seeds)) for x, seeds in self.rows]
            bands.append(band([(x, self.up(of_seeds[0]), self.up(of_seeds[-1])) for x, of_seeds in values], color))
            medians = [(x, statistics.median(of_seeds)) for x, of_seeds in values]
            shown = [(x, self.up(m)) for x, m in medians if not self.logarithmic or m >= SMALLEST]
            lines.append(path(shown, color, DASHES[i]))
        return bands + lines


def legend(names, seeds):
    out, x = [], LEFT
    for i, name in enumerate(names):
        out += [path([(x, 30), (x + 34, 30)], COLORS[i], DASHES[i]), text(x + 42, 34, name, 13, "start")]
        x += 70 + 8 * len(name)
    return out + [text(x, 34, f"line: median of {seeds} seeds, band: range", 12, "start", ' fill="#555"')]


def draw(tables):
    second = LEFT + WIDTH + GAP
    panels = [Panel(LEFT, tables[0], False), Panel(second, tables[1], True)]
    width, height = second + WIDTH + 30, TOP + HEIGHT + 50
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" fill="#222" '
           f'font-family="Helvetica, Arial, sans-serif"><rect width="100%" height="100%" fill="#fff"/>']
    out += legend(panels[0].names, len(panels[0].rows[0][1]))
    for panel, words in zip(panels, ("sequence length L (log scale)", "steps before the end, d (log scale)")):
        out += panel.grid() + panel.curves() + [text(panel.left + WIDTH / 2, TOP + HEIGHT + 38, words, 12)]
    return "\n".join(out + ["</svg>\n"])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tables = [table for table in read(sys.stdin) if table[2]]
    if len(tables) != 2:
        sys.exit("standard input does not hold the two tables of long_memory")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(draw(tables))


if __name__ == "__main__":
    main()
