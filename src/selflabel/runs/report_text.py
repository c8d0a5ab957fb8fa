"""Sentences about a run's report that the terminal and the page share.

The report may be of an older version, which lacks keys, or a stranger's, which may say anything.
"""

from __future__ import annotations

from typing import Any, TypeGuard

ONE_HEAD = "this method has one head, and no others to agree with it"
CLEAR, CLOSE = 0.1, 0.02  # lead of the best number of clusters over the next one: from where on it is clear, below which a tie
FAR = 1.25  # factor between the numbers asked for and found from which on the data show another number
MOST_NEXT = 3  # numbers of clusters that are named beside the one that was found


def estimate_text(report: dict[str, Any]) -> str:
    """The estimated accuracy with its band, or why there is none.

    Example:
        >>> estimate_text({"estimated_accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}})
        '0.90 (0.80 to 0.95), estimated without truth'
        >>> estimate_text({"estimated_accuracy": None, "no_estimate": "60 items are too few; it takes 100"})
        'cannot be estimated, because 60 items are too few; it takes 100'
    """
    estimate = estimate_of(report)
    if estimate is None:
        return f"cannot be estimated, because {why_no_estimate(report)}"
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f}), estimated without truth"


def estimate_of(report: dict[str, Any]) -> dict[str, float] | None:
    """The estimated accuracy as "value", "low" and "high"; None where there is none."""
    estimate = report.get("estimated_accuracy")
    values = [estimate.get(key) for key in ("value", "low", "high")] if isinstance(estimate, dict) else [None]
    return estimate if all(is_number(x) for x in values) else None


def why_no_estimate(report: dict[str, Any]) -> str:
    """Why there is no estimate, as the end of a sentence. A report of 0.1.0 does not say."""
    return str(report.get("no_estimate") or ONE_HEAD)


def trained_text(report: dict[str, Any]) -> str:
    """What the method was trained on, where that was a sample; "" where it was all items.

    Example:
        >>> trained_text({"n_trained_on": 30_000, "n_items": 10_000_000})
        'a sample of 30,000 of 10,000,000 rows, by which all rows got labels'
    """
    trained, n = report.get("n_trained_on"), report.get("n_items")
    if not is_number(trained) or not is_number(n):
        return ""
    return f"a sample of {trained:,} of {n:,} rows, by which all rows got labels"


def found_text(report: dict[str, Any]) -> str:
    """How many labels are in use, of how many, and who chose that number.

    Example:
        >>> found_text({"sizes": [9, 3, 0], "clusters_chosen_by": "the user"})
        '2 of 3, chosen by the user'
    """
    sizes = sizes_of(report)
    return f"{sum(n > 0 for n in sizes)} of {len(sizes)}, chosen by {report.get('clusters_chosen_by', 'the user')}"


def sizes_text(report: dict[str, Any], most: int = 12) -> str:
    """The sizes of the clusters, the largest first; labels without items are none.

    Args:
        report: as in report.json.
        most: sizes that are named one by one.

    Example:
        >>> sizes_text({"sizes": [3, 0, 9, 5]}), sizes_text({"sizes": [3, 0, 9, 5]}, most=2)
        ('9, 5, 3', '9, 5, and one of 3')
    """
    sizes = sorted((n for n in sizes_of(report) if n), reverse=True)
    few, rest = ", ".join(map(str, sizes[:most])), sizes[most:]
    if not rest:
        return few
    return f"{few}, and " + (f"one of {rest[0]}" if len(rest) == 1 else f"{len(rest)} of {rest[0]} to {rest[-1]}")


def target_text(report: dict[str, Any]) -> str:
    """Which sizes the labels were solved for: what was asked, not what came out.

    Example:
        >>> [target_text({"mass": mass}) for mass in ("nearly equal", "free", "as found")]
        ['asked of the solver: nearly equal', 'none, sizes were free', 'none, the method asks for no sizes']
    """
    mass = str(report.get("mass", "as found"))
    none = {"free": "none, sizes were free", "as found": "none, the method asks for no sizes"}
    return none.get(mass, f"asked of the solver: {mass}")


def numbers_text(report: dict[str, Any]) -> str:
    """The numbers of clusters that came next, and how clear the choice was; "" where the method does not say, or the user chose.

    Example:
        >>> numbers_text({"number_of_clusters": {"found": 20, "candidates": [[20, 2.0], [16, 1.7], [10, 1.4]]}})
        'next 16, 10; 20 is a clear choice (16 has 15 % less merit)'
    """
    numbers = report.get("number_of_clusters")
    was_asked = is_number(report.get("clusters_requested"))  # then `other_number_text` names another number
    if was_asked or not isinstance(numbers, dict) or len(candidates := candidates_of(numbers)) < 2:
        return ""
    (best, merit), (second, lower) = candidates[:2]
    lead = (merit - lower) / max(abs(merit), 1e-12)
    clear = "a clear choice" if lead >= CLEAR else "hardly better than the next" if lead < CLOSE else "no clear choice"
    others = ", ".join(str(k) for k, _ in candidates[1 : 1 + MOST_NEXT])
    return f"next {others}; {best} is {clear} ({second} has {max(lead, 0):.0%} less merit)".replace("%", " %")


def other_number_text(report: dict[str, Any]) -> str:
    """That fewer labels are in use than asked for, or that the data show another number of clusters; "" where neither is so.

    Example:
        >>> other_number_text({"sizes": [9, 3, 0], "clusters_requested": 3})
        'Only 2 of the 3 clusters asked for have items: ask for fewer, or leave --clusters out; --mass uniform fills all.'
        >>> numbers = {"found": 6, "candidates": [[6, 1.5], [7, 1.4], [5, 1.3]]}
        >>> other_number_text({"sizes": [9, 3], "clusters_requested": 2, "number_of_clusters": numbers})
        'The data show more clusters than the 2 asked for, about 6 (next 7, 5): leave --clusters out to see them.'
    """
    sizes, requested, numbers = sizes_of(report), report.get("clusters_requested"), report.get("number_of_clusters")
    used = sum(n > 0 for n in sizes)
    if not is_number(requested) or report.get("collapsed"):
        return ""
    if used < requested:
        many = f"Only {used} of the {requested} clusters asked for {'has' if used == 1 else 'have'} items"
        return f"{many}: ask for fewer, or leave --clusters out; --mass uniform fills all."
    numbers = numbers if isinstance(numbers, dict) else {}
    found = numbers.get("found")
    if not is_number(found) or found < 1 or max(found / requested, requested / found) < FAR:
        return ""
    way = "more" if found > requested else "fewer"
    runners_up = ", ".join(str(k) for k, _ in candidates_of(numbers) if k != found)
    about = f"about {found}{f' (next {runners_up})' if runners_up else ''}"
    return f"The data show {way} clusters than the {requested} asked for, {about}: leave --clusters out to see them."


def sizes_of(report: dict[str, Any]) -> list[int]:
    """Items of each label."""
    sizes = report.get("sizes")
    return [n for n in sizes if isinstance(n, int)] if isinstance(sizes, list) else []


def candidates_of(numbers: dict[str, Any]) -> list[tuple[int, float]]:
    """Numbers of clusters with their merit, best first."""
    pairs = numbers.get("candidates")
    pairs = [p for p in pairs if isinstance(p, (list, tuple)) and len(p) == 2] if isinstance(pairs, (list, tuple)) else []
    return [(int(k), float(merit)) for k, merit in pairs if is_number(k) and is_number(merit)]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of a report is a number that can be printed as one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
