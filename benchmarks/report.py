"""The results as text, and for the documentation.

Run by itself, it makes docs/benchmarks.svg and docs/benchmarks.csv out of results.json.
"""

import csv
import io
import json
import math
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def amount(value, unit):
    """A figure with three digits: "1.25 µs"."""
    names = [unit]
    if unit == "ns":
        names = ["ns", "µs", "ms"]
    while value >= 999.5 and len(names) > 1:
        value /= 1000
        names.pop(0)
    digits = max(0, 2 - (value >= 10) - (value >= 100))
    return f"{value:.{digits}f} {names[0]}"


def head(machine):
    return (
        ", ".join(machine.values())
        + f"\n{'':31}{'ours':>9}{'x limit':>9}{'quartiles':>11}{'by name':>9}"
        + f"{'x peer':>8} best peer    at most"
    )


def is_met(row):
    """Whether a row has what it may have; None where nothing is laid down or measured."""
    middle = row["to_limit"]["prctl"] if row["of"] == "limit" else row["to_peer"]
    return None if row["at_most"] is None or middle is None else middle[1] <= row["at_most"]


def line(row):
    low, ratio, high = row["to_limit"]["prctl"]
    text = f"{row['what'][:30]:31}{amount(row['medians']['prctl'], row['unit']):>9}"
    text += f"{ratio:9.2f}{f'{low:.2f}-{high:.2f}':>11}"
    by_name = row["to_limit"].get("prctl.name")
    text += f"{by_name[1]:9.2f}" if by_name else " " * 9
    text += f"{row['to_peer'][1]:8.2f} {row['best_peer']:13}" if row["best_peer"] else " " * 22
    if row["at_most"] is not None:
        text += f"{row['at_most']:.2f}" + (" peer" if row["of"] == "peer" else "")
        text += "" if is_met(row) is not False else " !"
    return text.rstrip()


def as_json(results):
    """A line for each row."""
    rows = [
        f"  {json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}"
        for name, row in results["rows"].items()
    ]
    machine = json.dumps(results["machine"])
    return f'{{\n "machine": {machine},\n "rows": {{\n' + ",\n".join(rows) + "\n }\n}\n"


# For the documentation: ratios only, for the times are those of one machine.

COLORS = {
    "prctl": "#2f81c4",
    "python-prctl": "#c8752a",
    "pyprctl": "#9467bd",
    "setproctitle": "#3d9970",
    "preexec_fn": "#8b8b8b",
}
LEFT, WIDTH, TOP, BAR, GAP = 230, 760, 64, 11, 9


def figures(value):
    """Three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def chart(results):
    """Bars of the ratios to the limit on a logarithmic axis, in colours that any ground bears."""
    rows = results["rows"].values()
    bars = [{label: row["to_limit"].get(label) for label in COLORS} for row in rows]
    values = [ratio[1] for group in bars for ratio in group.values() if ratio]
    lowest, highest = math.log10(min([0.7, *values])), math.log10(max([10, *values]) * 2)

    def place(ratio):
        return round(LEFT + (math.log10(ratio) - lowest) / (highest - lowest) * (WIDTH - LEFT), 1)

    parts, y = [], TOP
    for row, group in zip(rows, bars, strict=True):
        there = {label: ratio[1] for label, ratio in group.items() if ratio}
        middle, what = y + len(there) * BAR / 2 + 4, escape(row["what"])
        parts.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{what}</text>')
        for label, ratio in there.items():
            start, end = sorted((place(1), place(ratio)))
            box = f'x="{start}" y="{y}" width="{max(1, round(end - start, 1))}" height="{BAR - 1}"'
            number = figures(ratio)
            parts.append(
                f'<rect {box} fill="{COLORS[label]}"><title>{label}: {number}</title></rect>'
                f'<text x="{end + 4}" y="{y + BAR - 2}" font-size="9">{number}</text>'
            )
            y += BAR
        y += GAP
    where = escape(", ".join(results["machine"].values()))
    parts.append(f'<text x="{WIDTH}" y="{y + 16}" text-anchor="end" font-size="10">{where}</text>')
    used = [label for label in COLORS if any(group[label] for group in bars)]
    return "\n".join([*_frame(y, place, 10**highest), *_legend(used), *parts, "</svg>\n"])


def _frame(bottom, place, highest):
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 24}" role="img" '
        'font-family="sans-serif" font-size="12" fill="currentColor">'
    )
    yield "<title>Time or memory as a multiple of the limit</title>"
    # As a file of its own it follows the system; inside a page, the colour of the page's text.
    yield (
        "<style>svg:root { color: #1a1a1a } "
        "@media (prefers-color-scheme: dark) "
        "{ svg:root { color: #e4e4e4; background: #15171a } }</style>"
    )
    for power in range(int(math.log10(highest)) + 1):
        x, number = place(10**power), 10**power if power else "limit"
        yield (
            f'<line x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{bottom}" stroke="currentColor" '
            f'stroke-opacity="{0.3 if power else 0.8}"/>'
            f'<text x="{x}" y="{TOP - 12}" text-anchor="middle">{number}</text>'
        )


def _legend(labels):
    for number, label in enumerate(labels):
        x = LEFT + number * 104
        yield (
            f'<rect x="{x}" y="10" width="12" height="12" fill="{COLORS[label]}"/>'
            f'<text x="{x + 17}" y="20">{label}</text>'
        )


def table(results):
    """The same in figures, as CSV."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["", "prctl", "quartiles", "prctl.name", "best peer", "prctl : peer"])
    for row in results["rows"].values():
        low, ratio, high = map(figures, row["to_limit"]["prctl"])
        by_name, peer = row["to_limit"].get("prctl.name"), row["best_peer"]
        writer.writerow(
            [
                row["what"],
                ratio,
                f"{low}-{high}",
                figures(by_name[1]) if by_name else "",
                f"{figures(row['to_limit'][peer][1])} {peer}" if peer else "",
                figures(row["to_peer"][1]) if peer else "",
            ]
        )
    return output.getvalue()


def document():
    results = json.loads(RESULTS.read_text())
    docs = HERE.parent / "docs"
    (docs / "benchmarks.svg").write_text(chart(results))
    (docs / "benchmarks.csv").write_text(table(results))


if __name__ == "__main__":
    document()
