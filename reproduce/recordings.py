"""Words in long recordings: the windows of recordings of ten minutes beside the same words, cut separately.

    python -m reproduce.recordings [--seeds 5] [--recordings 1] [--clusters 11] [--method sela-nn] [--speakers reporting]

Spoken digits of FSDD are joined with gaps of .6 to 1.2 s, which hold noise at one level, the median of that of the words'
quietest tenths; which word is said when is known. `label --windows 1 --hop .5` labels the recordings, and a word has the label of
the window that covers most of it (of several the one in whose middle it is). The words themselves, as files, are labelled with
the same settings. Windows between words, which hold only noise, are items like any other and have no word: a cluster more than
there are words is asked for, of both. Settings were chosen on three of the six speakers, and the others are reported. Writes
results/recordings.json, where other methods keep their rows.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import wave as wave_files
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reproduce.common import read_results, unpack_files, with_summary, write_results
from selflabel.base.settings import make_settings
from selflabel.decode.sound import decode_sound
from selflabel.evaluation.metrics import score
from selflabel.jobs.label import label

RATE = 8_000  # Hz, of FSDD
LONGEST_S = 3.0  # of its words
GAP_S = (0.6, 1.2)
MINUTES = 10
WINDOWS_S, HOP_S = 1.0, 0.5
SPEAKERS = {"development": ("george", "jackson", "lucas"), "reporting": ("nicolas", "theo", "yweweler")}


@dataclass(frozen=True)
class Word:
    """A word that is said in a recording.

    Attributes:
        wave: (S,) int16.
        name: the class.
        recording: in which it is.
        start_s, end_s: when.
    """

    wave: np.ndarray
    name: str
    recording: int = -1
    start_s: float = 0.0
    end_s: float = 0.0


def read_words(speakers: tuple[str, ...]) -> list[Word]:
    """The words of some speakers."""
    folder = unpack_files("fsdd")
    with (folder / "truth.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["speaker"] in speakers]
    words = []
    for row in rows:
        wave, n = decode_sound(str(folder / "items" / row["path"]), round(LONGEST_S * RATE), RATE)
        words.append(Word(wave[:n], row["label"]))
    return words


def noise_level(wave: np.ndarray) -> float:
    """Root mean square of the quietest tenth of a word's hundredths of a second."""
    frames = wave[: len(wave) // 80 * 80].reshape(-1, 80).astype(np.float64)
    return float(np.quantile(np.sqrt(np.square(frames).mean(axis=1)), 0.1))


def join(words: list[Word], recording: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Word], int]:
    """(a recording of MINUTES, the words in it with their times, how many of the words were used)."""
    parts: list[np.ndarray] = []
    said: list[Word] = []
    at, length = 0, MINUTES * 60 * RATE
    noise = rng.normal(0, float(np.median([noise_level(word.wave) for word in words])), length).round().astype(np.int16)
    for word in words:
        gap = round(rng.uniform(*GAP_S) * RATE)
        if at + gap + len(word.wave) > length:
            break
        parts += [noise[at : at + gap], word.wave]
        start, at = at + gap, at + gap + len(word.wave)
        said.append(Word(word.wave, word.name, recording, start / RATE, at / RATE))
    parts.append(noise[at:])
    return np.concatenate(parts), said, len(said)


def write_wave(file: Path, wave: np.ndarray) -> None:
    with wave_files.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(wave.tobytes())


def make_recordings(words: list[Word], n: int, rng: np.random.Generator, folder: Path) -> list[Word]:
    """Write n recordings to folder/recordings and their words to folder/words; the words that are said."""
    order = [words[i] for i in rng.permutation(len(words))]
    said: list[Word] = []
    for place in ("recordings", "words"):
        (folder / place).mkdir()
    for recording in range(n):
        wave, new, used = join(order, recording, rng)
        order, said = order[used:], said + new
        write_wave(folder / "recordings" / f"{recording}.wav", wave)
    for i, word in enumerate(said):
        write_wave(folder / "words" / f"{i:05d}.wav", word.wave)
    return said


def window_of_word(word: Word, recordings: np.ndarray, spans_s: np.ndarray) -> int:
    """The row of the window that covers most of a word; of several the one whose middle is nearest to the word's."""
    covered = np.minimum(spans_s[:, 1], word.end_s) - np.maximum(spans_s[:, 0], word.start_s)
    covered = np.where(recordings == word.recording, covered, -1.0)
    off = np.abs(spans_s.mean(axis=1) - (word.start_s + word.end_s) / 2)
    return int(np.lexsort((off, -np.round(covered, 6)))[0])


def label_both(folder: Path, said: list[Word], **settings) -> dict[str, dict]:
    """A row of results for the recordings' windows, and one for the words."""
    truth = [word.name for word in said]
    cut = {"windows": WINDOWS_S, "hop": HOP_S}
    rows = {}
    for name, source, more in (("windows", "recordings", cut), ("words", "words", {})):
        began = time.perf_counter()
        found = label(make_settings(source=str(folder / source), **settings | more), None).labelling
        labels = found.labels
        n_items = len(labels)
        if found.pieces is not None:
            of = np.array([int(Path(path).stem) for path in found.paths])
            labels = labels[[window_of_word(word, of, found.pieces.spans_s) for word in said]]
        scores = {k: round(v, 4) for k, v in score(truth, labels).items() if k in ("accuracy", "nmi")}
        rows[name] = {"seed": settings["seed"], "items": n_items, **scores, "seconds": round(time.perf_counter() - began, 1)}
        print(name, rows[name], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recordings", type=int, default=1)
    parser.add_argument("--clusters", type=int, default=11)
    parser.add_argument("--method", default="sela-nn")
    parser.add_argument("--speakers", choices=SPEAKERS, default="reporting")
    options = parser.parse_args()
    words, rows = read_words(SPEAKERS[options.speakers]), {"windows": [], "words": []}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as place:
            said = make_recordings(words, options.recordings, np.random.default_rng(seed), Path(place))
            settings = {"clusters": options.clusters, "method": options.method, "encoder": "scratch", "seed": seed}
            for name, row in label_both(Path(place), said, **settings).items():
                rows[name].append(row)
        if options.speakers == "reporting":
            write(options, rows)


def write(options: argparse.Namespace, rows: dict[str, list[dict]]) -> None:
    """Write the rows so far beside those of other methods on the same recordings."""
    header = {
        "data": f"{options.recordings} recordings of {MINUTES} min, digits of three speakers, another draw with every seed",
        "windows": f"{WINDOWS_S:g} s, one every {HOP_S:g} s",
        "clusters": options.clusters,
    }
    methods = {f"{options.method}, {name}": with_summary(of) for name, of in rows.items()}
    old = read_results("recordings")
    write_results("recordings", {**header, "methods": (old["methods"] if header.items() <= old.items() else {}) | methods})


if __name__ == "__main__":
    main()
