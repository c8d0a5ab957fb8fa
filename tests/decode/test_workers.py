import os
import signal
import sys

import numpy as np
import pytest

from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.image import Undecodable
from selflabel.decode.workers import decode_rows, without_main_script
from selflabel.items import Blob, from_folder
from tests.films import write_set


def hangs(blob):
    import time

    time.sleep(30)


class Hanging(DecodedFormat):
    """A format whose decoder hangs on one file as if in C: Python's signal handlers do not run."""

    def decode(self, blob):
        if blob.file.endswith("002.mp4"):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            hangs(blob)
        return super().decode(blob)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="the system has no alarm")
def test_a_decoder_that_hangs_loses_one_item(tmp_path):
    write_set(tmp_path / "films", n=20, seconds=0.3)
    items = from_folder(tmp_path / "films")
    store = decoded_items(items.blobs["video"], Hanging("clip", (4, 3, 16, 16)), tmp_path / "cache", workers=1, timeout_s=3)
    assert list(store.errors) == [2] and "took over" in store.errors[2]
    assert (store.lengths > 0).tolist() == [i != 2 for i in range(20)]


class Numbers(DecodedFormat):
    """A format whose items are the numbers in their names; the process of 11 dies, 7 cannot be decoded, 5 cannot be read."""

    def decode(self, blob):
        number = int(blob.file)
        if number == 11:
            os._exit(1)
        if number == 7:
            raise Undecodable("unlucky")
        if number == 5:
            raise FileNotFoundError(2, "No such file")
        return np.full(self.shape, number % 256, self.dtype), number


def empty_store(folder, n):
    for name, shape in (("items", (n, 2)), ("lengths", (n,))):
        np.save(folder / f"{name}.npy", np.zeros(shape, np.int16 if name == "items" else np.int32))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_decoder_that_crashes_loses_one_item(workers, tmp_path):
    n = 12
    blobs = [Blob(str(i)) for i in range(n)]
    errors = decode_rows(blobs, list(range(n)), Numbers("sound", (2,)), empty_store(tmp_path, n), workers, None, 9)
    assert set(errors) == {5, 7, 11} and "crashed" in errors[11] and errors[7] == "unlucky" and "cannot be read" in errors[5]
    good = [i for i in range(n) if i not in errors]
    lengths, items = np.load(tmp_path / "lengths.npy"), np.load(tmp_path / "items.npy")
    assert lengths[good].tolist() == good and (items[good, 1] == good).all() and (lengths[list(errors)] == 0).all()


def test_only_the_rows_that_are_asked_for_are_decoded_and_progress_reaches_the_total(tmp_path):
    calls = []
    blobs = [None if i % 2 else Blob(str(i)) for i in range(300)]
    rows = [i for i in range(20, 300) if blobs[i] is not None]
    empty_store(tmp_path, 300)
    assert not decode_rows(blobs, rows, Numbers("image", (2,)), tmp_path, 1, lambda *done: calls.append(done))
    assert calls == [(64, 140), (128, 140), (140, 140)]
    assert np.flatnonzero(np.load(tmp_path / "lengths.npy")).tolist() == rows


def test_the_callers_script_is_hidden_only_while_processes_start():
    main = sys.modules["__main__"]
    before = (getattr(main, "__spec__", None), getattr(main, "__file__", None))
    with without_main_script():
        assert main.__spec__ is None and not hasattr(main, "__file__")
    assert (getattr(main, "__spec__", None), getattr(main, "__file__", None)) == before
