"""The page's HTTP routes, one small function each. Large arrays go as bytes, and small pictures many at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from selflabel.base.errors import UserError
from selflabel.gallery.bodies import body_limit, field, polygon, read_json, row_list
from selflabel.gallery.details import item_details
from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.export_job import ExportJob
from selflabel.gallery.failures import LogFailures, add_failure_handlers
from selflabel.gallery.guard import Guard
from selflabel.gallery.heatmap import heat_details
from selflabel.gallery.listing import Order, list_rows
from selflabel.gallery.map_layout import MapLayout, cluster_places, encode_window, rows_in_polygon
from selflabel.gallery.media import media_response, sound_response
from selflabel.gallery.parts import piece_details
from selflabel.gallery.piece_routes import add_piece_routes
from selflabel.gallery.responses import (
    ROW_LIST,
    array_response,
    bytes_response,
    checked_row,
    checked_rows,
    json_response,
    png_response,
)
from selflabel.gallery.suggestions import Modes, likely_clusters, suggest_edits
from selflabel.gallery.summary import describe_edit, overview
from selflabel.runs.maps import read_maps
from selflabel.runs.missing import Missing
from selflabel.runs.pieces import read_pieces
from selflabel.runs.report_text import (
    estimate_of,
    estimate_text,
    found_text,
    numbers_text,
    other_number_text,
    trained_text,
    why_no_estimate,
)
from selflabel.runs.run import Run
from selflabel.runs.shown import ShownSource
from selflabel.runs.sources import Source
from selflabel.runs.thumbs import Thumbs

HERE = Path(__file__).parent
MAX_LASSO_POINTS = 10_000
Edge = Annotated[float, Query(ge=-1e6, le=1e6, allow_inf_nan=False)]  # of a window of the map
NOT_MODULES = ("main", "theme", "thumbs-worker")  # scripts that are loaded in another way than by an import


class Page:
    """What the routes respond from.

    Args:
        run: a finished run.
        truth: CSV with path and label; None uses the run's own truth.csv, if it has one.
        moved_to: where the items are now; None where run.toml says.
        follow: show what links in the source lead to.

    Raises:
        UserError: the run folder lacks a file, or the truth names none of the run's items.
    """

    def __init__(self, run: Run, truth: Path | None = None, moved_to: str | None = None, follow: bool = False):
        self.run, self.editable = run, EditableRun(run, truth)
        self.pieces = read_pieces(run.folder, len(self.editable))
        self.maps = read_maps(run.folder, len(self.editable))
        self.source: Source
        self.source, self.source_error = run.source(moved_to, follow, self.editable.paths)
        self.thumbs = Thumbs(run.folder / "thumbs", self.source, len(self.editable))
        self.map = MapLayout(run.folder, len(self.editable))
        self.stamp = run_stamp(run)
        self.export_job = ExportJob(run, self.editable.paths, moved_to, follow)
        self.lock = threading.Lock()
        self.latest_suggestions: dict[str, Any] = {"version": -1}
        self.modes_cache: dict[bytes, Modes] = {}

    @property
    def kinds_of_pieces(self) -> dict[str, bool] | None:
        """Whether items are spans and boxes, and whether they have scores; None for whole files."""
        pieces = self.pieces
        if pieces is None:
            return None
        kinds = {"spans": pieces.has_spans, "boxes": pieces.has_boxes, "scores": pieces.scores is not None}
        return kinds | {"regions": pieces.has_masks and self.run.report.get("piece") == "region"}

    def scores(self, by: str) -> np.ndarray:
        """(N,) what items can be filtered by: "score", that of the objects which a method found, else their confidence."""
        found = self.pieces.scores if self.pieces is not None and by == "score" else None
        return self.editable.confidence if found is None else found

    def suggestions(self) -> dict[str, Any]:
        """Suggested edits, recomputed only after an edit."""
        now = self.editable.state
        with self.lock:
            if self.latest_suggestions["version"] != now.version:
                self.latest_suggestions = suggest_edits(self.editable, now, self.modes_cache)
            return self.latest_suggestions


def run_stamp(run: Run) -> str:
    """A string that changes when the folder holds another run, so that the browser's cached pictures are not shown for it."""
    status = (run.folder / "report.json").stat()
    return hashlib.sha256(f"{run.folder.resolve()}|{status.st_mtime_ns}".encode()).hexdigest()[:12]


def make_app(page: Page, token: str, cookie: str = "selflabel") -> Guard:
    """The ASGI application of a page, for whoever has the token.

    Args:
        page: of the run.
        token: that the address carries.
        cookie: name of the cookie that keeps the token.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        page.map.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    add_failure_handlers(app)
    add_shell_routes(app, page)
    add_cluster_routes(app, page)
    add_item_routes(app, page)
    # before the routes of media, as their addresses would fit one of these, too
    add_piece_routes(app, page.editable, page.pieces, page.source, page.maps)
    add_media_routes(app, page)
    add_map_routes(app, page)
    add_export_routes(app, page)
    return Guard(LogFailures(app), token, cookie)


def add_shell_routes(app: FastAPI, page: Page) -> None:
    templates = Jinja2Templates(HERE / "templates")
    modules = sorted(p.name for p in (HERE / "static").glob("*.js") if p.stem not in NOT_MODULES)

    @app.get("/", response_class=HTMLResponse)
    def shell(request: Request) -> Response:
        name = page.run.folder.resolve().name.encode(errors="replace").decode()
        values = {"name": name, "stamp": page.stamp, "modules": modules}
        return templates.TemplateResponse(request, "page.html", values)

    @app.get("/api/about")
    def about() -> Response:
        report = page.run.report
        values = {
            "folder": str(page.run.folder.resolve()),
            "source": str(page.editable.settings.get("source", "")),
            "source_error": page.source_error,
            "method": report.get("method", ""),
            "skipped": report.get("n_skipped", 0),
            "truth": page.editable.truth is not None,
            "modalities": list(page.run.modalities),
            "pieces": page.kinds_of_pieces,
            **found(report),
        }
        return json_response(values)


def found(report: dict[str, Any]) -> dict[str, Any]:
    """What the report says about the labels: the estimated accuracy or why there is none, and lines for people."""
    estimate = estimate_of(report)
    rows = [
        ("trained on", trained_text(report)),
        ("est. accuracy", estimate_text(report)),
        ("clusters", found_text(report)),
        ("other numbers", numbers_text(report)),
        ("", other_number_text(report)),
    ]
    return {
        "estimated_accuracy": estimate,
        "no_estimate": None if estimate else why_no_estimate(report),
        "summary": [row for row in rows if row[1]],
    }


def add_cluster_routes(app: FastAPI, page: Page) -> None:
    body = Depends(json_of(page))

    @app.get("/api/version")
    def version() -> Response:
        response = json_response({"version": page.editable.state.version})
        response.headers["x-selflabel-run"] = page.stamp  # a tab that was left open may be of another run
        return response

    @app.get("/api/overview")
    def show_overview() -> Response:
        return json_response(overview(page.editable, page.editable.state))

    @app.get("/api/hints")
    def suggestions() -> dict[str, Any]:
        return page.suggestions()

    @app.post("/api/edits")
    def edit(values: Any = body, x_selflabel_run: str = Header("")) -> Response:
        if x_selflabel_run not in ("", page.stamp):
            raise UserError("this tab shows another run than the server; reload the page.")
        now, concerned = page.editable.record_edit(values)
        return json_response(overview(page.editable, now) | {"edit": describe_edit(concerned, now.edited.names)})


def add_item_routes(app: FastAPI, page: Page) -> None:
    body = Depends(json_of(page))

    @app.get("/api/rows/{view}")
    def rows(
        view: str, order: Order = "typical", q: str = "", labels: bool = False, by: Literal["", "score", "confidence"] = ""
    ) -> Response:
        now = page.editable.state
        listed = list_rows(page.editable, now, view, order, q).astype("<i4")
        numbers, headers = [listed], {}
        if labels:
            numbers.append(now.shown_labels(listed).astype("<i4"))
            headers["x-selflabel-labels"] = "1"  # as many numbers again: each row's label
        if by:
            numbers.append(page.scores(by)[listed].astype("<f4"))
            headers["x-selflabel-scores"] = "1"  # and again, as floats: each row's score, NaN for none
        response = bytes_response(b"".join(column.tobytes() for column in numbers))
        response.headers.update(headers)
        return response

    @app.get("/api/items/{row}")
    def item(row: int) -> Response:
        row = checked_row(row, len(page.editable))
        details = item_details(page.editable, page.editable.state, page.source, row)
        piece = page.pieces[row] if page.pieces is not None else None
        return json_response(details | {"piece": piece_details(page.pieces, row), "heat": heat_details(page.maps, piece, row)})

    @app.post("/api/likely")
    def likely(values: Any = body) -> dict[str, Any]:
        rows = row_list(field(values, "items"), len(page.editable))
        return likely_clusters(page.editable, page.editable.state, np.array(rows))


def add_media_routes(app: FastAPI, page: Page) -> None:
    @app.get("/api/thumbs/{stamp}")
    def thumbs(stamp: str, rows: Annotated[str, Query(pattern=ROW_LIST)]) -> Response:
        data, is_complete = page.thumbs.bundle(checked_rows(rows, len(page.editable), "pictures"))
        is_cacheable = is_complete and stamp == page.stamp
        return bytes_response(data, "private, max-age=86400, immutable" if is_cacheable else "no-store")

    @app.get("/media/{row}/{modality}")
    def media(request: Request, row: int, modality: Literal["image", "video", "audio", "array"]) -> Response:
        row = checked_row(row, len(page.editable))
        if modality == "array":
            return array_response(page.source.values(row))
        scaled = page.source.scaled_picture(row) if modality == "image" and isinstance(page.source, ShownSource) else None
        if scaled is not None:
            return png_response(scaled)
        blob = page.source.blobs(row).get(modality)
        if blob is None:
            raise Missing(f"it has no {modality}")
        name = blob.file if blob.is_whole_file else page.editable.paths[row]
        is_span_of_sound = modality == "audio" and blob.piece is not None and blob.piece.span_s is not None
        respond = sound_response if is_span_of_sound else media_response
        return respond(blob, name, request.headers.get("range"))


def add_map_routes(app: FastAPI, page: Page) -> None:
    body = Depends(json_of(page))

    @app.get("/api/map")
    def window(left: Edge = 0, top: Edge = 0, right: Edge = 1, bottom: Edge = 1) -> Response:
        if not page.map.ready():
            return json_response({"error": page.map.error, **page.map.progress()}, 202)
        assert page.map.positions is not None
        return bytes_response(encode_window(page.map.positions, page.editable.state.shown_labels(), (left, top, right, bottom)))

    @app.get("/api/places")
    def places() -> Response:
        if page.map.positions is None:
            raise UserError("the map is not there yet; wait for it.")
        now = page.editable.state
        return json_response({"version": now.version, "places": cluster_places(page.map.positions, now)})

    @app.post("/api/lasso")
    def lasso(values: Any = body) -> Response:
        line = polygon(values, MAX_LASSO_POINTS)
        if page.map.positions is None:
            raise UserError("the map is not there yet; wait for it.")
        rows = rows_in_polygon(page.map.positions, line)
        return bytes_response(rows[page.editable.state.labels[rows] >= 0].astype("<i4").tobytes())


def add_export_routes(app: FastAPI, page: Page) -> None:
    body = Depends(json_of(page))

    @app.get("/api/exports")
    def formats() -> dict[str, Any]:
        return {"formats": page.export_job.formats(), "progress": page.export_job.progress}

    @app.post("/api/exports")
    def export(values: Any = body) -> Response:
        return json_response(page.export_job.write(field(values, "format")))


# ---------------------------------------------------------------------------------------------------- shared by the routes


def json_of(page: Page) -> Callable[[Request], Awaitable[Any]]:
    """What a route depends on to get the JSON of its request."""
    limit = body_limit(len(page.editable))

    async def values(request: Request) -> Any:
        return await read_json(request, limit)

    return values
