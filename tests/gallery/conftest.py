"""A finished run written without training, its page served over HTTP, and a real browser to open it."""

import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.server import Page, make_app
from selflabel.gallery.serving import open_listener
from selflabel.gallery.summary import overview
from selflabel.runs.origin import Origin, sign
from selflabel.runs.run import Run
from selflabel.runs.writing import Labelling, write_labelling, write_report, write_start

TOKEN = "a-token-for-tests"
HUES = [(200, 60, 60), (60, 160, 70), (60, 90, 200), (210, 170, 50), (150, 70, 180), (60, 170, 180)]


def draw(path, kind, shade):
    """An image of a kind: its colour, with a bar whose position is the shade."""
    pixels = np.full((40, 40, 3), np.array(HUES[kind % len(HUES)]), np.uint8)
    at = int(shade * 30)
    pixels[at : at + 8] = 240
    Image.fromarray(pixels).save(path)


def features_of(kinds, rng, apart=None):
    """(N, 8) features around one centre per kind; rows in `apart` are a second group within their kind."""
    centres = 8 * np.eye(8)[kinds % 8]
    noise = rng.normal(0, 0.5, (len(kinds), 8))
    if apart is not None:
        noise[apart, 7] += 11
    return (centres + noise).astype(np.float32)


def nearest(features, k=10):
    """(N, k) rows of the nearest other rows."""
    squares = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    return np.argsort(squares, axis=1)[:, 1 : k + 1]


def write_run(
    folder,
    source,
    paths,
    labels,
    features,
    neighbours,
    truth=None,
    confidence=None,
    settings=None,
    worked_out=None,
    outliers=None,
    pieces=None,
):
    """A run folder as the labelling writes it."""
    n, k = len(paths), int(labels.max()) + 1
    top = np.stack([labels, (labels + 1) % k], axis=1)
    sure = np.linspace(0.99, 0.6, n) if confidence is None else confidence
    probs = np.stack([sure, 1 - sure], axis=1)
    labelling = Labelling(paths, labels, top, probs, features, neighbours, [], truth, outliers=outliers, pieces=pieces)
    run = Run(Path(folder))
    run.folder.mkdir(parents=True)
    record = {"settings": {"source": str(source), "mass": "auto", **(settings or {})}, "worked_out": worked_out or {"image": {}}}
    write_start(run.folder, record, paths=paths, pieces=pieces)
    sign(run.folder, Origin((str(source),), False))
    write_labelling(run.folder, labelling)
    write_report(run.folder, {"method": "sela-nn", "sizes": np.bincount(labels).tolist(), "n_skipped": 0})
    return run


@pytest.fixture
def picture_run(tmp_path):
    """180 images in six clusters: 0 has two groups, and the last three images of kind 1 are in cluster 2."""

    def make(each=30, outliers=None):
        rng = np.random.default_rng(0)
        items = tmp_path / "items"
        items.mkdir()
        kinds = np.repeat(np.arange(6), each)
        paths = [f"{i:04d}.png" for i in range(len(kinds))]
        for path, kind in zip(paths, kinds):
            draw(items / path, kind, rng.random())
        features = features_of(kinds, rng, apart=np.flatnonzero(kinds == 0)[::2])
        labels = kinds.copy()
        labels[np.flatnonzero(kinds == 1)[-3:]] = 2
        truth = [f"kind {k}" for k in kinds]
        none = None if outliers is None else np.isin(np.arange(len(kinds)), outliers)
        return write_run(tmp_path / "run", items, paths, labels, features, nearest(features), truth, outliers=none)

    return make


@pytest.fixture
def editable(picture_run):
    return EditableRun(picture_run())


def cut_and_joined_clouds(tmp_path, rng):
    """Clusters 0 and 1 are one cloud cut in half, 2 is two clouds, 3 is one."""
    clouds = [rng.normal(0, 1, (200, 12)) + 14 * np.eye(12)[i] for i in range(4)]
    features = np.concatenate(clouds).astype(np.float32)
    labels = np.concatenate([(clouds[0][:, 3] > 0).astype(int), np.full(400, 2), np.full(200, 3)])
    paths = [f"row:{i:06d}" for i in range(800)]
    return EditableRun(
        write_run(tmp_path / "run", "digits", paths, labels, features, nearest(features), confidence=np.full(800, 0.99))
    )


def records_of(editable):
    """Cluster -> its record in the overview."""
    return {record["id"]: record for record in overview(editable, editable.state)["clusters"]}


@contextmanager
def served_page(page):
    """Serve a page over HTTP, as `browse` does; gives its address without the token."""
    import uvicorn

    with open_listener(0) as listener:
        server = uvicorn.Server(uvicorn.Config(make_app(page, TOKEN), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def served(run, **options):
    """Serve the page of a run."""
    return served_page(Page(run, **options))


@pytest.fixture
def client(picture_run):
    """A program that speaks HTTP to the page of a run of 48 images in six clusters."""
    from tests.gallery.client import Client

    with served(picture_run(each=8)) as address:
        yield Client(address)


@pytest.fixture
def visit_address(chromium):
    """visit_address(address with its token) -> a browser page that has opened it. At the end of the test, no error may be in its
    console, and no request may have gone to another host.
    """
    contexts, errors = [], []

    def open_address(address, width=1280, height=800, scheme="light"):
        home = address.split("/?")[0]
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" and "409" not in line.text else None)
        page.on("request", lambda request: errors.append(request.url) if is_foreign(request.url, home) else None)
        page.goto(address)
        page.wait_for_selector(".card")
        page.address = home
        return page

    def close():
        while contexts:
            contexts.pop().close()

    open_address.close = close
    yield open_address
    close()
    assert not errors


@pytest.fixture
def visit(visit_address):
    """visit(run) -> a browser page that shows a run."""
    with ExitStack() as servers:

        def open_run(run, width=1280, height=800, scheme="light", **options):
            address = servers.enter_context(served(run, **options))
            return visit_address(f"{address}/?token={TOKEN}", width, height, scheme)

        yield open_run
        visit_address.close()  # before the servers are gone


def is_foreign(url, address):
    return not url.startswith((f"{address}/", "blob:", "data:"))
