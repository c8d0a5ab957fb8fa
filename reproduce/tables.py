"""Write the tables of README, docs/numbers.md, docs/field.md and the methods' pages from results/: none is typed by hand.

python -m reproduce.tables [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from statistics import mean, median

from reproduce import feature_tables, scratch_tables
from selflabel.evaluation.accuracy_models import model_of
from selflabel.evaluation.diagnostics import Diagnostics
from selflabel.evaluation.estimate import estimated_accuracy
from selflabel.methods import BASELINES, METHODS

ROOT = Path(__file__).parents[1]
START, END = "<!-- table from results/ -->", "<!-- end of table -->"

# README's six rows: a file of results/, the method in it that sela-nn stands beside, and what that is called
HIGHLIGHTS = {
    "mnist5k": ("k-means on pixels", "k-means on pixels"),
    "digits": ("k-means on pixels", "k-means on pixels"),
    "imagenette128-frozen": ("k-means on the same features", "k-means on the same features"),
    "imbalanced20-frozen": ("k-means on the same features", "k-means on the same features"),
    "fsdd": ("k-means on first features, audio", "k-means on cepstra"),
    "ucf101_av7": ("selavi", "SeLaVi, a published method"),
}
# docs/numbers.md has all of these
NUMBERS = ("mnist5k", "digits", "mnist", "imagenette128-frozen", "imbalanced10-frozen", "imbalanced20-frozen")
NUMBERS += ("fsdd", "mnist_fsdd", "ucf101_av7")

ESTIMATES = (0.0, 0.6, 0.8, 0.9, 1.0)  # bounds of the rows of docs/results.md

MNIST5K = "MNIST-5k: 5,000 handwritten digits of 28 px"
DIGITS = "digits: 1,797 handwritten digits of 8 px"
MNIST = "MNIST: 70,000 handwritten digits of 28 px"
# the `data` of a results file to what a reader needs to know of the set; class sizes in brackets are left out first
SET_NAMES = {
    "mnist5k, 5000 images": MNIST5K,
    "mnist5k": MNIST5K,
    "digits, 1797 images": DIGITS,
    "digits": DIGITS,
    "MNIST, 70,000 PNG files": MNIST,
    "mnist": MNIST,
    "3,000 test photos of Imagenette, 10 classes": "Imagenette: 3,000 photos, 10 classes, pretrained features",
    "imagenette128, 3,000 items, frozen:timm:tf_efficientnet_lite0": "Imagenette: 3,000 photos, 10 classes, pretrained features",
    "Imagenette, 10 classes of 800 to 85": "imbalanced: 10 classes of 800 to 85 photos, pretrained features",
    "Imagenette and ten classes of Tiny ImageNet, 20 classes of 800 to 85": (
        "imbalanced: 20 classes of 800 to 85 photos, pretrained features"
    ),
    "cifar10, 10,000 items": "CIFAR-10: 10,000 photos of 32 px",
    "cifar10": "CIFAR-10",
    "3,000 spoken digits, six speakers": "spoken digits: 3,000 recordings of six speakers",
    "3,000 digits, each written and spoken": "3,000 digits, each an image and a recording",
    "278 clips with sound, seven actions of UCF-101": "UCF-101: 278 video clips with sound, 7 actions",
    "digits, long-tailed 1 to 10, 710 items": "imbalanced: 710 handwritten digits, classes of 174 to 17",
    "mnist5k, long-tailed 1 to 10, 2044 items": "imbalanced: 2,044 handwritten digits, classes of 500 to 50",
}
METHOD_WORDS = {
    ", uniform masses": ", equal cluster sizes",
    " alone": " only",
    "first features, both": "first features, both modalities",
}


def set_name(data: str) -> str:
    """What a reader is told of a set.

    Example:
        >>> set_name("digits"), set_name("Imagenette, 10 classes of 800 to 85"), set_name("photos/")[:7]
        ('digits: 1,797 handwritten digits of 8 px', 'imbalanced: 10 classes of 800 to 85 photos, pretrained features', 'photos/')
    """
    return SET_NAMES.get(data, data)


def short_name(data: str) -> str:
    """The name of a set without its description."""
    return set_name(data).split(":")[0]


def method_name(method: str) -> str:
    """A method of a results file as a reader sees it.

    Example:
        >>> method_name("sela-nn, uniform masses"), method_name("sela-nn, video alone")
        ('sela-nn, equal cluster sizes', 'sela-nn, video only')
    """
    for stored, shown in METHOD_WORDS.items():
        method = method.replace(stored, shown)
    return method


def read(name: str) -> dict:
    return json.loads((ROOT / "results" / f"{name}.json").read_text())


def read_all(pattern: str) -> list[dict]:
    """The results files that match, in the order of their names."""
    return [json.loads(file.read_text()) for file in sorted((ROOT / "results").glob(pattern))]


def field() -> list[dict]:
    """The comparison of all methods: one file a set."""
    return read_all("field-*.json")


def best_first(methods: dict) -> list[tuple[str, dict]]:
    return sorted(methods.items(), key=lambda pair: -pair[1]["summary"]["accuracy"]["mean"])


def spread(summary: dict, score: str) -> str:
    """Mean and standard deviation over seeds; of a single seed its number."""
    numbers = summary[score]
    return f"{numbers['mean']:.3f}" + (f" ± {numbers['sd']:.3f}" if len(summary["seeds"]) > 1 else "")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def bold(text: str, is_best: bool) -> str:
    return f"**{text}**" if is_best else text


# ---------------------------------------------------------------------------------------------- README and numbers.md


def highlights_table() -> str:
    """README's table: sela-nn beside one other method on six sets."""
    rows = []
    for name, (other, title) in HIGHLIGHTS.items():
        content = read(name)
        ours, theirs = (content["methods"][method]["summary"] for method in ("sela-nn", other))
        seeds = dict.fromkeys(str(len(s["seeds"])) for s in (ours, theirs))
        beside = f"{theirs['accuracy']['median']:.3f} ({title})"
        seconds = f"{ours['seconds_median']:.0f}"
        rows.append([set_name(content["data"]), f"{ours['accuracy']['median']:.3f}", beside, " / ".join(seeds), seconds])
    return markdown(["what is labelled", "`sela-nn`", "baseline", "seeds", "seconds"], rows)


def numbers_table() -> str:
    """Every set of NUMBERS with sela-nn, its variants, and what it is compared with; the best of a set is bold."""
    rows = []
    for name in NUMBERS:
        content = read(name)
        methods = sorted(content["methods"].items(), key=lambda pair: not pair[0].startswith("sela-nn"))
        best = max(values["summary"]["accuracy"]["median"] for _, values in methods)
        for i, (method, values) in enumerate(methods):
            s = values["summary"]
            a, nmi = s["accuracy"], f"{s['nmi']['median']:.3f}"
            shown = bold(f"{a['median']:.3f}", a["median"] == best)
            label = set_name(content["data"]) if i == 0 else ""
            many, seconds = str(len(s["seeds"])), f"{s['seconds_median']:.0f}"
            rows.append([label, method_name(method), shown, f"{a['worst']:.3f}", nmi, many, seconds])
    return markdown(["set", "method", "accuracy, median", "worst seed", "NMI", "seeds", "seconds"], rows)


def boxes_table() -> str:
    """Every set of boxes: its crops, and the whole photos in their place."""
    rows = []
    for of in read("boxes")["sets"].values():
        for i, (shown, found) in enumerate(of["rows"].items()):
            methods = [found["methods"][m]["summary"] for m in ("sela-nn", "k-means")]
            cells = [f"{s['accuracy']['median']:.3f}, {s['nmi']['median']:.3f}" for s in methods]
            first = [of["data"], str(of["n_boxes"]), str(of["n_classes"])] if i == 0 else [""] * 3
            rows.append([*first, shown, *cells, f"{found['nearest neighbours']:.3f}"])
    return markdown(["set", "boxes", "K", "features of", "`sela-nn`", "k-means", "neighbours"], rows)


def small_sets_table() -> str:
    """Every small set: sela-nn beside k-means; the last row has the median over sets."""
    sets, methods = read("small_sets")["sets"], ("sela-nn", "kmeans", "k-means of scikit-learn")
    rows, medians = [], {m: list[float]() for m in methods}
    for of in sets.values():
        cells = []
        for m in methods:
            accuracy = of["methods"][m]["summary"]["accuracy"]
            medians[m].append(accuracy["median"])
            cells.append(f"{accuracy['median']:.3f} ({accuracy['worst']:.3f})")
        found = " or ".join(map(str, dict.fromkeys(of["found_classes"])))
        rows.append([of["data"], "yes" if of["chosen_on"] else "", *cells, str(of["classes"]), found])
    rows.append([f"median of {len(sets)} sets", "", *(f"{median(medians[m]):.3f}" for m in methods), "", ""])
    rows.append([f"mean of {len(sets)} sets", "", *(f"{mean(medians[m]):.3f}" for m in methods), "", ""])
    return markdown(["set", "chosen on", "`sela-nn`", "`kmeans`", "k-means of scikit-learn", "K", "K found"], rows)


def overview_table() -> str:
    """Mean accuracy of every method on every set of the comparison; the best of a set is bold."""
    sets = field()
    means = [{name: values["summary"]["accuracy"]["mean"] for name, values in content["methods"].items()} for content in sets]
    header = [f"{short_name(content['data'])}, {content['budget'].removesuffix(' of training')}" for content in sets]
    names = [name for name in (*METHODS, *BASELINES) if any(name in accuracy for accuracy in means)]
    names.sort(key=lambda name: -mean(accuracy[name] for accuracy in means if name in accuracy))

    def cell(name: str, accuracy: dict[str, float]) -> str:
        return bold(f"{accuracy[name]:.3f}", accuracy[name] == max(accuracy.values())) if name in accuracy else ""

    return markdown(["method", *header], [[name, *(cell(name, accuracy) for accuracy in means)] for name in names])


# --------------------------------------------------------------------------------------------------------- docs/field.md


def field_tables() -> str:
    """A table for every set on which the methods were compared, best first, then those on imbalanced sets."""
    tables = [titled(content, f"{content['budget']} a method", comparison(content)) for content in field()]
    tables += [titled(content, content["budget"], imbalanced(content)) for content in read_all("imbalance-*.json")]
    return "\n\n".join(tables)


def comparison(content: dict) -> str:
    """All methods on one set: labels, features, and what they cost."""
    header = ["method", "accuracy", "NMI", "estimated accuracy", "nearest neighbours", "linear layer", "5 labels a class"]
    rows = []
    for method, values in best_first(content["methods"]):
        s, seeds = values["summary"], values["rows"]
        probes = [[r["probe"]["knn"] for r in seeds], [r["probe"]["linear"] for r in seeds]]
        probes += [[r["probe"]["few"]["5"] for r in seeds]]
        cells = [
            method,
            spread(s, "accuracy"),
            spread(s, "nmi"),
            estimate(content, method, seeds),
            *(f"{mean(p):.3f}" for p in probes),
        ]
        rows.append(cells + [f"{mean(r[column] for r in seeds):.0f}" for column in ("epochs", "seconds", "MB")])
    return markdown([*header, "epochs", "seconds", "MB"], rows)


def estimate(content: dict, method: str, rows: list[dict]) -> str:
    """The accuracy estimated without truth, by the present model; empty for methods that have none."""
    model = model_of(method, "frozen" not in content["data"])
    if model is None or any(r["estimated accuracy"] is None for r in rows):
        return ""
    values = [estimated_accuracy(Diagnostics(**r["signs"]), model, round(r["clusters"])) for r in rows]
    return f"{mean(v['value'] for v in values):.2f}"


def imbalanced(content: dict) -> str:
    rows = []
    for method, values in best_first(content["methods"]):
        s, used = values["summary"], mean(r["n_clusters"] for r in values["rows"])
        rows.append([method, spread(s, "accuracy"), spread(s, "nmi"), f"{s['small']:.3f}", f"{used:.1f}"])
    return markdown(["method", "accuracy", "NMI", "recall of the three smallest classes", "labels"], rows)


def titled(content: dict, budget: str, table: str) -> str:
    """A table under the name of its set, with seeds, machine and date."""
    counts = sorted({len(values["summary"]["seeds"]) for values in content["methods"].values()})
    many = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    over = "one seed" if many == "1" else f"mean and standard deviation over {many} seeds"
    return f"### {set_name(content['data'])}\n\n{budget}; {over}; {content['machine']}; {content['date']}.\n\n{table}"


# ------------------------------------------------------------------------------------------------------ the other pages


OF_FILMS = ("selavi", "soundlabels")  # their pages have tables of their own


def method_table(names: list[str]) -> str:
    """Some methods on every set of the comparison, with their other settings and first features."""
    listed = [(c, m) for c in [*field(), *read_all("patterns-*.json")] for n in names for m in c["methods"] if m.split()[0] == n]
    several = len({method for _, method in listed}) > 1
    rows = []
    for content, method in listed:
        s = content["methods"][method]["summary"]
        row = [set_name(content["data"]), content["budget"], spread(s, "accuracy"), spread(s, "nmi"), str(len(s["seeds"]))]
        rows.append([method, *row] if several else row)
    return markdown([*(["method"] if several else []), "set", "budget", "accuracy", "NMI", "seeds"], rows)


def videos_table() -> str:
    """Every method and variant on the clips, best first."""
    rows = []
    for method, values in best_first(read("ucf101_av7")["methods"]):
        s = values["summary"]
        numbers = [spread(s, "accuracy"), spread(s, "nmi"), str(len(s["seeds"])), f"{s['seconds_median']:.0f}"]
        rows.append([method_name(method), *numbers])
    return markdown(["method", "accuracy", "NMI", "seeds", "seconds"], rows)


def ranking_table() -> str:
    """How well each label-free number ranks methods."""
    sets = read("ranking")["found"]
    header = [f"{short_name(name)}, {of['epochs']} epochs; best {of['its accuracy']:.3f}" for name, of in sets.items()]
    rows = []
    for number in next(iter(sets.values()))["by"]:
        ranks = [content["by"][number] for content in sets.values()]
        rows.append([number, *(f"{r['spearman']:.2f}, {r['its accuracy']:.3f} ({r['first']})" for r in ranks)])
    return markdown(["ranked by", *header], rows)


def suggestions_table() -> str:
    """How many of the page's suggestions are right."""
    header = ["splits suggested, right", "mixed clusters, found", "merges suggested, right", "classes cut, found"]
    rows = []
    for kind, counts in read("suggestions")["found"].items():
        values = list(counts.values())
        rows.append([kind, *(f"{total}, {right}" for total, right in zip(values[::2], values[1::2]))])
    return markdown(["clusters", *header], rows)


def estimate_table() -> str:
    """What was true where an accuracy was estimated: of runs of groups that have a model, kinds of data left out."""
    content = read("estimated-accuracy")
    groups = [name for name, of in content["groups"].items() if of["has_model"]]
    rows = []
    for name, (low, high) in product(groups, pairwise(ESTIMATES)):
        runs = [r for r in content["rows"] if r["group"] == name and low <= r["estimated"] < high]
        true = [r["accuracy"] for r in runs]
        cells = (
            [f"{median(true):.2f}", f"{min(true):.2f} to {max(true):.2f}", f"{mean(r['holds'] for r in runs):.0%}"]
            if runs
            else []
        )
        rows.append([name.split(", ")[1], f"{low:.1f} to {high:.1f}", str(len(true)), *cells, *[""] * (3 - len(cells))])
    return markdown(["trained on", "estimated", "runs", "median of the true", "range", "in the band"], rows)


def recordings_table() -> str:
    """Words in windows of long recordings beside the same words, cut separately: median accuracy, and its range over seeds."""
    content, rows = read("recordings"), []
    for name in dict.fromkeys(method.rpartition(", ")[0] for method in content["methods"]):
        cells = [content["methods"][f"{name}, {which}"]["rows"] for which in ("windows", "words")]
        accuracies = [[row["accuracy"] for row in of] for of in cells]
        texts = [f"{median(of):.3f} ({min(of):.3f} to {max(of):.3f})" for of in accuracies]
        rows.append([f"`{name}`", *texts, f"{median(accuracies[1]) - median(accuracies[0]):.3f}", str(len(accuracies[0]))])
    return markdown(["method", "words in windows", "the same words, cut", "apart", "seeds"], rows)


def held_table() -> str:
    """How often the band holds on kinds of data that were left out, by group of runs."""
    rows = []
    for name, of in read("estimated-accuracy")["groups"].items():
        kinds = ", ".join(f"{kind} {held:.2f}" for kind, held in of["band_holds_by_kind"].items())
        cells = [f"{of['band_holds']:.2f}", f"{of['mean_width']:.2f}", f"{of['median_error']:.3f}"]
        rows.append([name, str(of["runs"]), *cells, kinds, "yes" if of["has_model"] else "no"])
    return markdown(["group", "runs", "band holds", "mean width", "median error", "by kind", "shown"], rows)


def objects_table() -> str:
    """IoU, accuracy and maxF on ECSSD, CorLoc and AP50 on Penn-Fudan, of the halves on which nothing was chosen."""
    content = read("objects")
    masks, boxes = (content[name]["scores"] for name in ("ecssd", "pennfudan"))
    names = [*dict.fromkeys([*masks, *boxes])]
    rows = []
    for name in names:
        of_masks = [f"{100 * masks[name][k]:.1f}" for k in ("iou", "accuracy", "maxF")] if name in masks else [""] * 3
        of_boxes = [f"{100 * boxes[name][k]:.1f}" for k in ("corloc", "ap50")] if name in boxes else [""] * 2
        rows.append([name, *of_masks, *of_boxes])
    return markdown(["objects", "ECSSD IoU", "accuracy", "maxF", "Penn-Fudan CorLoc", "AP50"], rows)


def pages() -> dict[str, list[Callable[[], str]]]:
    """The tables of each page, in their order."""
    methods = {f"docs/methods/{m}.md": [partial(method_table, [m])] for m in METHODS if m not in OF_FILMS}
    return {
        "README.md": [highlights_table],
        "docs/numbers.md": [
            numbers_table,
            scratch_tables.scratch_table,
            scratch_tables.mteb_table,
            small_sets_table,
            boxes_table,
            overview_table,
        ],
        "docs/field.md": [field_tables],
        "docs/suite.md": feature_tables.tables(),
        **methods,
        "docs/methods/baselines.md": [partial(method_table, list(BASELINES))],
        "docs/methods/selavi.md": [videos_table],
        "docs/methods/cut.md": [objects_table],
        "docs/methods/found.md": [objects_table],
        "docs/compare.md": [ranking_table],
        "docs/results.md": [estimate_table],
        "docs/decisions/estimated-accuracy.md": [held_table],
        "docs/decisions/windows.md": [recordings_table],
        "docs/page.md": [suggestions_table],
    }


def with_tables(text: str, tables: list[str]) -> str:
    """The text with these tables between its marks, in their order.

    Example:
        >>> with_tables(f"a {START} old {END} b", ["new"]) == f"a {START}\\nnew\\n{END} b"
        True
    """
    before, *rest = text.split(START)
    return before + "".join(f"{START}\n{table}\n{END}{part.split(END, 1)[1]}" for table, part in zip(tables, rest, strict=True))


def main() -> None:
    for name, tables in pages().items():
        text = (ROOT / name).read_text()
        result = with_tables(text, [table() for table in tables])
        if "--check" not in sys.argv:
            (ROOT / name).write_text(result)
        elif result != text:
            raise SystemExit(f"{name}: its tables are not those of results/; run python -m reproduce.tables")


if __name__ == "__main__":
    main()
