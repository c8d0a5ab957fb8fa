"""Sources at addresses: fetched into the cache, from a web server and an S3 server on this machine."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pytest

from selflabel import Run, label
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.decode.cache import clear, default_cache
from selflabel.items import open_items, remote
from selflabel.items.remote import names_beside
from tests.items.pictures import png
from tests.items.test_parquet_items import CELL
from tests.items.test_saved_dataset import save, write_arrow

pytest.importorskip("aiohttp")
ROWS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float16)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and counts what it sends."""

    sent: list = []  # noqa: RUF012

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.sent.append(self.path)
        super().do_GET()


@contextmanager
def serving(folder):
    """The address of a web server of a folder."""
    Quiet.sent = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def site(tmp_path):
    """(folder, its address) of a web server."""
    with serving(tmp_path) as address:
        yield tmp_path, address


def write_shards(folder):
    for i in range(3):
        np.save(folder / f"part-{i}.npy", ROWS[10 * i : 10 * i + 10])


def test_shards_of_a_web_server_are_fetched_once_labelled_and_found_again(site, tmp_path):
    folder, address = site
    write_shards(folder)
    source = f"{address}/part-{{0..2}}.npy"
    label(make_settings(source=source, clusters=2, method="kmeans", device="cpu"), folder / "run")
    run = Run.open(folder / "run")
    assert np.allclose(run.source().source.values(12), ROWS[12]) and Quiet.sent.count("/part-1.npy") == 1
    np.save(folder / "part-1.npy", ROWS[:9])
    assert len(open_items(source)) == 29 and Quiet.sent.count("/part-1.npy") == 2 == Quiet.sent.count("/part-0.npy") + 1
    np.save(folder / "part-1.npy", np.ones((2, 5), np.float16))
    with pytest.raises(UserError, match=rf"^{address}/part-1.npy: has 5 features in a row, and part-0.npy has 4"):
        open_items(source)
    assert clear(default_cache()) > 0 and not (default_cache() / "remote").exists()


def test_a_copy_is_used_where_a_server_does_not_answer(tmp_path):
    write_shards(tmp_path)
    with serving(tmp_path) as address:
        assert len(open_items(f"{address}/part-0.npy")) == 10
        with pytest.raises(UserError, match=r"gone\.npy: there is no such file there"):
            open_items(f"{address}/gone.npy")
    assert len(open_items(f"{address}/part-0.npy")) == 10
    with pytest.raises(UserError, match=r"/part-1\.npy: cannot be fetched .*check the address and the network"):
        open_items(f"{address}/part-1.npy")


def test_a_manifest_names_files_beside_it_and_none_of_this_machine(site, tmp_path):
    folder, address = site
    (folder / "set/a b").mkdir(parents=True)
    (folder / "outside.png").write_bytes(png(9))
    for i in range(2):
        (folder / f"set/a b/{i}.png").write_bytes(png(i))
    (folder / "set/list.csv").write_text("path,label\na b/0.png,x\na b/1.png,y\na b/2.png,z\n../outside.png,z\n")
    items = open_items(f"{address}/set/list.csv")
    assert items.paths == ["a b/0.png", "a b/1.png"] and items.blobs["image"][1].read() == png(1) and items.truth == ["x", "y"]
    assert [path for path, _ in items.skipped] == ["a b/2.png", "../outside.png"] and "/outside.png" not in Quiet.sent
    (folder / "set/sly.csv").write_text(f"path,captions\na b/0.png,{folder}/private.vtt\n")
    with pytest.raises(UserError, match=r"sly\.csv: names a file of this machine"):
        open_items(f"{address}/set/sly.csv")
    (folder / "set/evil.csv").write_text(f"path\n{folder}/outside.png\n")
    with pytest.raises(UserError, match=r"evil\.csv: names a file of this machine"):
        open_items(f"{address}/set/evil.csv")
    (tmp_path / "local.csv").write_text("path\nhttp://127.0.0.1:1/x.png\n..\n./q.png\n")
    assert names_beside("http://host/local.csv", tmp_path / "local.csv") == ["q.png"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("https://127.0.0.1/*.npy", "a web server lists no files"),
        ("https://127.0.0.1/", "ends in no name of a file"),
        ("nosuch://place/x.npy", "addresses that begin so are not known"),
    ],
)
def test_addresses_that_cannot_be_read_are_a_sentence(source, sentence):
    with pytest.raises(UserError, match=sentence):
        open_items(source)


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aiohttp", None)
    with pytest.raises(UserError, match=r"pip install 'selflabel\[remote\]'"):
        open_items("https://127.0.0.1:1/x.npy")


def test_a_google_address_goes_to_gcsfs_and_without_it_the_command_that_installs_it_is_named(monkeypatch):
    from fsspec.registry import known_implementations

    assert all(known_implementations[name]["class"].startswith("gcsfs.") for name in ("gs", "gcs"))
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    for source in ("gs://bucket/x.npy", "gs://bucket/features/*.npy", "GCS://bucket/"):
        with pytest.raises(UserError, match=r"is read by a package of its own; pip install gcsfs\.$"):
            open_items(source)


def test_cells_of_a_table_elsewhere_name_no_file_of_this_machine_and_a_saved_dataset_is_fetched_as_one(site, monkeypatch):
    folder, address = site
    (folder / "0.png").write_bytes(png(5))
    cells = [{"bytes": None, "path": "0.png"}, {"bytes": png(1), "path": None}]
    write_arrow(folder / "data-0.arrow", pa.table({"image": pa.array(cells, CELL)}))
    write_arrow(folder / "cache-1.arrow", pa.table({"image": pa.array(cells, CELL)}))
    assert [blob.read() for blob in open_items(f"{address}/data-0.arrow").blobs["image"]] == [png(5), png(1)]
    save(folder, "data-0.arrow")
    files = [f"{address}/{name}" for name in ("cache-1.arrow", "data-0.arrow", "dataset_info.json", "state.json")]
    monkeypatch.setattr(remote, "matches", lambda place: files if place.endswith("/") else [place])  # as a store lists them
    assert len(open_items(f"{address}/")) == 2
    evil = pa.array([{"bytes": None, "path": f"{folder}/0.png"}, cells[1]], CELL)
    write_arrow(folder / "evil.arrow", pa.table({"image": evil}))
    with pytest.raises(UserError, match=r"evil\.arrow: names a file of this machine"):
        open_items(f"{address}/evil.arrow")


@pytest.mark.slow
def test_patterns_and_folders_of_an_s3_server_are_sets(tmp_path, monkeypatch):
    pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    words = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for name, value in (words | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    try:
        import s3fs

        store = s3fs.S3FileSystem(skip_instance_cache=True)
        store.mkdir("bucket")
        write_shards(tmp_path)
        for i in range(3):
            store.put(str(tmp_path / f"part-{i}.npy"), f"bucket/features/part-{i}.npy")
        for source in ("s3://bucket/features/", "s3://bucket/features/*.npy"):
            assert np.array_equal(open_items(source).array, ROWS)
        with pytest.raises(UserError, match=r"s3://bucket/gone\.npy: there is no such file there"):
            open_items("s3://bucket/gone.npy")
        with pytest.raises(UserError, match=r"s3://bucket/none/\*\.tar: there is no such file there"):
            open_items("s3://bucket/none/*.tar")
    finally:
        server.stop()
