"""From names to items: seconds and memory for 10^5 and 10^6 names, and for a real folder of empty files.

Each size runs in a process of its own. Memory is the process's peak above what it had after importing the package, so that it
includes the names themselves. Of the names, 94 of 100 are pictures, 2 are pictures with a sound beside them, and 2 share a stem
with another picture (a.jpg, a.png). The folder is listed, its items are stamped as the cache does it, and all but one are taken;
it is deleted afterwards.

    python -m bench.listing [files in the folder]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (100_000, 1_000_000)
FILES = 100_000
LIMITS = {"seconds": 20, "bytes": 10**9, "growth": 15}  # of a million names; growth from 10^5 to 10^6, where linear is 10


def made_up_names(n: int) -> list[str]:
    """n names in folders of a thousand."""
    names = []
    for i in range(n):
        stem, kind = f"{i // 1000:04d}/photo-{i:07d}", i % 100
        if kind in (96, 98):  # the next name shares the stem
            names.append(f"{stem}.jpg")
        elif kind in (97, 99):
            names.append(f"{i // 1000:04d}/photo-{i - 1:07d}" + (".wav" if kind == 97 else ".png"))
        else:
            names.append(f"{stem}.jpg")
    return names


def peak_bytes() -> int:
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return round(time.perf_counter() - started, 2), result


def measure_names(n: int) -> dict:
    """Names in any order to the table of items."""
    from selflabel.items.folder import FolderFiles, path_order
    from selflabel.items.grouping import group_by_stem

    idle = peak_bytes()
    names = made_up_names(n)
    names.reverse()

    def listed():
        ordered = sorted(names, key=path_order)
        return group_by_stem("photos", ordered, FolderFiles(Path("/data/photos"), ordered))

    seconds, items = timed(listed)
    return {"names": n, "items": len(items), "seconds": seconds, "bytes": peak_bytes() - idle}


def measure_folder(folder: str) -> dict:
    """A real folder to its items, their stamps, and a part of them."""
    from selflabel.decode.cache import stamps_of
    from selflabel.items import open_items

    idle = peak_bytes()
    listing, items = timed(lambda: open_items(folder))
    stamping, _ = timed(lambda: [stamps_of(blobs) for blobs in items.blobs.values()])
    taking, _ = timed(lambda: items.take(list(range(len(items) - 1)), [(items.paths[-1], "broken")]))
    seconds = {"listing": listing, "stamps": stamping, "taking": taking}
    return {"items": len(items), "seconds": seconds, "bytes": peak_bytes() - idle}


def write_files(root: Path, names: list[str]) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(exist_ok=True)
        file.touch()


def in_own_process(*words: str) -> dict:
    command = [sys.executable, "-m", "bench.listing", *words]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    from reproduce.common import write_results

    n_files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    rows = [in_own_process("--names", str(n)) for n in SIZES]
    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place), made_up_names(n_files))
        folder = in_own_process("--folder", place)
    growth = {key: round(rows[1][key] / rows[0][key], 1) for key in ("seconds", "bytes")}
    content = {
        "load": round(os.getloadavg()[0], 1),
        "names": rows,
        "growth": growth,
        "folder": {"files": n_files} | folder,
        "limits": LIMITS,
        "held": {
            "seconds": rows[-1]["seconds"] < LIMITS["seconds"],
            "bytes": rows[-1]["bytes"] < LIMITS["bytes"],
            "growth": growth["seconds"] < LIMITS["growth"],
        },
    }
    print(json.dumps(content, indent=1))
    write_results("listing", content)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--names"]:
        print(json.dumps(measure_names(int(sys.argv[2]))))
    elif sys.argv[1:2] == ["--folder"]:
        print(json.dumps(measure_folder(sys.argv[2])))
    else:
        main()
