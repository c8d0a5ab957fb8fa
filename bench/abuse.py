"""Attacks with figures: kills, two writers, damaged media, damaged and forged run folders, and requests nobody should send.

Everything is real: processes are ended by SIGKILL, files are bytes on disk, requests go over a socket to a running page. A figure
is a count of what went wrong; all of them are to be 0. The seed makes the attacks the same every time, the moments of the kills
aside.

    python -m bench.abuse [seed]
"""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

KILLS = 6  # of a run in training
WRITER_KILLS, EDITS = 10, 150  # of a process that edits; edits of each of two writers
DAMAGED = 3000  # media files
FORGED = 120  # run folders
REQUESTS = 3000
TOKEN = "abuse"
SECRET = b"SECRET-THAT-NOBODY-MAY-SEE"


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "selflabel.cli", *map(str, words)]


# ------------------------------------------------------------------------------------------------------------------- kills


def kill_runs(place: Path, rng: random.Random) -> dict[str, int]:
    """Runs that are killed at any moment and resumed: how many give other labels than a run that was left alone."""
    truth = np.arange(300) % 3
    rows = np.random.default_rng(0).normal(size=(300, 8)) + 5 * np.eye(8)[truth]
    np.save(place / "x.npy", rows.astype(np.float32))
    words = ("label", place / "x.npy", "-k", 3, "--method", "sela", "--epochs", 20, "--device", "cpu", "--out")
    started = time.perf_counter()
    subprocess.run(command(*words, place / "whole"), check=True, capture_output=True)
    length = time.perf_counter() - started
    expected, others, kills = (place / "whole" / "labels.csv").read_bytes(), 0, 0
    for i in range(KILLS):
        run = place / f"killed-{i}"
        process = subprocess.Popen(command(*words, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.4, 1.0) * length)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        subprocess.run(command(*words, run, "--resume"), check=True, capture_output=True)
        others += (run / "labels.csv").read_bytes() != expected
    return {"runs": KILLS, "killed in time": kills, "other labels": others}


# ------------------------------------------------------------------------------------------------------------------ writers

WRITER = """
import sys
from pathlib import Path
from selflabel.edits import append, parse
for i in range(int(sys.argv[2])):
    append(Path(sys.argv[1]), parse({"do": "name", "cluster": 0, "name": f"{sys.argv[3]} {i}"}))
    print(i, flush=True)
"""


def two_writers(place: Path, rng: random.Random) -> dict[str, int]:
    """Edits of two processes at once, and of processes that are killed: how many that were acknowledged are not in the log."""
    from selflabel.edits import read_edits

    run = finished_run(place / "edited")
    processes = [writer(run.folder, EDITS, name) for name in ("a", "b")]
    acknowledged = [f"{name} {i}" for name, p in zip("ab", processes) for i in p.communicate()[0].split()]
    for i in range(WRITER_KILLS):
        process = writer(run.folder, 10_000, f"killed-{i}")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randint(1, 30))]
        process.kill()
        acknowledged += [
            f"killed-{i} {line.strip()}" for line in [*lines, *process.communicate()[0].splitlines()] if line.strip()
        ]
    names = {edit.name for edit in read_edits(run.folder)}  # type: ignore[attr-defined]
    return {"acknowledged": len(acknowledged), "kills": WRITER_KILLS, "lost": sum(name not in names for name in acknowledged)}


def writer(folder: Path, n: int, name: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(n), name], stdout=subprocess.PIPE, text=True)


# ------------------------------------------------------------------------------------------------------------- damaged media


def good_media() -> dict[str, tuple[str, bytes]]:
    """Ending to the kind of medium and the bytes of a small file."""
    from tests.films import bars, write_film

    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    media: dict[str, tuple[str, bytes]] = {}
    for ending, form in (
        (".png", "PNG"),
        (".jpg", "JPEG"),
        (".gif", "GIF"),
        (".tif", "TIFF"),
        (".webp", "WEBP"),
        (".bmp", "BMP"),
    ):
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, form)
        media[ending] = ("image", data.getvalue())
    data = io.BytesIO()
    with wave.open(data, "wb") as f:
        f.setnchannels(1), f.setsampwidth(2), f.setframerate(8000)
        f.writeframes(np.random.default_rng(0).integers(-9000, 9000, 4000).astype("<i2").tobytes())
    media[".wav"] = ("sound", data.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        write_film(Path(folder, "x.mp4"), bars(6, 0, np.random.default_rng(0)))
        media[".mp4"] = ("clip", Path(folder, "x.mp4").read_bytes())
    return media


def damage(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some of them changed, cut off, doubled, or replaced by zeros."""
    changed = bytearray(data)
    way = rng.randrange(4)
    at = rng.randrange(len(changed))
    if way == 0:
        return bytes(changed[:at])
    if way == 1:
        return bytes(changed[:at] + changed[at // 2 :])
    if way == 2:
        changed[at : at + 64] = bytes(min(64, len(changed) - at))
    for _ in range(rng.randint(1, 20)):
        changed[rng.randrange(min(len(changed), 200) if rng.random() < 0.5 else len(changed))] = rng.randrange(256)
    return bytes(changed)


def damaged_media(place: Path, rng: random.Random) -> dict[str, int]:
    """Damaged files, decoded in workers: how many ended the decoding, or are neither decoded nor listed."""
    from selflabel.decode.cache import decoded_items
    from selflabel.decode.formats import DecodedFormat
    from selflabel.items import Blob

    formats = {
        "image": DecodedFormat("image", (3, 16, 16)),
        "sound": DecodedFormat("sound", (2000,), 8000),
        "clip": DecodedFormat("clip", (4, 3, 16, 16)),
    }
    media, figures = good_media(), Counter(files=0, decoded=0, listed=0, unaccounted=0, ended=0)
    for ending, (kind, data) in media.items():
        folder = place / f"damaged{ending}"
        folder.mkdir()
        files = [folder / f"{i}{ending}" for i in range(DAMAGED // len(media))]
        for file in files:
            file.write_bytes(damage(data, rng))
        figures["files"] += len(files)
        try:
            store = decoded_items([Blob(str(file)) for file in files], formats[kind], place / "cache")
        except Exception as error:  # any is a failure of ours
            print(f"{ending}: {type(error).__name__}: {error}", file=sys.stderr)
            figures["ended"] += 1
            continue
        decoded = store.lengths > 0
        figures["decoded"] += int(decoded.sum())
        figures["listed"] += len(store.errors)
        silent = kind in ("sound", "clip")  # a sound may be silence, which is no error
        figures["unaccounted"] += 0 if silent else sum(not d and i not in store.errors for i, d in enumerate(decoded))
    return dict(figures)


# ------------------------------------------------------------------------------------------------------------- run folders


def finished_run(folder: Path):
    """A finished run over pictures of its own, without training."""
    from tests.run_folders import write_run

    items = folder.with_name(f"{folder.name}-items")
    items.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        Image.fromarray(rng.integers(0, 255, (12, 12, 3)).astype(np.uint8)).save(items / f"{i:02d}.png")
    return write_run(folder, items, [f"{i:02d}.png" for i in range(24)], np.arange(24) % 3)


def forge(folder: Path, secret: Path, rng: random.Random) -> str:
    """Damage one file of a run folder, or make it a link to a secret file; returns what was done."""
    from selflabel.runs.thumbs import Thumbs  # noqa: F401  the folder may have small pictures, too

    file = rng.choice([p for p in sorted(folder.rglob("*")) if p.is_file()])
    if rng.random() < 0.4:
        file.unlink()
        file.symlink_to(secret)
        return f"{file.name} is a link"
    data = file.read_bytes()
    file.write_bytes(damage(data, rng) if data else b"[" * 100_000)
    return f"{file.name} is damaged"


def forged_folders(place: Path, rng: random.Random) -> dict[str, int]:
    """Damaged and forged run folders, opened, edited and exported: errors that are no sentence, leaks, and writes outside."""
    from selflabel.base.errors import UserError
    from selflabel.edits import append, parse
    from selflabel.exports import export
    from selflabel.gallery.server import Page
    from selflabel.runs.run import Run

    run = finished_run(place / "model")
    Page(run).thumbs.bundle(range(24))
    secret = place / "secret.txt"
    figures = Counter(folders=0, sentences=0, unaffected=0, tracebacks=0, leaks=0, overwritten=0)
    for i in range(FORGED):
        folder, out = place / f"forged-{i}", place / f"forged-{i}-html"
        secret.write_bytes(SECRET)
        shutil.copytree(run.folder, folder)
        what = forge(folder, secret, rng)
        steps: list[Callable[[], object]] = [
            lambda folder=folder: Page(Run.open(folder)).thumbs.bundle(range(24)),
            lambda folder=folder: append(folder, parse({"do": "name", "cluster": 0, "name": "x"})),
            lambda folder=folder, out=out: export(Run.open(folder), "html", out),
        ]
        outcome = "unaffected"
        for step in steps:
            try:
                step()
            except UserError:
                outcome = "sentences"
            except Exception as error:
                print(f"{what}: {type(error).__name__}: {error}", file=sys.stderr)
                outcome = "tracebacks"
                break
        figures["folders"] += 1
        figures[outcome] += 1
        figures["leaks"] += out.is_dir() and any(SECRET in f.read_bytes() for f in out.rglob("*") if f.is_file())
        figures["overwritten"] += secret.read_bytes() != SECRET
        shutil.rmtree(folder)
        shutil.rmtree(out, ignore_errors=True)
    return dict(figures)


# ---------------------------------------------------------------------------------------------------------------- requests

NUMBERS = ["0", "-1", "1e999", "NaN", "true", "9" * 5000, "1.5", '"0"', "[]", "{}", "null", str(2**63), "-0.0", "1e-400"]
GET = [
    "rows/{}",
    "items/{}",
    "thumbs/x?rows={}",
    "map?left={}",
    "rows/cluster-{}?order=typical",
    "rows/0?q={}",
    "overview",
    "hints",
]
EDITS_SENT = [
    '{{"do": "name", "cluster": {}, "name": "x"}}',
    '{{"do": "merge", "clusters": [0, {}], "into": 0}}',
    '{{"do": "split", "cluster": {}, "parts": {}}}',
    '{{"do": "move", "items": [{}], "cluster": {}}}',
    '{{"do": "reject", "items": {}}}',
    '{{"do": {}}}',
    "{}",
]


def random_request(rng: random.Random) -> tuple[str, str, bytes | None]:
    """(method, path, body)."""
    number = rng.choice(NUMBERS)
    way = rng.randrange(4)
    if way == 0:
        return "GET", "/api/" + rng.choice(GET).format(number[:4000].replace(" ", "")), None
    if way == 1:
        text = rng.choice(EDITS_SENT).format(number, rng.choice(NUMBERS))
        return "POST", "/api/edits", text.encode()
    if way == 2:
        path = rng.choice(["likely", "lasso", "exports", "edits"])
        nested = rng.choice(["[" * 50_000, '{"items": ' + number + "}", '{"format": ' + number + "}", "\xff\xfe", "", number])
        return "POST", f"/api/{path}", nested.encode("latin-1")
    junk = "".join(rng.choice("abc/.%0123[]{}?&=") for _ in range(rng.randint(0, 60)))
    return rng.choice(["GET", "PUT", "DELETE", "POST", "HEAD"]), f"/{junk}", None


def many_requests(place: Path, rng: random.Random) -> dict[str, int]:
    """Requests that nobody should send to a running page: how many are answered by a server error, or not at all."""
    from selflabel.gallery.server import Page, make_app
    from selflabel.gallery.serving import make_server, open_listener

    page, listener = Page(finished_run(place / "page")), open_listener(0)
    port = listener.getsockname()[1]
    server = make_server(make_app(page, TOKEN))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.02)
    figures = Counter({"requests": 0, "answered": 0, "refused": 0, "server errors": 0, "no answer": 0})
    headers = {"Cookie": f"selflabel={TOKEN}", "Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    for _ in range(REQUESTS):
        method, path, body = random_request(rng)
        status = ask(port, method, path, body, headers)
        kind = "no answer" if status is None else ("answered", "refused", "server errors")[min(2, max(0, status // 100 - 3))]
        figures["requests"] += 1
        figures[kind] += 1
        if kind in ("server errors", "no answer"):
            print(f"{method} {path[:80]} {(body or b'')[:80]!r}: {status}", file=sys.stderr)
    server.should_exit = True
    return dict(figures)


def ask(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> int | None:
    """The status of a response; None where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return response.status


# -------------------------------------------------------------------------------------------------------------------- main

ATTACKS = {
    "kills": kill_runs,
    "writers": two_writers,
    "damaged media": damaged_media,
    "forged run folders": forged_folders,
    "requests": many_requests,
}
MUST_BE_ZERO = {
    "other labels",
    "lost",
    "unaccounted",
    "ended",
    "tracebacks",
    "leaks",
    "overwritten",
    "server errors",
    "no answer",
}


def main() -> None:
    from reproduce.common import write_results

    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    content: dict = {"seed": seed, "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as place:
        os.environ["SELFLABEL_CONFIG"] = os.path.join(place, "config")  # noqa: PTH118
        for name, attack in ATTACKS.items():
            folder = Path(place, name.replace(" ", "-"))
            folder.mkdir()
            started = time.perf_counter()
            content[name] = attack(folder, random.Random(seed)) | {"seconds": round(time.perf_counter() - started, 1)}
            print(name, json.dumps(content[name]), flush=True)
    content["failures"] = sum(value for name in ATTACKS for key, value in content[name].items() if key in MUST_BE_ZERO)
    write_results("abuse", content)
    raise SystemExit(content["failures"] > 0)


if __name__ == "__main__":
    main()
