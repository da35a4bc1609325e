"""A picture of results: a bar for each of libgru's, its median time as a part of the incumbent's, which is the line at 1."""
from html import escape
from typing import Any

ROW, LABELS, UNIT, TOP = 20, 515, 260, 40    # UNIT: pixels of the incumbent's time
LONGEST = 2.0


def bar(line: dict[str, Any], y: int) -> str:
    width = min(line["part"], LONGEST) * UNIT
    label = f"{line['pass']}: T {line['T']}, N {line['N']}, H {line['H']}, {line['candidate'].removeprefix('libgru.')}"
    return (f'<text x="{LABELS - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{LABELS}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" fill="#2f7ed8"/>'
            f'<text x="{LABELS + width + 5:.1f}" y="{y + 14}">{line["part"]:.2f}</text>')


def draw(lines: list[dict[str, Any]]) -> str:
    parts, y, incumbent = [], TOP, ""
    for line in lines:
        if line["part"] == 1 and "libgru" not in line["candidate"]:
            if line["candidate"] != incumbent:
                incumbent = line["candidate"]
                parts.append(f'<text x="{LABELS}" y="{y + 18}" font-weight="bold">{escape(incumbent)} = 1 ({escape(line["framework"])})</text>')
                y += ROW + 6
            continue
        parts.append(bar(line, y))
        y += ROW
    height, right = y + 20, LABELS + int(LONGEST * UNIT) + 40
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{height}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-size="14">Time of a call as a part of the '
            f'incumbent\'s, {lines[0]["threads"]} thread; shorter is faster</text>'
            + "\n".join(parts) + f'<line x1="{LABELS + UNIT}" x2="{LABELS + UNIT}" y1="{TOP}" y2="{height - 12}" stroke="#d9480f"/></svg>\n')
