"""The page over a million items: first paint, every view, and the server's memory, in a real Chromium.

The run is made up, its pictures are real: 10,000 photographs' small pictures, a hundred rows each, in 100 clusters. `browse`
serves it in a process of its own. A view has come when its data are there and every picture in sight is drawn; each is timed
several times, and the median and the slowest are reported, with the processor time that the server and the whole browser took
for it: on a machine that others use too, that says more. The map's first computation, a matter of minutes and of once a run, is
left out.

    python -m bench.gallery [FOLDER of pictures, or mnist5k] [items]
    python -m bench.gallery table                # writes the results' table into docs/page.md
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
TURNS = 5
ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "page.md", ROOT / "results" / "gallery.json"
MARKS = ("<!-- table from results/gallery.json -->", "<!-- end of its table -->")
LIMITS = {"first_paint_ms": 1000, "view_ms": 300, "memory_mb": 1000}


def build(folder: Path, source: str, n: int) -> None:
    """A finished run of n items over the source's first pictures, its small pictures made."""
    from selflabel.items import open_items
    from selflabel.runs.run import Labelling, Run
    from selflabel.runs.sources import open_source
    from selflabel.runs.thumbs import Thumbs

    rng = np.random.default_rng(0)
    items = open_items(source)
    real = items.paths[:PICTURES]
    which = np.arange(n) % len(real)
    labels = rng.integers(0, CLUSTERS, len(real))[which].astype(np.int32)
    centres = rng.normal(0, 3, (CLUSTERS, DIMENSIONS)).astype(np.float32)
    features = (centres[labels] + rng.normal(0, 1, (n, DIMENSIONS))).astype(np.float16)
    neighbours = rng.integers(0, n, (n, 10), dtype=np.int32)
    order = np.argsort(labels, kind="stable").astype(np.int32)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    neighbours[:, :8] = order[(place[:, None] + np.arange(1, 9)) % n]
    sure = rng.beta(8, 1, n).astype(np.float32)
    top = np.stack([labels, *((labels + i) % CLUSTERS for i in range(1, 5))], axis=1)
    probs = np.stack([sure, *((1 - sure) / 4 for _ in range(4))], axis=1)
    paths = [real[i] for i in which.tolist()]
    truth = [f"class {label}" for label in labels.tolist()]
    run = Run(folder)
    folder.mkdir()
    whole = str(Path(source).resolve()) if Path(source).exists() else source
    run.write_start({"settings": {"source": whole}, "worked_out": {"image": {}}})
    run.write_labelling(Labelling(paths, labels, top, probs, features, neighbours, [], truth))
    run.write_report({"method": "made up", "n_skipped": 0})
    run.write_array("map.npy", (0.5 + 0.4 * centres[labels, :2] / 9 + rng.normal(0, 0.01, (n, 2))).astype(np.float32))
    thumbs = Thumbs(folder / "thumbs", open_source(run, paths)[0], n)
    for start in range(0, len(real), 100):
        thumbs.bundle(range(start, min(start + 100, len(real))))
    thumbs.pack.index[:] = thumbs.pack.index[which]
    thumbs.pack.index.flush()


def serve(folder: Path) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "selflabel.cli", "browse", str(folder), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.match(r"http\S+", process.stdout.readline())
    assert found, "the page did not start"
    return process, found[0]


def memory_mb(pid: int) -> float:
    """The most that the process ever had in memory at once, files it maps included."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def processor_ms() -> float:
    """What all processes that this one started, and those that they started, have had of the processors so far."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    ours, total = {os.getpid()}, 0
    for _ in range(8):  # generations
        ours |= {child for child, parent in parents.items() if parent in ours}
    for pid in ours - {os.getpid()}:
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(file.read_text().split()[0])
            except (OSError, IndexError):
                continue
    return total / 1e6


# Runs in the page: does something, then waits until the test holds and all pictures in sight have come and been drawn.
TIMED = """async ([action, test]) => {
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


def look(address: str) -> dict[str, dict[str, int]]:
    """Milliseconds of every view over several turns."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    times: dict[str, list[tuple[float, float]]] = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for turn in range(TURNS):
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()

            def timed(name: str, action: str, test: str, page=page) -> None:
                before = processor_ms()
                found = page.evaluate(TIMED, [action, test])
                times.setdefault(name, []).append((found, processor_ms() - before))

            before = processor_ms()
            page.goto(address)
            page.wait_for_selector(".card")
            page.evaluate(TIMED, ["none", "cards"])
            cards = page.evaluate("performance.now()")
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            taken = processor_ms() - before
            times.setdefault("first paint", []).append((paint, taken))
            times.setdefault("first paint with its cards and pictures", []).append((cards, taken))
            timed("a cluster", f"#/cluster/{turn}", "items")
            timed("its end", "end", "items")
            timed("least sure first", "key o", "items")
            timed("the next cluster", "key ]", "items")
            timed("reject an item", "key x", "toast")
            timed("undo", "key u", "toast")
            timed("back to the overview", "#/", "cards")
            timed("a million, least sure first", "#/look", "items")
            timed("search", "#/search/0000", "items")
            timed("the map", "#/map", "map")
            for _ in range(6):
                timed("the map, closer", "key +", "map")
            timed("what is in sight of the map, selected", "key Enter", "selected")
            page.context.close()
        browser.close()
    return {name: figures(found) for name, found in times.items()}


def figures(found: list[tuple[float, float]]) -> dict[str, int]:
    waited, worked = zip(*found)
    shown = {"median_ms": median(waited), "slowest_ms": max(waited), "processor_ms": median(worked)}
    return {name: round(value) for name, value in shown.items()}


def table(found: dict) -> str:
    """The results as docs/page.md shows them."""
    shown = (found["first"] | found["views"]).items()
    rows = [f"| {name} | {v['median_ms']} | {v['slowest_ms']} | {v['processor_ms']} |" for name, v in shown]
    head = ["| ms until drawn | median | slowest | of the processors |", "| --- | --- | --- | --- |"]
    load = f"{found['machine'].split(',')[0]} shared with other work (load {found['load']:.1f})"
    foot = f"Server: {found['memory_mb']} MB at most, started in {found['seconds_to_start']} s. On {load}, {found['date']}."
    return "\n".join([*head, *rows, "", foot])


def write_table() -> None:
    text = PAGE.read_text()
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    PAGE.write_text(f"{text[:start]}\n{table(json.loads(RESULTS.read_text()))}\n{text[end:]}")


def main() -> None:
    from reproduce.common import write_results

    if sys.argv[1:] == ["table"]:
        return write_table()
    source = sys.argv[1] if len(sys.argv) > 1 else "mnist5k"
    n = int(sys.argv[2]) if len(sys.argv) > 2 else ITEMS
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        code = f"from bench.gallery import build; from pathlib import Path; build(Path({str(folder)!r}), {source!r}, {n})"
        subprocess.run([sys.executable, "-c", code], check=True)
        started = time.perf_counter()
        process, address = serve(folder)
        try:
            start = time.perf_counter() - started
            views = look(address)
            memory = memory_mb(process.pid)
        finally:
            process.send_signal(2)
            process.wait()
    firsts = {name: views.pop(name) for name in ("first paint", "first paint with its cards and pictures")}
    found = {
        "items": n,
        "clusters": CLUSTERS,
        "load": round(os.getloadavg()[0], 1),
        "seconds_to_start": round(start, 2),
        "memory_mb": round(memory),
        "first": firsts,
        "views": views,
        "limits": LIMITS,
        "held": {
            "first_paint": firsts["first paint"]["slowest_ms"] < LIMITS["first_paint_ms"],
            "views": max(v["slowest_ms"] for v in views.values()) < LIMITS["view_ms"],
            "memory": memory < LIMITS["memory_mb"],
        },
    }
    print(json.dumps(found, indent=1))
    write_results("gallery", found)
    write_table()


if __name__ == "__main__":
    main()
