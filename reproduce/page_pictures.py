"""The screenshots of the page in docs/: real runs in a real Chromium.

    python -m reproduce.page_pictures DEMO_RUN VIDEOS_RUN

DEMO_RUN is the run folder of `selflabel demo`, VIDEOS_RUN one of videos. Both are copied first, because the screenshots show
names and a selection.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from selflabel.edits import append, parse
from selflabel.runs.run import Run

DOCS = Path(__file__).parents[1] / "docs"
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
COLOURS = 192  # of a palette for photos: half the bytes


def name_by_truth(run: Run, most: int) -> None:
    """Name the largest clusters as a person would."""
    labels, truth = run.raw_labels["label"].to_pylist(), list((run.truth or {}).values())
    counts = Counter(zip(labels, truth))
    for cluster, _ in Counter(labels).most_common(most):
        digit = max(range(10), key=lambda d: counts[cluster, str(d)])
        append(run.folder, parse({"do": "name", "cluster": cluster, "name": DIGITS[digit]}))


def save(page, name: str) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    if name == "items":
        picture = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(DOCS / f"{name}.png", optimize=True)


def until(page, expression: str) -> None:
    for _ in range(1500):
        if page.evaluate(expression):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(400)


def visit(folder: Path, take_screenshots: Callable) -> None:
    """Serve a run and call `take_screenshots(page, address)`."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "selflabel.cli", "browse", str(folder), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 720})
            page.goto(address)
            page.wait_for_selector(".card")
            take_screenshots(page, re.sub(r"\?.*", "", address))
            browser.close()
    finally:
        process.send_signal(2)
        process.wait()


STILL = "document.body.dataset.coming === '0'"


def overview(page, home: str) -> None:
    until(page, f"{STILL} && document.querySelectorAll('.hints li').length > 0")
    save(page, "overview")


def map_of(page, home: str) -> None:
    overview(page, home)
    page.goto(f"{home}#/map")
    until(page, "document.body.dataset.map === 'ready'")
    box = page.locator(".mapbox > canvas").bounding_box()
    corners = [(0.42, 0.2), (0.78, 0.2), (0.78, 0.5), (0.42, 0.5)]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.click("button:has-text('Lasso')")
    page.mouse.move(*at[0])
    page.mouse.down()
    for corner in at[1:]:
        page.mouse.move(*corner, steps=6)
    page.mouse.up()
    until(page, STILL)
    page.mouse.move(5, 700)
    save(page, "map")


def videos(page, home: str) -> None:
    largest = page.get_attribute(".card:nth-child(2)", "data-id")
    page.goto(f"{home}#/cluster/{largest}")
    until(page, f"document.querySelector('.details video')?.readyState > 1 && {STILL}")
    page.click("input.name")
    page.keyboard.type("basketball")
    page.keyboard.press("Enter")
    for key in ("ArrowRight", " ", "ArrowRight", " "):
        page.keyboard.press(key)
    until(page, f"document.querySelector('.details video')?.readyState > 1 && {STILL}")
    save(page, "items")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        for run, name, take_screenshots in [(sys.argv[1], "digits", map_of), (sys.argv[2], "videos", videos)]:
            folder = Path(place) / name
            shutil.copytree(run, folder, ignore=shutil.ignore_patterns("edits.jsonl"))
            if take_screenshots is map_of:
                name_by_truth(Run.open(folder), 6)
            visit(folder, take_screenshots)


if __name__ == "__main__":
    main()
