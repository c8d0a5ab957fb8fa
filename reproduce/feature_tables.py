"""The tables of docs/suite.md from results/features-*.json, and whether the default method holds what is asked of it there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import mean, median, stdev
from typing import Any

from reproduce.common import read_results

HALVES = ("development", "reporting")
OURS, UNKNOWN = "sela-nn", "sela-nn, K unknown"
UNEVEN_RIVALS = ("agglomerative, average", "spectral, 10 neighbours", "spectral, 20 neighbours", "umap-hdbscan")
CLOSE, BEHIND, SEEDS_APART = 0.02, 0.05, 0.03  # accuracy that counts as level, as too far behind, as a bad seed

Sets = dict[str, dict[str, Any]]


def sets_of(half: str) -> Sets:
    """Name to what was measured of a set."""
    return read_results(f"features-{half}").get("sets", {})


def values(of_set: dict[str, Any], method: str, score: str = "accuracy") -> list[float]:
    """A score of each finished run of a method."""
    return [row[score] for row in of_set["methods"].get(method, []) if score in row]


def medians(of_set: dict[str, Any], score: str = "accuracy") -> dict[str, float]:
    """Method to the median of a score over its runs, of those that were given K."""
    found = {method: values(of_set, method, score) for method in of_set["methods"] if method != UNKNOWN}
    return {method: median(numbers) for method, numbers in found.items() if numbers}


def error_of_median(numbers: list[float]) -> float:
    """The standard error of a median of runs, taken as 1.25 times that of their mean; 0 for a single run."""
    return 1.25 * stdev(numbers) / len(numbers) ** 0.5 if len(numbers) > 1 else 0.0


# ------------------------------------------------------------------------------------------------------------------- tables


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def overview(sets: Sets, score: str = "accuracy") -> str:
    """Methods by sets: the median of a score, the best of a set in bold; methods in the order of their mean rank."""
    found = {name: medians(of_set, score) for name, of_set in sets.items()}
    ranks = mean_ranks(list(found.values()))
    rows = []
    for method in sorted(ranks, key=lambda m: (-ranks[m][1], ranks[m][0])):
        cells = [bold(of.get(method), max(of.values())) for of in found.values()]
        rank, count = ranks[method]
        rows.append([method, *cells, f"{rank:.1f}" if count == len(found) else f"{rank:.1f} on {count}"])
    return markdown(["method", *found, "mean rank"], rows)


def bold(value: float | None, best: float) -> str:
    """A score, in bold where it is the best to three digits."""
    if value is None:
        return ""
    return f"**{value:.3f}**" if round(value, 3) >= round(best, 3) else f"{value:.3f}"


def mean_ranks(found: list[dict[str, float]]) -> dict[str, tuple[float, int]]:
    """Method to its mean rank over sets (1 is best; equals share a rank) and the number of sets that it ran on.

    Example:
        >>> mean_ranks([{"a": 0.9, "b": 0.8}, {"a": 0.7, "b": 0.7}])
        {'a': (1.25, 2), 'b': (1.75, 2)}
    """
    ranks: dict[str, list[float]] = {}
    for of in found:
        for method, value in of.items():
            better, equal = sum(v > value for v in of.values()), sum(v == value for v in of.values())
            ranks.setdefault(method, []).append(better + (equal + 1) / 2)
    return {method: (mean(numbers), len(numbers)) for method, numbers in ranks.items()}


def full_table(sets: Sets) -> str:
    """Every set with all scores of all methods, best first."""
    parts = []
    for name, of_set in sets.items():
        rows = [method_row(of_set, method) for method in sorted(medians(of_set), key=lambda m: -medians(of_set)[m])]
        header = ["method", "accuracy", "worst, best run", "macro accuracy", "NMI", "ARI", "labels in use", "seconds", "runs"]
        parts.append(f"### {name}\n\n{of_set['what']}; {of_set['rows']:,} rows.\n\n{markdown(header, rows)}")
    return "\n\n".join(parts)


def method_row(of_set: dict[str, Any], method: str) -> list[str]:
    """A line of `full_table`."""
    accuracies = values(of_set, method)
    scores = [f"{median(values(of_set, method, score)):.3f}" for score in ("macro_accuracy", "nmi", "ari")]
    sizes = [f"{median(values(of_set, method, 'labels')):.0f}", f"{median(values(of_set, method, 'seconds')):.0f}"]
    ends = f"{min(accuracies):.3f}, {max(accuracies):.3f}" if len(accuracies) > 1 else ""
    return [method, f"{median(accuracies):.3f}", ends, *scores, *sizes, str(len(accuracies))]


def numbers_table(sets: Sets) -> str:
    """The number of clusters found where K is left out."""
    rows = []
    for name, of_set in sets.items():
        found = [str(round(k)) for k in values(of_set, UNKNOWN, "labels")]
        others = [str(of_set.get("numbers", {}).get(other, "")) for other in ("HDBSCAN on UMAP", "largest eigengap")]
        rows.append([name, str(of_set["classes"]), ", ".join(found), *others])
    return markdown(["set", "classes", f"{OURS}, each seed", "HDBSCAN on UMAP", "largest eigengap"], rows)


# ------------------------------------------------------------------------------------------------------------------- checks


def checks(sets: Sets, ours: str = OURS) -> str:
    """What is asked of the default method on a half of the suite, and what it does: a row each."""
    sets = {name: of_set for name, of_set in sets.items() if values(of_set, ours) and rivals(of_set, ours)}
    if not sets:
        return f"{ours} was not measured on this half."
    asked = (close_to_best, never_far_behind, first_in_rank, ahead_of_each, seeds_together, uneven_sets, number_found)
    return markdown(["what is asked", "holds", "what was found"], [question(sets, ours) for question in asked])


def rivals(of_set: dict[str, Any], ours: str, score: str = "accuracy") -> dict[str, float]:
    """Method to median score, of all but variants of ours."""
    return {m: v for m, v in medians(of_set, score).items() if m != ours and not m.startswith(OURS)}


def gap(of_set: dict[str, Any], ours: str) -> tuple[float, float]:
    """How far ours is behind the best of the others, negative where it is ahead, and the standard error of that."""
    others = rivals(of_set, ours)
    best = max(others, key=lambda m: others[m])
    errors = error_of_median(values(of_set, ours)), error_of_median(values(of_set, best))
    return others[best] - medians(of_set)[ours], (errors[0] ** 2 + errors[1] ** 2) ** 0.5


def close_to_best(sets: Sets, ours: str) -> list[str]:
    gaps = {name: gap(of_set, ours) for name, of_set in sets.items()}
    close = [name for name, (behind, error) in gaps.items() if behind <= max(CLOSE, 2 * error)]
    far = [f"{name} by {gaps[name][0]:.3f}" for name in gaps if name not in close]
    found = f"{len(close)} of {len(sets)}" + (f"; behind on {', '.join(far)}" if far else "")
    return [
        "within .02 or two standard errors of the best of the others on ten sets of twelve",
        yes(len(close) >= len(sets) * 10 / 12),
        found,
    ]


def never_far_behind(sets: Sets, ours: str) -> list[str]:
    worst = max(sets, key=lambda name: gap(sets[name], ours)[0])
    behind = gap(sets[worst], ours)[0]
    return ["never .05 behind the best", yes(behind < BEHIND), f"furthest on {worst}: {behind:+.3f}"]


def first_in_rank(sets: Sets, ours: str) -> list[str]:
    found = [{ours: medians(of_set)[ours]} | rivals(of_set, ours) for of_set in sets.values()]
    ranks = {m: rank for m, (rank, count) in mean_ranks(found).items() if 2 * count > len(sets)}
    first = sorted(ranks, key=lambda m: ranks[m])[:3]
    return ["the best mean rank", yes(first[0] == ours), ", ".join(f"{m} {ranks[m]:.2f}" for m in dict.fromkeys([*first, ours]))]


def ahead_of_each(sets: Sets, ours: str) -> list[str]:
    """Against each other method singly, on the sets that both ran on."""
    shares = {}
    for other in {m for of_set in sets.values() for m in rivals(of_set, ours)}:
        both = [of_set for of_set in sets.values() if other in medians(of_set)]
        shares[other] = sum(medians(of_set)[ours] > medians(of_set)[other] for of_set in both), len(both)
    short = {m: (won, count) for m, (won, count) in sorted(shares.items()) if won < count * 2 / 3}
    found = ", ".join(f"{m} {won} of {count}" for m, (won, count) in short.items())
    return ["ahead of each other method on two thirds of the sets", yes(not short), found or "of all"]


def seeds_together(sets: Sets, ours: str) -> list[str]:
    drops = {name: median(values(of_set, ours)) - min(values(of_set, ours)) for name, of_set in sets.items()}
    worst = max(drops, key=lambda name: drops[name])
    return [
        "the worst seed within .03 of the median",
        yes(drops[worst] <= SEEDS_APART),
        f"furthest on {worst}: {drops[worst]:.3f}",
    ]


def uneven_sets(sets: Sets, ours: str) -> list[str]:
    """On sets of uneven classes against average linkage, spectral clustering and UMAP with HDBSCAN."""
    behind = []
    for name, of_set in sets.items():
        for score in ("accuracy", "macro_accuracy") if of_set["uneven"] else ():
            mine, others = medians(of_set, score), [m for m in UNEVEN_RIVALS if m in medians(of_set, score)]
            behind += [f"{name}: {m} by {mine[m] - mine[ours]:.3f} {score}" for m in others if mine[m] > mine[ours]]
    text = "on uneven sets at least average linkage, spectral clustering and UMAP with HDBSCAN, in accuracy and macro accuracy"
    return [text, yes(not behind), "; ".join(behind).replace("macro_", "macro ") or "everywhere"]


def number_found(sets: Sets, ours: str) -> list[str]:
    """K left out: within a fifth of the true number on half of the sets, and within a factor of two on nine tenths."""
    shares = {}
    for way in (UNKNOWN, "HDBSCAN on UMAP", "largest eigengap"):
        ratios = [k / of_set["classes"] for of_set in sets.values() if (k := number_by(of_set, way))]
        near, twice = (sum(low <= r <= high for r in ratios) for low, high in ((0.8, 1.2), (0.5, 2.0)))
        shares[way] = near / max(len(ratios), 1), twice / max(len(ratios), 1), len(ratios)
    mine, others = shares[UNKNOWN], [shares[way] for way in shares if way != UNKNOWN]
    holds = mine[0] >= 0.5 and mine[1] >= 0.9 and mine[2] > 0 and all(mine[:2] >= other[:2] for other in others)
    found = "; ".join(f"{way}: {near:.0%} and {twice:.0%} of {count} sets" for way, (near, twice, count) in shares.items())
    return [
        "K left out: within a fifth on half of the sets, within a factor of two on nine tenths, ahead of the others",
        yes(holds),
        found,
    ]


def number_by(of_set: dict[str, Any], way: str) -> float:
    """How many clusters were found in a way; 0 where it was not measured."""
    found = values(of_set, UNKNOWN, "labels")
    return (median(found) if found else 0) if way == UNKNOWN else of_set.get("numbers", {}).get(way, 0)


def yes(holds: bool) -> str:
    return "yes" if holds else "**no**"


def tables() -> list[Callable[[], str]]:
    """The tables of docs/suite.md, in their order: each of both halves."""
    kinds = (overview, partial(overview, score="macro_accuracy"), checks, numbers_table, full_table)
    return [lambda table=table, half=half: table(sets_of(half)) for table in kinds for half in HALVES]


def print_tables() -> None:
    for table in tables():
        print(table(), end="\n\n")
