"""The page's answers: one small function a question. Numbers in bulk go as bytes, pictures many at a time."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Body, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from selflabel.base.errors import UserError
from selflabel.gallery import media, plane
from selflabel.gallery.album import Album, State
from selflabel.gallery.details import details
from selflabel.gallery.export_job import Taking
from selflabel.gallery.guard import Guard
from selflabel.gallery.hints import Modes, hints, likely
from selflabel.gallery.summary import overview, said
from selflabel.runs.pictures import array_picture, feature_picture
from selflabel.runs.run import Run
from selflabel.runs.sources import Missing, Source, open_source
from selflabel.runs.thumbs import Thumbs

HERE = Path(__file__).parent
MOST_THUMBS = 256  # in one bundle
FOUND = 100_000  # items a search shows, at most
SHOWN_PX = 512  # an array's row is enlarged to about this in an item's details

Order = Literal["typical", "unsure", "row"]


class Page:
    """What the answers are made from."""

    def __init__(self, run: Run, truth: Path | None = None, moved_to: str | None = None, follow: bool = False):
        self.run, self.album = run, Album(run, truth)
        self.source: Source
        self.source, self.source_trouble = open_source(run, self.album.paths, moved_to, follow)
        self.thumbs = Thumbs(run.folder / "thumbs", self.source, len(self.album))
        self.plane = plane.Plane(run.folder, len(self.album))
        self.stamp = stamp_of(run)
        self.taking = Taking(run, self.album.paths, moved_to, follow)
        self.lock, self.hinted = threading.Lock(), {"version": -1}
        self.judged: dict[bytes, Modes] = {}

    def hints(self) -> dict[str, Any]:
        now = self.album.state
        with self.lock:
            if self.hinted["version"] != now.version:
                self.hinted = hints(self.album, now, self.judged)
            return self.hinted


def stamp_of(run: Run) -> str:
    """Changes when the folder holds another run: what the browser keeps of pictures goes by it."""
    status = (run.folder / "report.json").stat()
    return hashlib.sha256(f"{run.folder.resolve()}|{status.st_mtime_ns}".encode()).hexdigest()[:12]


def make_app(page: Page, token: str, cookie: str = "selflabel") -> Guard:
    """The page of a run, to be served to whoever knows the token."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        page.plane.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.exception_handler(UserError)(lambda _, error: JSONResponse({"error": str(error)}, 409))
    app.exception_handler(Missing)(lambda _, error: JSONResponse({"error": str(error)}, 404))
    add_shell(app, page)
    add_clusters(app, page)
    add_items(app, page)
    add_map(app, page)
    add_exports(app, page)
    return Guard(app, token, cookie)


def add_shell(app: FastAPI, page: Page) -> None:
    templates = Jinja2Templates(HERE / "templates")
    parts = sorted(p.name for p in (HERE / "static").glob("*.js") if p.stem not in ("main", "theme", "unpack"))

    @app.get("/", response_class=HTMLResponse)
    def shell(request: Request) -> Response:
        shown = {"name": page.run.folder.resolve().name, "stamp": page.stamp, "parts": parts}
        return templates.TemplateResponse(request, "page.html", shown)

    @app.get("/api/about")
    def about() -> dict[str, Any]:
        recorded, report = page.run.recorded, page.run.report
        return {
            "folder": str(page.run.folder.resolve()),
            "source": str(recorded.get("settings", {}).get("source", "")),
            "trouble": page.source_trouble,
            "method": report.get("method", ""),
            "skipped": report.get("n_skipped", 0),
            "truth": page.album.truth is not None,
            "modalities": list(recorded.get("worked_out", {})),
        }


def add_clusters(app: FastAPI, page: Page) -> None:
    @app.get("/api/version")
    def version() -> dict[str, int]:
        return {"version": page.album.state.version}

    @app.get("/api/overview")
    def whole() -> Response:
        return told(overview(page.album, page.album.state))

    @app.get("/api/hints")
    def suggested() -> dict[str, Any]:
        return page.hints()

    @app.post("/api/edits")
    def edit(values: Annotated[dict[str, Any], Body()]) -> Response:
        before = page.album.state
        now = page.album.edit(values)
        done = before.undo if values.get("do") == "undo" else now.undo
        return told(overview(page.album, now) | {"said": said(done, now.edited.names)})


def add_items(app: FastAPI, page: Page) -> None:
    @app.get("/api/rows/{which}")
    def rows(which: str, order: Order = "typical", q: str = "") -> Response:
        found = ordered(page.album, page.album.state, which, order, q)
        return bulk(found.astype("<i4").tobytes())

    @app.get("/api/items/{row}")
    def item(row: int) -> dict[str, Any]:
        return details(page.album, page.album.state, page.source, checked(page, row))

    @app.post("/api/likely")
    def likeliest(items: Annotated[list[int], Body(embed=True, min_length=1)]) -> dict[str, Any]:
        return likely(page.album, page.album.state, np.array([checked(page, row) for row in items]))

    @app.get("/api/thumbs/{stamp}")
    def thumbs(stamp: str, rows: Annotated[str, Query(pattern=r"^\d+(,\d+)*$")]) -> Response:
        wanted = [checked(page, int(r)) for r in rows.split(",")]
        if len(wanted) > MOST_THUMBS:
            raise HTTPException(422, f"at most {MOST_THUMBS} pictures at a time")
        data, whole = page.thumbs.bundle(wanted)
        return bulk(data, "private, max-age=86400, immutable" if whole and stamp == page.stamp else "no-store")

    @app.get("/media/{row}/{modality}")
    def bytes_of(request: Request, row: int, modality: Literal["image", "video", "audio", "array"]) -> Response:
        row = checked(page, row)
        if modality == "array":
            return array_answer(page.source.values(row))
        blob = page.source.blobs(row).get(modality)
        if blob is None:
            raise Missing(f"it has no {modality}")
        name = blob.file if blob.length is None else page.album.paths[row]
        return media.answer(blob, name, request.headers.get("range"))


def add_map(app: FastAPI, page: Page) -> None:
    @app.get("/api/map")
    def window(left: float = 0, top: float = 0, right: float = 1, bottom: float = 1) -> Response:
        if not page.plane.ready():
            return JSONResponse({"trouble": page.plane.trouble}, 202)
        assert page.plane.places is not None
        return bulk(plane.seen(page.plane.places, page.album.state.labels, (left, top, right, bottom)))

    @app.post("/api/lasso")
    def lasso(line: Annotated[list[tuple[float, float]], Body(min_length=3, max_length=10_000)]) -> Response:
        if page.plane.places is None:
            raise UserError("the map is not there yet; wait for it.")
        rows = plane.within(page.plane.places, line)
        return bulk(rows[page.album.state.labels[rows] >= 0].astype("<i4").tobytes())


def add_exports(app: FastAPI, page: Page) -> None:
    @app.get("/api/exports")
    def formats() -> dict[str, Any]:
        return {"formats": page.taking.formats(), "done": page.taking.done}

    @app.post("/api/exports")
    def take(format: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        return page.taking.take(format)


# ---------------------------------------------------------------------------------------------------------- what they share


def ordered(album: Album, now: State, which: str, order: Order, query: str) -> np.ndarray:
    """Rows of a cluster by its number, of "all" labelled items that nobody has decided on, of the "rejected", of a "search"."""
    if which == "rejected":
        rows = now.rejected
    elif which == "all":
        rows = now.order[now.starts[1] :]
        rows = rows[~now.settled[rows]]
    elif which == "search":
        rows = named_like(album, query)
    else:
        if not which.isdecimal() or int(which) not in now.edited.clusters:
            raise UserError(f"there is no cluster {which[:20]} (it may have been merged); look at the clusters anew.")
        rows = now.members(int(which))
    if which in ("all", "search") and order != "row":
        rows = rows[np.argsort(np.uint16(65_535) - now.sureness[rows], kind="stable")]
    return np.sort(rows) if order == "row" else rows[::-1] if order == "unsure" else rows


def named_like(album: Album, query: str) -> np.ndarray:
    """Rows whose path holds the words, whatever their case."""
    import pyarrow.compute as pc

    if not query:
        return np.zeros(0, np.int32)
    found = pc.match_substring(album.paths.column, query, ignore_case=True).to_numpy(zero_copy_only=False)
    return np.flatnonzero(found)[:FOUND].astype(np.int32)


def checked(page: Page, row: int) -> int:
    if not 0 <= row < len(page.album):
        raise HTTPException(404, f"there is no item {row}")
    return row


def told(values: dict[str, Any]) -> Response:
    """JSON of plain values as they are: the framework would look at each anew, the longest part for thousands of clusters."""
    return Response(json.dumps(values, ensure_ascii=False, separators=(",", ":")), media_type="application/json")


def bulk(data: bytes, cache: str = "no-store") -> Response:
    return Response(data, media_type="application/octet-stream", headers={"cache-control": cache})


def array_answer(values: np.ndarray) -> Response:
    picture = feature_picture(values) if values.ndim == 1 else array_picture(values)
    times = max(1, SHOWN_PX // max(picture.size))
    data = io.BytesIO()
    picture.resize((picture.width * times, picture.height * times), 0).save(data, "PNG")
    return Response(data.getvalue(), media_type="image/png", headers={"cache-control": "private, max-age=600"})
