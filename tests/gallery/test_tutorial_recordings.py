"""docs/tutorial-recordings.md, every line of it, on recordings in which three animals call in turns, and sometimes nobody."""

import csv
from collections import Counter, defaultdict

import numpy as np
import pytest

from selflabel.runs.run import Run
from tests.films import RATE, write_film
from tests.gallery.browser import labels_of, names_of, open_cluster, until, wait_for
from tests.gallery.tutorials import Tutorial, browsing, typed

TUTORIAL = Tutorial("tutorial-recordings.md")
LABEL, BROWSE, AUDACITY, RAVEN, FOLDERS, PREDICT, SCORE = TUTORIAL.shell
RUN = "runs/recordings-sela-nn"
KINDS = ("chiff", "wren", "toad", "nothing")
TURN_S, FIRST_S = 12, 3.6  # seconds that a kind calls for; of the first one, so that windows lie on both sides of a change
AUDIO = "document.querySelector('.details audio')"
SHOWN = "document.querySelector('.details .path + .muted')?.textContent"


def call(kind, rng):
    """A call of a kind, a second or less."""
    t = np.arange(int(rng.uniform(0.5, 0.7) * RATE)) / RATE
    hertz = {"chiff": 5000 - 2500 * t / t[-1], "wren": 2200 + 500 * np.sin(2 * np.pi * 14 * t), "toad": 500 + 0 * t}[kind]
    wave = np.sin(2 * np.pi * np.cumsum(hertz * rng.uniform(0.97, 1.03)) / RATE)
    return 0.3 * np.hanning(len(t)) * (wave * (np.sin(2 * np.pi * 25 * t) > 0) if kind == "toad" else wave)


def record(file, kinds, rng):
    """A recording in which kinds call in turns, over noise. Returns the rows (path, start_s, end_s, kind) of its truth."""
    ends = FIRST_S + TURN_S * np.arange(len(kinds))
    starts = np.maximum(ends - TURN_S, 0)
    wave = 0.01 * rng.standard_normal(round(ends[-1] * RATE))
    for kind, start, end in zip(kinds, starts, ends):
        at = start + rng.uniform(0, 0.3)
        while kind != "nothing" and at < end - 0.7:
            sound = call(kind, rng)
            wave[round(at * RATE) :][: len(sound)] += sound
            at += 0.7 + rng.uniform(0.1, 0.4)
    write_film(file, wave=(wave * 32767).astype(np.int16), sound="flac")
    return [(file.name, start, end, kind) for kind, start, end in zip(kinds, starts, ends)]


@pytest.fixture
def home(tmp_path):
    """A folder with recordings/, more-recordings/ and truth.csv."""
    rng = np.random.default_rng(0)
    for folder in ("recordings", "more-recordings"):
        (tmp_path / folder).mkdir()
    rows = record(tmp_path / "recordings" / "dawn.flac", [KINDS[i] for i in (0, 1, 2, 3, 1, 0, 2, 3)], rng)
    rows += record(tmp_path / "recordings" / "noon.flac", [KINDS[i] for i in (3, 2, 1, 0, 2, 3, 0, 1)], rng)
    new = record(tmp_path / "more-recordings" / "dusk.flac", [KINDS[i] for i in (3, 0, 1, 2)], rng)
    header, *_ = TUTORIAL.tables[0].splitlines()
    for file, table in (("truth.csv", rows), ("more-truth.csv", new)):
        lines = [header, *(",".join(map(str, row)) for row in table)]
        (tmp_path / file).write_text("\n".join(lines) + "\n")
    return tmp_path


def heard(rows, path, start, end):
    """What one hears for most of a span. rows: of a truth."""
    seconds = defaultdict(float)
    for row in rows:
        if row["path"] == path:
            seconds[row["label"]] += max(0.0, min(end, float(row["end_s"])) - max(start, float(row["start_s"])))
    return max(seconds, key=seconds.get)


def rows_of(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


class Listener:
    """A person who follows the steps, and hears what is in the truth."""

    def __init__(self, page, home):
        self.page, self.run = page, Run.open(home / RUN)
        truth, self.table = rows_of(home / "truth.csv"), rows_of(home / RUN / "labels.csv")
        self.kinds = [heard(truth, row["path"], float(row["start_s"]), float(row["end_s"])) for row in self.table]
        counts = defaultdict(Counter)
        for row, kind in zip(self.table, self.kinds):
            counts[int(row["label"])][kind] += 1
        self.kind_of = {cluster: kinds.most_common(1)[0][0] for cluster, kinds in counts.items()}

    def open_the_first(self):
        self.cluster = int(self.page.get_attribute(".card:first-child", "data-id"))
        open_cluster(self.page, self.cluster)
        until(self.page, "document.querySelector('.plots img')?.naturalWidth > 0")
        assert self.page.is_visible(".mark")

    def play(self):
        start, end = (60 * float(m) + float(s) for m, s in (p.split(":") for p in self.page.evaluate(SHOWN).split("–")))
        assert end - start == 3
        self.page.click("button:text('Play the span')")
        until(self.page, f"{AUDIO}.paused && {AUDIO}.currentTime === {end}")
        assert self.page.is_visible("text=and play on")

    def click_the_strip(self):
        strip = self.page.locator(".timeline[role=slider] canvas")
        strip.click(position={"x": 0.975 * strip.bounding_box()["width"], "y": 12})
        until(self.page, f"{SHOWN} === '1:24.0–1:27.0'")

    def name_each(self):
        for cluster in sorted(self.kind_of, key=lambda cluster: cluster != self.cluster):  # the open one first
            kind = self.kind_of[cluster]
            if cluster != self.cluster:
                open_cluster(self.page, cluster)
            self.page.keyboard.press("n")
            self.page.keyboard.type(kind)
            self.page.keyboard.press("Enter")
            wait_for(self.page, lambda c=cluster, k=kind: names_of(self.run).get(c) == k)
            self.page.keyboard.press("Escape")
            self.page.wait_for_selector(".card")
            self.cluster = None
        wait_for(self.page, lambda: "4 of 4 named" in self.page.inner_text("#progress"))

    def hide_below(self):
        row = min(self.table, key=lambda row: float(row["confidence"]))
        open_cluster(self.page, int(row["label"]))
        self.page.keyboard.press("f")
        assert self.page.evaluate("document.activeElement.type") == "range"
        self.page.fill(".scorefilter input", f"{min(1.0, float(row['confidence']) + 0.01):.2f}")
        self.page.wait_for_selector(".itemhead :text('shown')")

    def reject(self):
        for key in ("", "u", ""):  # it is done, undone and done again
            self.page.keyboard.press(key) if key else self.page.click("button:text-matches('Reject the .* below')")
            wait_for(self.page, lambda gone=not key: (labels_of(self.run) == -1).any() == gone)


@pytest.mark.slow
def test_the_whole_way_from_recordings_to_named_sounds(visit_address, selflabel, home):
    assert not TUTORIAL.missing_files()
    printed = typed(selflabel, LABEL, home)
    assert "2 recordings of 87.6 s on average became 58 windows of 3 s" in printed and "4 of 4" in printed
    assert BROWSE in printed
    with browsing(BROWSE, home, visit_address) as page:
        person = Listener(page, home)
        acts = [
            ("Click the pictures", person.open_the_first), ("Click **Play the span**", person.play),
            ("The coloured strip", person.click_the_strip), ("Press **n**", person.name_each),
            ("Open a cluster and press **f**", person.hide_below), ("Click **Reject", person.reject),
        ]  # fmt: skip
        assert TUTORIAL.follow(acts) == len(TUTORIAL.steps)
    for line in (AUDACITY, RAVEN, FOLDERS):
        typed(selflabel, line, home)
    kept = [name for name in Run.open(home / RUN).labels["name"].to_pylist() if name]
    regions_are_those_of_the_windows(home, Counter({name: 3 * n for name, n in Counter(kept).items()}))
    assert {f.name for f in (home / f"{RUN}-folders").iterdir() if f.is_dir()} == set(KINDS)
    assert len([*(home / f"{RUN}-folders").rglob("*.wav")]) == len(kept)
    assert "13 windows labelled" in typed(selflabel, PREDICT, home)
    new_windows_have_names(home)
    score = dict(line.split()[:2] for line in typed(selflabel, SCORE, home).splitlines() if line.startswith("accuracy"))
    assert float(score["accuracy"]) > 0.9


def regions_are_those_of_the_windows(home, kept):
    """Label tracks and selection tables, as crowsetta reads them, have what was kept. kept: seconds of each name."""
    crowsetta = pytest.importorskip("crowsetta")
    in_tracks, in_tables = Counter(), Counter()
    for name in ("dawn", "noon"):
        track = crowsetta.formats.seq.AudSeq.from_file(home / f"{RUN}-audacity" / f"{name}.txt")
        for start, end, label in zip(track.start_times, track.end_times, track.labels):
            in_tracks[label] += round(end - start)
        table = crowsetta.formats.bbox.Raven.from_file(home / f"{RUN}-raven" / f"{name}.Table.1.selections.txt")
        for region in table.to_bbox():
            in_tables[region.label] += round(region.offset - region.onset)
    assert in_tracks == in_tables == kept


def new_windows_have_names(home):
    """The labels of the new recording are what is heard in it."""
    rows, truth = rows_of(home / "new.csv"), rows_of(home / "more-truth.csv")
    heard_now = [heard(truth, row["path"], float(row["start_s"]), float(row["end_s"])) for row in rows]
    assert len(rows) == 13 and sum(row["name"] == kind for row, kind in zip(rows, heard_now)) > 0.9 * 13
