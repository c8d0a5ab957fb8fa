"""The page over a million items: first paint, every view, and the server's memory, in a real Chromium.

The labels are synthetic and the thumbnails are real: those of 10,000 photographs, each shared by a hundred rows, in 100 clusters.
`browse` serves the run in a process of its own. A view is complete when its data are loaded and every picture in sight is drawn.
Each view is timed several times. The median and the slowest time are reported, and the processor time of the server and the whole
browser, which says more on a machine that others use too. The first computation of the map, which takes minutes once per run, is
left out.

    python -m bench.gallery [FOLDER of images, or mnist5k] [items]
    python -m bench.gallery table                # writes the table of results into docs/page.md
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

PICTURES, ITEMS, CLUSTERS, DIMENSIONS = 10_000, 1_000_000, 100, 64
REPEATS = 5
ZOOMS = 6
ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "page.md", ROOT / "results" / "gallery.json"
MARKS = ("<!-- table from results/gallery.json -->", "<!-- end of its table -->")
LIMITS = {"first_paint_ms": 1000, "view_ms": 300, "memory_mb": 1000}


def build(folder: Path, source: str, n: int) -> None:
    """Write a finished run of n items over the first pictures of a source, with its thumbnails."""
    from selflabel.items import open_items
    from selflabel.runs.run import Run
    from selflabel.runs.thumbs import Thumbs
    from selflabel.runs.writing import write_array, write_labelling, write_report, write_start

    rng = np.random.default_rng(0)
    unique_paths = open_items(source).paths[:PICTURES]
    picture = np.arange(n) % len(unique_paths)
    paths = [unique_paths[i] for i in picture.tolist()]
    labelling, positions = synthetic_labelling(paths, picture, len(unique_paths), rng)
    run = Run(folder)
    folder.mkdir()
    absolute = str(Path(source).resolve()) if Path(source).exists() else source
    write_start(folder, {"settings": {"source": absolute}, "worked_out": {"image": {}}})
    write_labelling(folder, labelling)
    write_report(folder, {"method": "synthetic", "n_skipped": 0})
    write_array(folder / "map.npy", positions)
    thumbs = Thumbs(folder / "thumbs", run.source(paths=paths).source, n)
    for start in range(0, len(unique_paths), 100):
        thumbs.bundle(range(start, min(start + 100, len(unique_paths))))
    thumbs.file.index[:] = thumbs.file.index[picture]
    thumbs.file.index.flush()


def synthetic_labelling(paths: list[str], picture: np.ndarray, n_pictures: int, rng: np.random.Generator):
    """A Labelling of items that share pictures, and (n, 2) positions on the map. Most neighbours have the same label."""
    from selflabel.runs.writing import Labelling

    n = len(paths)
    labels = rng.integers(0, CLUSTERS, n_pictures)[picture].astype(np.int32)
    centres = rng.normal(0, 3, (CLUSTERS, DIMENSIONS)).astype(np.float32)
    features = (centres[labels] + rng.normal(0, 1, (n, DIMENSIONS))).astype(np.float16)
    neighbours = rng.integers(0, n, (n, 10), dtype=np.int32)
    order = np.argsort(labels, kind="stable").astype(np.int32)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    neighbours[:, :8] = order[(rank[:, None] + np.arange(1, 9)) % n]
    confidence = rng.beta(8, 1, n).astype(np.float32)
    top = np.stack([labels, *((labels + i) % CLUSTERS for i in range(1, 5))], axis=1)
    probs = np.stack([confidence, *((1 - confidence) / 4 for _ in range(4))], axis=1)
    truth = [f"class {label}" for label in labels.tolist()]
    positions = (0.5 + 0.4 * centres[labels, :2] / 9 + rng.normal(0, 0.01, (n, 2))).astype(np.float32)
    return Labelling(paths, labels, top, probs, features, neighbours, [], truth), positions


def serve(folder: Path) -> tuple[subprocess.Popen, str]:
    """A process that serves the run's page, and the address with its token."""
    command = [sys.executable, "-m", "selflabel.cli", "browse", str(folder), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = re.match(r"http\S+", process.stdout.readline())
    assert address, "the page did not start"
    return process, address[0]


def memory_mb(pid: int) -> float:
    """The process's peak resident memory, with the files that it maps."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def processor_ms() -> float:
    """Processor time so far of all processes that this one started, and of those that they started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    family, total = {os.getpid()}, 0
    for _ in range(8):  # generations
        family |= {child for child, parent in parents.items() if parent in family}
    for pid in family - {os.getpid()}:
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(file.read_text().split()[0])
            except (OSError, IndexError):
                continue
    return total / 1e6


# Runs in the page: performs an action, then waits until a test holds and all pictures in sight are loaded and drawn.
TIME_ACTION = """async ([action, test]) => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const ready = () => tests[test]() && document.body.dataset.coming === '0';
    const grid = () => document.querySelector('.grid [role=option]')?.textContent || '';
    const tests = {
        items: () => / of /.test(grid()),
        cards: () => document.querySelectorAll('.card').length > 20,
        map: () => document.body.dataset.map === 'ready',
        toast: () => document.querySelector('.toast') !== null,
        selected: () => document.querySelector('#bar b') !== null,
        details: () => document.querySelector('.details .path') !== null,
    };
    for (const toast of document.querySelectorAll('.toast')) toast.remove();
    const started = performance.now();
    const press = (key) => new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
    if (action.startsWith('#')) location.hash = action;
    else if (action.startsWith('key ')) (document.activeElement || document.body).dispatchEvent(press(action.slice(4)));
    else if (action === 'end') document.querySelector('.grid').scrollTop = 1e9;
    await frame();
    await frame();
    while (!ready()) { if (performance.now() - started > 20000) return 20000; await new Promise((done) => setTimeout(done, 4)); }
    await frame();
    return performance.now() - started;
}"""


def time_views(address: str) -> dict[str, dict[str, int]]:
    """Name of every view to its figures."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    timer = Timer()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for repeat in range(REPEATS):
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            timer.first_paint(page, address)
            visit_views(page, timer, repeat)
            page.context.close()
        browser.close()
    return {name: figures(samples) for name, samples in timer.samples.items()}


class Timer:
    """Collects samples of (milliseconds, milliseconds of processor time) by the name of a view."""

    def __init__(self):
        self.samples: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, elapsed_ms: float, processor: float) -> None:
        self.samples.setdefault(name, []).append((elapsed_ms, processor))

    def first_paint(self, page, address: str) -> None:
        """Open the page."""
        before = processor_ms()
        page.goto(address)
        page.wait_for_selector(".card")
        page.evaluate(TIME_ACTION, ["none", "cards"])
        cards = page.evaluate("performance.now()")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        processor = processor_ms() - before
        self.add("first paint", paint, processor)
        self.add("first paint with its cards and pictures", cards, processor)

    def action(self, page, name: str, action: str, test: str) -> None:
        """Go to an address ("#..."), press a key ("key ..."), or scroll to the end, and wait until the test holds."""
        before = processor_ms()
        elapsed = page.evaluate(TIME_ACTION, [action, test])
        self.add(name, elapsed, processor_ms() - before)


def visit_views(page, timer: Timer, cluster: int) -> None:
    timer.action(page, "a cluster", f"#/cluster/{cluster}", "items")
    timer.action(page, "its end", "end", "items")
    timer.action(page, "least sure first", "key o", "items")
    timer.action(page, "the next cluster", "key ]", "items")
    timer.action(page, "reject an item", "key x", "toast")
    timer.action(page, "undo", "key u", "toast")
    timer.action(page, "back to the overview", "#/", "cards")
    timer.action(page, "a million, least sure first", "#/look", "items")
    timer.action(page, "search", "#/search/0000", "items")
    timer.action(page, "the map", "#/map", "map")
    for _ in range(ZOOMS):
        timer.action(page, "the map, closer", "key +", "map")
    timer.action(page, "what is in sight of the map, selected", "key Enter", "selected")


def figures(samples: list[tuple[float, float]]) -> dict[str, int]:
    elapsed, processor = zip(*samples)
    values = {"median_ms": median(elapsed), "slowest_ms": max(elapsed), "processor_ms": median(processor)}
    return {name: round(value) for name, value in values.items()}


def table(results: dict) -> str:
    """The results as docs/page.md shows them."""
    views = (results["first"] | results["views"]).items()
    rows = [f"| {name} | {v['median_ms']} | {v['slowest_ms']} | {v['processor_ms']} |" for name, v in views]
    head = ["| ms until drawn | median | slowest | processor time |", "| --- | --- | --- | --- |"]
    load = f"{results['machine'].split(',')[0]} shared with other work (load {results['load']:.1f})"
    foot = f"Server: {results['memory_mb']} MB at most, started in {results['seconds_to_start']} s. On {load}, {results['date']}."
    return "\n".join([*head, *rows, "", foot])


def write_table() -> None:
    text = PAGE.read_text()
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    PAGE.write_text(f"{text[:start]}\n{table(json.loads(RESULTS.read_text()))}\n{text[end:]}")


def measure(source: str, n: int) -> tuple[dict[str, dict[str, int]], float, float]:
    """Figures of every view, seconds until the server printed its address, and its peak memory in MB."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        code = f"from bench.gallery import build; from pathlib import Path; build(Path({str(folder)!r}), {source!r}, {n})"
        subprocess.run([sys.executable, "-c", code], check=True)
        started = time.perf_counter()
        process, address = serve(folder)
        try:
            seconds_to_start = time.perf_counter() - started
            return time_views(address), seconds_to_start, memory_mb(process.pid)
        finally:
            process.send_signal(2)
            process.wait()


def main() -> None:
    from reproduce.common import write_results

    if sys.argv[1:] == ["table"]:
        return write_table()
    source = sys.argv[1] if len(sys.argv) > 1 else "mnist5k"
    n = int(sys.argv[2]) if len(sys.argv) > 2 else ITEMS
    views, seconds_to_start, memory = measure(source, n)
    first = {name: views.pop(name) for name in ("first paint", "first paint with its cards and pictures")}
    results = {
        "items": n,
        "clusters": CLUSTERS,
        "load": round(os.getloadavg()[0], 1),
        "seconds_to_start": round(seconds_to_start, 2),
        "memory_mb": round(memory),
        "first": first,
        "views": views,
        "limits": LIMITS,
        "held": {
            "first_paint": first["first paint"]["slowest_ms"] < LIMITS["first_paint_ms"],
            "views": max(v["slowest_ms"] for v in views.values()) < LIMITS["view_ms"],
            "memory": memory < LIMITS["memory_mb"],
        },
    }
    print(json.dumps(results, indent=1))
    write_results("gallery", results)
    write_table()


if __name__ == "__main__":
    main()
