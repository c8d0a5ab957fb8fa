"""Write README's table from results/: nothing in it is typed by hand.

python -m reproduce.tables [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "<!-- table from results/ -->", "<!-- end of table -->"
ROWS = ["mnist5k", "digits", "mnist", "imagenette128-frozen", "imbalanced10-frozen", "imbalanced20-frozen"]
ROWS += ["ucf101_av7", "mnist_fsdd", "fsdd"]
HIDDEN = (" alone", "joined", "matched", ", image", ", audio", ", video")  # ways that the methods' pages show


def table() -> str:
    lines = ["| set | method | accuracy (median, worst) | NMI | seeds | seconds |", "| --- | --- | --- | --- | --- | --- |"]
    for name in ROWS:
        file = ROOT / "results" / f"{name}.json"
        if not file.exists():
            continue
        content = json.loads(file.read_text())
        ways = {way: found for way, found in content["methods"].items() if name == "fsdd" or not way.endswith(HIDDEN)}
        for i, (method, found) in enumerate(sorted(ways.items(), key=lambda way: not way[0].startswith("sela-nn"))):
            s = found["summary"]
            shown = content["data"] if i == 0 else ""
            if len(shown) > 60:
                shown = shown.split(" of [")[0]
            accuracy = f"**{s['accuracy']['median']:.3f}**, {s['accuracy']['worst']:.3f}"
            lines.append(
                f"| {shown} | {method} | {accuracy} | {s['nmi']['median']:.3f} | {len(s['seeds'])} | {s['seconds_median']:.0f} |"
            )
    return "\n".join(lines)


def with_table(text: str) -> str:
    before, rest = text.split(START)
    return f"{before}{START}\n{table()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    made = with_table(text)
    if "--check" in sys.argv:
        raise SystemExit(0 if made == text else "README's table is not that of results/; run python -m reproduce.tables")
    readme.write_text(made)


if __name__ == "__main__":
    main()
