"""Whether two versions of the code give the same labels: every method on five small sets, on one rank, on two, and resumed.

    python reproduce/same_labels.py record before.json --tree /path/to/the/old/checkout
    python reproduce/same_labels.py record after.json
    python reproduce/same_labels.py compare before.json after.json

`record` uses nothing of the package but its command line, so it runs with any version's `src` folder. A run is described by a
digest of its label column, and by one of its labels.csv (which has the confidences, too). One thread a process. The set of clips
and that of spoken digits come from SELFLABEL_DATA; without it, synthetic videos are used and spoken digits are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = {"digits": 4, "features": 4, "mnist5k": 3, "clips": 3, "spoken": 4}
CLUSTERS = {"digits": 10, "features": 10, "mnist5k": 10, "clips": 7, "spoken": 10}
SEEDS = {"digits": (0, 1), "features": (0, 1), "mnist5k": (0,), "clips": (0,), "spoken": (0, 1)}
KILLED_ON = ("digits", "clips")  # one set of images, one of videos with sound
# methods with other options, written as for `compare`; "clusters=?" lets the method find K
VARIANTS = {
    "digits": (
        "deepcluster version=2",
        "iic over=0",
        "scan pretext=moco",
        "scan preset=paper",
        "temi pretext=rotation views=photo-weak",
        "turtle pretext=moco",
        "kmeans pretext=simclr",
        "sela one_head_a_solve=true mass=relaxed",
        "sela-nn clusters=?",
        "sela-nn mass=gaussian",
        "sela-nn pretext=moco pretext_epochs=1",
        "swav mass=estimated queue=100",
    ),
    "features": ("sela-nn clusters=?", "sela-nn mass=uniform", "temi momentum=0.9"),
    "clips": ("selavi groups=1 hidden=32 align=false", "xdc variant=mdc", "xdc variant=cdc"),
}


def make_sets(work: Path) -> dict[str, str]:
    """Name of each set to the SOURCE of the command line."""
    from sklearn.datasets import load_digits

    images = load_digits().images[:600]
    np.save(work / "digits.npy", (images * 255 / 16 + 0.5).astype(np.uint8))
    np.save(work / "features.npy", images.reshape(600, 64).astype(np.float32))
    sets = {"digits": str(work / "digits.npy"), "features": str(work / "features.npy"), "mnist5k": "mnist5k"}
    packs = os.environ.get("SELFLABEL_DATA", "")
    if not Path(packs, "unpack.py").is_file() or not packs:
        sys.path.insert(0, str(ROOT))
        from tests.films import write_set

        write_set(work / "clips", 24)
        return sets | {"clips": str(work / "clips")}
    for name, pack, limit in (("clips", "ucf101_av7", 40), ("spoken", "fsdd", 150)):
        words = [sys.executable, str(Path(packs, "unpack.py")), pack, str(work / name), "--limit", str(limit)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        sets[name] = str(work / name / "items")
    return sets


def words_of(source: str, name: str, entry: str, seed: int, out: Path) -> list[str]:
    """The command for an entry such as "deepcluster version=2"."""
    method, *options = entry.split()
    k = {} if "clusters=?" in options else {"-k": CLUSTERS[name]}
    given = k | {"--method": method, "--seed": seed, "--epochs": EPOCHS[name], "--device": "cpu", "--out": out}
    sets = [word for option in options if option != "clusters=?" for word in ("--set", option)]
    return ["label", source, "--overwrite", *sets, *(str(word) for pair in given.items() for word in pair)]


def digests(folder: Path) -> list[str]:
    """Digests of the label column, and of the whole labels.csv."""
    text = (folder / "labels.csv").read_bytes()
    labels = ",".join(row["label"] for row in csv.DictReader(io.StringIO(text.decode())))
    return [hashlib.sha256(x).hexdigest()[:16] for x in (labels.encode(), text)]


def work_through(jobs: list[list[str]]) -> None:
    """Give the command line one job after another in this process; a job that fails leaves no run folder."""
    from selflabel.cli import main

    for words in jobs:
        sys.argv = ["selflabel", *words]
        out, silence = Path(words[-1]), io.StringIO()
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            main()
        if int(os.environ.get("RANK", "0")) == 0:
            lines = silence.getvalue().strip().splitlines() or ["no output"]
            print(out.name, "ok" if (out / "labels.csv").exists() else f"FAILED: {lines[-1]}", flush=True)


def run_jobs(jobs: list[list[str]], environment: dict[str, str], ranks: int) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(jobs, file)
        file.flush()
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
        subprocess.run([sys.executable, *torchrun, __file__, "work", file.name], env=environment, check=True)


def kill_and_resume(words: list[str], environment: dict[str, str]) -> bool:
    """Kill a run when its first checkpoint is there, then resume it. Returns whether it was killed before its end."""
    command, out = [sys.executable, "-m", "selflabel.cli", *words], Path(words[-1])
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "checkpoint" / "last.safetensors").exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = not (out / "report.json").exists()
    again = [word for word in command if word != "--overwrite"] + ["--resume"]
    subprocess.run(again, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return killed


def record(file: Path, tree: Path, only: str) -> None:
    """Write the digests of every run; runs that `file` has already are not repeated."""
    known: dict[str, list[str]] = json.loads(file.read_text()) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        one_thread = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "SELFLABEL_CACHE": str(work / "cache")}
        no_hub = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(work / "hub")}  # networks from scratch, as in older versions
        environment = {**os.environ, **one_thread, **no_hub, "PYTHONPATH": str(tree / "src")}
        listing = [sys.executable, "-c", "import selflabel.methods as m; print(*m.METHODS, '|', *m.BASELINES)"]
        text = subprocess.run(listing, env=environment, check=True, capture_output=True, text=True).stdout
        trained, fixed = (part.split() for part in text.split("|"))
        sets = make_sets(work)

        def todo(how: str, names, methods, seeds) -> dict[str, list[str]]:
            keys = {f"{n}/{m}/{s}/{how}": (n, m, s) for n in names for m in methods for s in seeds(n)}
            keys = {k: job for k, job in keys.items() if k not in known and only in k}
            return {k: words_of(sets[n], n, m, s, work / re.sub(r"[^\w.-]+", "-", k)) for k, (n, m, s) in keys.items()}

        def keep(jobs: dict[str, list[str]], note: str = "") -> None:
            for key, words in jobs.items():
                known[key] = digests(Path(words[-1])) if (Path(words[-1]) / "labels.csv").exists() else ["failed", "failed"]
                known[key] += [note] if note else []
            file.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")

        for name in sets:
            jobs = todo("one rank", [name], [*trained, *fixed], SEEDS.get)
            jobs |= todo("one rank", [name], VARIANTS.get(name, ()), lambda n: (0,))
            halves = [dict(list(jobs.items())[i::2]) for i in range(2)]
            others = [
                subprocess.Popen(
                    [sys.executable, __file__, "work", "/dev/stdin"], env=environment, stdin=subprocess.PIPE, text=True
                )
                for _ in halves
            ]
            for process, half in zip(others, halves):
                process.stdin.write(json.dumps(list(half.values())))  # type: ignore[union-attr]
                process.stdin.close()  # type: ignore[union-attr]
            for process in others:
                process.wait()
            keep(jobs)
            jobs = todo("two ranks", [name], trained, lambda n: (0,))
            run_jobs(list(jobs.values()), environment, 2)
            keep(jobs)
        for key, words in todo("killed", [n for n in KILLED_ON if n in sets], trained, lambda n: (0,)).items():
            killed = kill_and_resume(words, environment)
            print(key, "killed and resumed" if killed else "ended before it could be killed", flush=True)
            keep({key: words}, "" if killed else "ended before it could be killed")


def compare(before: Path, after: Path) -> int:
    """Print the differences. Returns the number of runs with other labels, in one file only, or changed by resuming."""
    a, b = (json.loads(file.read_text()) for file in (before, after))
    missing = sorted(a.keys() ^ b.keys())
    labels = [key for key in sorted(a.keys() & b.keys()) if a[key][0] != b[key][0]]
    files = [key for key in sorted(a.keys() & b.keys()) if a[key][:2] != b[key][:2] and key not in labels]
    resumed = [k for k in b if k.endswith("/killed") and b[k][:2] != b[k.replace("/killed", "/one rank")][:2]]
    print(f"{len(a.keys() & b.keys())} runs in both: {len(labels)} with other labels, {len(files)} with other confidences")
    print(f"{len(missing)} runs in one only; {len(resumed)} resumed runs that differ from the uninterrupted one")
    for what, keys in (("labels", labels), ("confidences", files), ("in one only", missing), ("resumed", resumed)):
        for key in keys:
            print(f"  {what}: {key}")
    return len(labels) + len(missing) + len(resumed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["record", "compare", "work"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tree", type=Path, default=ROOT, help="a checkout whose src/ is used")
    parser.add_argument("--only", default="", help="runs whose key (set/method/seed/how) has this in it")
    given = parser.parse_args()
    if given.what == "work":
        work_through(json.loads(given.files[0].read_text()))
    elif given.what == "record":
        record(given.files[0], given.tree, given.only)
    else:
        raise SystemExit(1 if compare(*given.files) else 0)


if __name__ == "__main__":
    main()
