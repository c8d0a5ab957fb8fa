"""Write the tables of README, docs/field.md and the methods' pages from results/: nothing in them is typed by hand.

python -m reproduce.tables [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

from selflabel.evaluation.diagnostics import Signs, estimated_accuracy
from selflabel.methods import BASELINES, METHODS

ROOT = Path(__file__).parents[1]
START, END = "<!-- table from results/ -->", "<!-- end of table -->"
ROWS = ["mnist5k", "digits", "mnist", "imagenette128-frozen", "imbalanced10-frozen", "imbalanced20-frozen"]
ROWS += ["ucf101_av7", "mnist_fsdd", "fsdd"]
SHOWN = (", both", ", uniform masses", ", video alone")  # variants that README shows, too; the methods' pages have the others


def readme_table() -> str:
    lines = ["| set | method | accuracy (median, worst) | NMI | seeds | seconds |", "| --- | --- | --- | --- | --- | --- |"]
    for name in ROWS:
        file = ROOT / "results" / f"{name}.json"
        if not file.exists():
            continue
        content = json.loads(file.read_text())
        ways = {w: found for w, found in content["methods"].items() if name == "fsdd" or "," not in w or w.endswith(SHOWN)}
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


def field_tables() -> str:
    """A table for every set on which the methods were compared, best first, then those on uneven classes."""
    parts = []
    for content in field():
        lines = ["| method | accuracy | NMI | estimated | neighbours | linear | 5 labelled a class | epochs | seconds | MB |"]
        for method, found in best_first(content["methods"]):
            s, rows = found["summary"], found["rows"]
            probes = [mean(r["probe"][k] for r in rows) for k in ("knn", "linear")] + [mean(r["probe"]["few"]["5"] for r in rows)]
            several = [Signs(**r["signs"]) for r in rows if r["estimated accuracy"] is not None]  # heads
            guesses = [estimated_accuracy(signs, "frozen" not in content["data"])["value"] for signs in several]
            guess = f"{mean(guesses):.2f}" if guesses else ""
            numbers = [spread(s, "accuracy"), spread(s, "nmi"), guess, *(f"{p:.3f}" for p in probes)]
            numbers += [f"{mean(r[k] for r in rows):.0f}" for k in ("epochs", "seconds", "MB")]
            lines.append(f"| {method} | {' | '.join(numbers)} |")
        parts.append(titled(content["data"], f"{content['budget']} a method", content, lines))
    for file in sorted((ROOT / "results").glob("imbalance-*.json")):
        content = json.loads(file.read_text())
        lines = ["| method | accuracy | NMI | recall of the three smallest classes | labels |"]
        for way, found in best_first(content["methods"]):
            s = found["summary"]
            labels = f"{mean(r['n_clusters'] for r in found['rows']):.1f}"
            lines.append(f"| {way} | {spread(s, 'accuracy')} | {spread(s, 'nmi')} | {s['small']:.3f} | {labels} |")
        parts.append(titled(content["data"], content["budget"], content, lines))
    return "\n\n".join(parts)


def field() -> list[dict]:
    """What reproduce/field.py measured, a set each."""
    return [json.loads(file.read_text()) for file in sorted((ROOT / "results").glob("field-*.json"))]


def patterns() -> list[dict]:
    """What reproduce/patterns.py measured of the baselines, a set each."""
    return [json.loads(file.read_text()) for file in sorted((ROOT / "results").glob("patterns-*.json"))]


def best_first(methods: dict) -> list[tuple[str, dict]]:
    return sorted(methods.items(), key=lambda way: -way[1]["summary"]["accuracy"]["mean"])


def videos_table() -> str:
    """Every way on the clips, best first."""
    lines = ["| labelled by | accuracy | NMI | seeds | seconds |", "| --- | --- | --- | --- | --- |"]
    for way, found in best_first(json.loads((ROOT / "results/ucf101_av7.json").read_text())["methods"]):
        s = found["summary"]
        lines.append(f"| {way} | {spread(s, 'accuracy')} | {spread(s, 'nmi')} | {len(s['seeds'])} | {s['seconds_median']:.0f} |")
    return "\n".join(lines)


def spread(summary: dict, score: str) -> str:
    """Mean and spread over seeds; of one seed its number."""
    numbers = summary[score]
    return f"{numbers['mean']:.3f}" + (f" ± {numbers['sd']:.3f}" if len(summary["seeds"]) > 1 else "")


def titled(data: str, budget: str, content: dict, lines: list[str]) -> str:
    rule = "| --- " * (lines[0].count("|") - 1) + "|"
    counts = sorted({len(found["summary"]["seeds"]) for found in content["methods"].values()})
    many = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    over = "one seed" if many == "1" else f"mean and spread over {many} seeds"
    head = f"### {data}\n\n{budget}; {over}; {content['machine']}; {content['date']}."
    return "\n".join([head, "", lines[0], rule, *lines[1:]])


def with_tables(text: str, tables: list[str]) -> str:
    """The text with these tables between its marks, in their order."""
    before, *rest = text.split(START)
    return before + "".join(f"{START}\n{table}\n{END}{part.split(END, 1)[1]}" for table, part in zip(tables, rest, strict=True))


def overview() -> str:
    """Mean accuracy of every method on every set of the field; the best of a set stands out."""
    sets = field()
    means = [{way: found["summary"]["accuracy"]["mean"] for way, found in content["methods"].items()} for content in sets]
    heads = [f"{content['data'].split(':')[0]}, {content['budget'].removesuffix(' of training')}" for content in sets]
    lines = [f"| method | {' | '.join(heads)} |", "| --- " * (1 + len(sets)) + "|"]
    ways = [way for way in (*METHODS, *BASELINES) if any(way in of for of in means)]
    for way in sorted(ways, key=lambda way: -mean(of[way] for of in means if way in of)):
        cells = [f"{of[way]:.3f}" if way in of else "" for of in means]
        lines.append(
            f"| {way} | {' | '.join(f'**{c}**' if c and of[way] == max(of.values()) else c for c, of in zip(cells, means))} |"
        )
    return "\n".join(lines)


def method_table(names: list[str]) -> str:
    """Some methods on every set of the field, with what was measured of them set otherwise or seeing something else."""
    found = [(c, way) for c in [*field(), *patterns()] for n in names for way in c["methods"] if way.split()[0] == n]
    named = len({way for _, way in found}) > 1
    lines = [f"| {'method | ' if named else ''}set | budget | accuracy | NMI | seeds |", "| --- " * (5 + named) + "|"]
    for content, way in found:
        s = content["methods"][way]["summary"]
        numbers = f"{spread(s, 'accuracy')} | {spread(s, 'nmi')} | {len(s['seeds'])}"
        lines.append(f"| {f'{way} | ' if named else ''}{content['data']} | {content['budget']} | {numbers} |")
    return "\n".join(lines)


def ranking_table() -> str:
    """How well each number that needs no truth ranks methods."""
    found = json.loads((ROOT / "results/ranking.json").read_text())["found"]
    numbers = list(next(iter(found.values()))["by"])
    sets = [f"{name}, {of['epochs']} epochs; best {of['its accuracy']:.3f}" for name, of in found.items()]
    lines = [f"| ranked by | {' | '.join(sets)} |", "| --- " * (1 + len(sets)) + "|"]
    for number in numbers:
        by = [of["by"][number] for of in found.values()]
        cells = [f"{b['spearman']:.2f}, {b['its accuracy']:.3f} ({b['first']})" for b in by]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join(lines)


def suggestions_table() -> str:
    """How many of the page's suggestions are right."""
    found = json.loads((ROOT / "results/suggestions.json").read_text())["found"]
    heads = ("splits suggested, right", "mixed clusters, found", "merges suggested, right", "classes cut, found")
    lines = [f"| clusters | {' | '.join(heads)} |", "| --- " * 5 + "|"]
    for kind, of in found.items():
        pairs = zip(list(of.values())[::2], list(of.values())[1::2])
        lines.append(f"| {kind} | {' | '.join(f'{every}, {right}' for every, right in pairs)} |")
    return "\n".join(lines)


def pages() -> dict[str, list[Callable[[], str]]]:
    """The tables of each page."""
    each = {f"docs/methods/{m}.md": [partial(method_table, [m])] for m in METHODS if m != "selavi"}
    baselines = {"docs/methods/baselines.md": [partial(method_table, list(BASELINES))]}
    more = {"docs/methods/selavi.md": [videos_table], "docs/compare.md": [ranking_table], "docs/page.md": [suggestions_table]}
    return {"README.md": [readme_table, overview], "docs/field.md": [field_tables]} | each | baselines | more


def main() -> None:
    for name, tables in pages().items():
        text = (ROOT / name).read_text()
        made = with_tables(text, [table() for table in tables])
        if "--check" not in sys.argv:
            (ROOT / name).write_text(made)
        elif made != text:
            raise SystemExit(f"{name}: its tables are not those of results/; run python -m reproduce.tables")


if __name__ == "__main__":
    main()
