"""Files of the model hub (huggingface.co, or HF_ENDPOINT): those on disk are taken as they are, others are fetched.

A hub that does not answer within seconds is taken for none: what its library does about that (retries, lines on the screen, name
servers without a limit of time) happens in a thread that is left alone.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selflabel.base.errors import Interrupted

ANSWER_S = 4.0  # within which a hub answers
STALLED_S = 20.0  # a download without a new byte for so long is given up
SILENT_S = 60.0  # a hub that did not answer is not asked again for so long
POLL_S = 0.1
Progress = Callable[[str, int, int], None]  # (step, megabytes done, megabytes in all)

_silent: dict[str, tuple[float, str]] = {}  # endpoint to (when it did not answer, the reason)


class NoHub(Exception):
    """The hub cannot be asked: no network, switched off, no answer in time, or an answer that helps no further."""


class NotOnHub(Exception):
    """The hub has no such file or repository, or does not give it to this user."""


def cached_file(repo: str, name: str) -> Path | None:
    """A file of a repository, "owner/name" or "owner/name@revision", that is on disk already."""
    from huggingface_hub import constants, try_to_load_from_cache

    repo_id, _, revision = repo.partition("@")
    try:
        found = try_to_load_from_cache(repo_id, name, constants.HF_HUB_CACHE, revision or None)
    except ValueError:  # no name of a repository
        return None
    return Path(found) if isinstance(found, str) and Path(found).exists() else None


def hub_file(repo: str, names: tuple[str, ...], progress: Progress | None = None, fetch: bool = True) -> Path:
    """The first of some files that a repository has: from the disk, or from the hub.

    Args:
        repo: "owner/name", or "owner/name@revision".
        names: of the files, the best one first.
        progress: of the download.
        fetch: False never asks the hub.

    Raises:
        NoHub: it is on no disk, and the hub cannot be asked.
        NotOnHub: the repository has none of the files.
    """
    for name in names:
        if (file := cached_file(repo, name)) is not None:
            return file
    if not fetch:
        raise NoHub("nothing is fetched here")
    for name in names:
        try:
            size = asked(repo, name)
        except NotOnHub:
            if name == names[-1]:
                raise
            continue
        return downloaded(repo, name, size, progress)
    raise AssertionError("no names")


def asked(repo: str, name: str) -> int:
    """The size of a file of a repository in bytes; 0 where the hub does not say.

    Raises:
        NoHub, NotOnHub: see `hub_file`.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if constants.HF_HUB_OFFLINE:
        raise NoHub("HF_HUB_OFFLINE is set")
    endpoint = constants.ENDPOINT
    since, reason = _silent.get(endpoint, (-SILENT_S, ""))
    if time.monotonic() - since < SILENT_S:
        raise NoHub(reason)
    repo_id, _, revision = repo.partition("@")
    try:
        url = hf_hub_url(repo_id, name, revision=revision or None, endpoint=endpoint)
        found = in_thread(lambda: get_hf_file_metadata(url, timeout=ANSWER_S), ANSWER_S)
    except EntryNotFoundError as error:
        raise NotOnHub(f"{repo} has no file {name}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise NotOnHub(f"the model hub has no {repo}, or gives it only to those who asked for it") from error
    except HfHubHTTPError as error:
        raise NoHub(f"{endpoint} answers with an error") from error
    except Exception as error:  # the library raises those of its network library, too, which changes with versions
        is_late = "Timeout" in type(error).__name__
        reason = f"{endpoint} does not answer" if is_late else f"{endpoint} cannot be reached"
        _silent[endpoint] = (time.monotonic(), reason)
        raise NoHub(reason) from error
    return int(found.size or 0)


def downloaded(repo: str, name: str, size: int, progress: Progress | None) -> Path:
    """A file of the hub, fetched into its library's cache.

    Raises:
        NoHub: it ends early or stalls.
    """
    from huggingface_hub import constants, hf_hub_download

    repo_id, _, revision = repo.partition("@")
    done = [0]
    options: dict[str, Any] = {"revision": revision or None, "endpoint": constants.ENDPOINT}
    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
        options["tqdm_class"] = counter_into(done)
    state, said = {"bytes": -1, "since": time.monotonic()}, f"downloading {repo_id} (MB)"

    def watch() -> None:
        if done[0] != state["bytes"]:
            state.update(bytes=done[0], since=time.monotonic())
        elif time.monotonic() - state["since"] > STALLED_S and done[0] < size:
            raise TimeoutError
        if progress is not None and size > 1e6:
            progress(said, min(done[0], size - 1) // 1_000_000, size // 1_000_000)

    try:
        file = in_thread(lambda: hf_hub_download(repo_id, name, **options), None, watch)
    except TimeoutError as error:
        raise NoHub(f"the download of {repo_id} stalled") from error
    except Exception as error:
        if isinstance(error, Interrupted):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise NoHub(f"the download of {repo_id} failed: {reason}") from error
    if progress is not None and size > 1e6:
        progress(said, size // 1_000_000, size // 1_000_000)
    return Path(file)


def counter_into(done: list[int]) -> type:
    """A class for the library's progress bars that shows nothing and adds the bytes up."""
    from tqdm import tqdm

    class Counter(tqdm):
        def __init__(self, *args: Any, **named: Any):
            done[0] += int(named.get("initial") or 0)
            super().__init__(*args, **{k: v for k, v in named.items() if k != "name"} | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            done[0] += int(n or 0)

    return Counter


def in_thread(work: Callable[[], Any], limit_s: float | None, watch: Callable[[], None] = lambda: None) -> Any:
    """The result of work that may hang, or its error.

    Args:
        work: done in a thread, which goes on alone where it takes too long; it dies with the process.
        limit_s: seconds it may take; None for as long as `watch` allows.
        watch: called while it is done; what it raises ends the wait.

    Raises:
        TimeoutError: it takes too long.
    """
    ends: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            ends.append((True, work()))
        except BaseException as error:
            ends.append((False, error))

    thread, began = threading.Thread(target=run, daemon=True), time.monotonic()
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
        if thread.is_alive():
            if limit_s is not None and time.monotonic() - began > limit_s:
                raise TimeoutError
            watch()
    good, result = ends[0]
    if not good:
        raise result
    return result


def sha256_of(*files: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; of several files that of their digests."""
    digests = []
    for file in files:
        digest = hashlib.sha256()
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
        digests.append(digest.hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
