"""Two ranks under torchrun beside one, a thread each on two cores; and what happens when one of them is killed.

Speed: photos decoded and encoded by a fixed EfficientNet-Lite0, and epochs of `sela-nn` on the same photos from scratch: seconds
of one rank over seconds of two, how often a photo was decoded, and the peak memory of a rank above an idle import.

Faults: SIGKILL of either rank at random moments between its start and its end, which are in preparation, training and labelling.
With `--max-restarts 1` torchrun must end with the labels of a run that nobody killed; without it the command must end with an
error in under 30 s, and the same command with `--resume` with the same labels.

    SELFLABEL_DATA=... python -m bench.ranks [--photos 1000] [--faults 10]     # writes results/ranks.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reproduce.common import unpack_files, write_results
from reproduce.lite0 import ENCODER, lite0_weights

SET, PX, EPOCHS, REPEATS = "imagenette128", 128, 2, 3
KILLED_PHOTOS, KILLED_EPOCHS = 200, 6


def launch(ranks: int, words: list[str], restarts: int = 0) -> list[str]:
    """The command that runs a module on some ranks; one rank is a process without torchrun."""
    if ranks == 1:
        return [sys.executable, "-m", *words]
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]
    return [sys.executable, "-m", *torchrun, "-m", *words]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


# -------------------------------------------------------------------------------------------------------------- speed


def worker(source: str, weights: str, out: str) -> None:
    """What each rank runs: prepare frozen features, then train from scratch; it writes its seconds, decodes and peak memory."""
    import torch

    from selflabel.base.settings import make_settings
    from selflabel.jobs.label import label
    from selflabel.jobs.prepare import decoding, prepare
    from selflabel.training.distributed import join

    decode, decoded = decoding.decoded_items, []

    def counted(*args: Any, **given: Any) -> Any:
        found = decode(*args, **given)
        decoded.append(found.n_decoded)
        return found

    decoding.decoded_items = counted
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ranks = join(torch.device("cpu"))
    ranks.barrier()
    began = time.perf_counter()
    encoder = f"frozen:{ENCODER}"
    prepare(source, torch.device("cpu"), encoder=encoder, weights=weights, px=PX, cache=f"{out}/cache", ranks=ranks)
    ranks.barrier()
    seconds = {"decode and encode": time.perf_counter() - began}
    settings = make_settings(source=source, clusters=10, encoder="scratch", epochs=EPOCHS, device="cpu", cache=f"{out}/cache")
    report = label(settings, Path(out) / "run").report
    seconds["train"] = report["seconds"]["train"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = {"seconds": seconds, "decoded": decoded[0], "peak_mb": (peak - idle) / 1024}
    (Path(out) / f"rank{ranks.rank}.json").write_text(json.dumps(said))


def measured(ranks: int, source: Path, weights: Path) -> list[dict[str, Any]]:
    """What each rank says."""
    with tempfile.TemporaryDirectory() as out:
        words = ["bench.ranks", "worker", str(source), str(weights), out]
        subprocess.run(launch(ranks, words), check=True, env=environment(), stderr=subprocess.DEVNULL)
        return [json.loads((Path(out) / f"rank{i}.json").read_text()) for i in range(ranks)]


def speed(n: int) -> dict[str, Any]:
    """Seconds of one rank over those of two, medians of turns."""
    source, weights = unpack_files(SET, limit=n) / "items", lite0_weights()
    turns = [{ranks: measured(ranks, source, weights) for ranks in (1, 2)} for _ in range(REPEATS)]
    rows: dict[str, Any] = {"photos": n, "repeats": REPEATS}
    for what in ("decode and encode", "train"):
        seconds = {ranks: [max(rank["seconds"][what] for rank in turn[ranks]) for turn in turns] for ranks in (1, 2)}
        rows[what] = {
            "seconds of one rank": statistics.median(seconds[1]),
            "seconds of two ranks": statistics.median(seconds[2]),
            "faster": statistics.median(one / two for one, two in zip(seconds[1], seconds[2])),
        }
    rows["decodes"] = {f"{ranks} ranks": sum(rank["decoded"] for rank in turns[0][ranks]) for ranks in (1, 2)}
    rows["peak_mb of a rank"] = {f"{ranks} ranks": max(rank["peak_mb"] for rank in turns[0][ranks]) for ranks in (1, 2)}
    return rows


# ------------------------------------------------------------------------------------------------------------- faults


def command(source: Path, out: Path, cache: Path, *more: str) -> tuple[list[str], dict[str, str]]:
    """`label` as the ranks run it, and its environment."""
    words = ["selflabel.cli", "label", str(source), "-k", "5", "--encoder", "scratch", "--epochs", str(KILLED_EPOCHS)]
    return [*words, "--out", str(out), *more], environment(SELFLABEL_CACHE=str(cache))


def rank_process(torchrun: int, rank: int) -> int | None:
    """The process number of a rank; None where it has not started, or has ended."""
    try:
        children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
        of = {child: Path(f"/proc/{child}/environ").read_bytes().split(b"\0") for child in children}
    except OSError:
        return None
    return next((int(child) for child, variables in of.items() if b"RANK=%d" % rank in variables), None)


def killed_run(words: list[str], env: dict[str, str], restarts: int, rank: int, moment: float) -> dict[str, Any]:
    """Run on two ranks, kill one of them, and wait for the end.

    Args:
        words, env: of `command`.
        restarts: of torchrun.
        rank: which one is killed.
        moment: seconds after its start.
    """
    with tempfile.TemporaryFile("w+") as text:
        running = subprocess.Popen(launch(2, words, restarts), env=env, stdout=text, stderr=subprocess.STDOUT)
        while (victim := rank_process(running.pid, rank)) is None and running.poll() is None:
            time.sleep(0.02)
        time.sleep(moment)
        was_killed = victim is not None and running.poll() is None and rank_process(running.pid, rank) == victim
        if was_killed:
            os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        code = running.wait()
        text.seek(0)
        return {"killed": was_killed, "code": code, "seconds to the end": time.monotonic() - began, "text": text.read()}


def faults(n: int) -> dict[str, Any]:
    """Kill a rank n times with a restart, and n times without one."""
    photos = unpack_files(SET, limit=KILLED_PHOTOS) / "items"
    generator, rows = random.Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        words, env = command(photos, Path(folder) / "whole", Path(folder) / "cache")
        began = time.monotonic()
        subprocess.run(launch(2, words), env=env, check=True, capture_output=True)
        length, expected = time.monotonic() - began, (Path(folder) / "whole" / "labels.csv").read_bytes()
        for i in range(2 * n):
            restarts, rank, moment = int(i % 2 == 0), (i // 2) % 2, generator.uniform(0, length)
            out, cache = Path(folder) / f"run{i}", Path(folder) / f"cache{i}"
            words, env = command(photos, out, cache)
            row = killed_run(words, env, restarts, rank, moment)
            row |= {"restarts": restarts, "rank": rank, "moment": round(moment, 1)}
            if row["code"] != 0:
                words, env = command(photos, out, cache, "--resume")
                subprocess.run(launch(2, words), env=env, check=True, capture_output=True)
            row["same labels"] = (out / "labels.csv").read_bytes() == expected
            rows.append({name: value for name, value in row.items() if name != "text"})
            print(rows[-1], row["text"][-300:] if not row["same labels"] else "", flush=True)
            shutil.rmtree(cache, ignore_errors=True)
    return {"seconds of a whole run": round(length, 1), "runs": rows}


def main() -> None:
    if sys.argv[1:2] == ["worker"]:
        return worker(*sys.argv[2:5])
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=10)
    given = parser.parse_args()
    rows: dict[str, Any] = {"speed": speed(given.photos)}
    print(json.dumps(rows["speed"], indent=1))
    write_results("ranks", rows | {"faults": faults(given.faults) if given.faults else {}})


if __name__ == "__main__":
    main()
