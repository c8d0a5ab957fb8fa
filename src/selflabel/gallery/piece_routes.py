"""The routes for items that are pieces of files: where they are in them, their masks, and the sound around them."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import Response

from selflabel.gallery.editable_run import EditableRun
from selflabel.gallery.heatmap import heat_picture
from selflabel.gallery.mask_picture import mask_picture
from selflabel.gallery.parts import FileParts, file_parts, listed_rows, places
from selflabel.gallery.region_picture import region_picture
from selflabel.gallery.responses import ROW_LIST, checked_row, checked_rows, jpeg_response, json_response, png_response
from selflabel.gallery.stretch import Stretches
from selflabel.items import Pieces
from selflabel.runs.maps import Maps
from selflabel.runs.missing import Missing
from selflabel.runs.shown import ShownSource
from selflabel.runs.sources import Source

UPRIGHT_PX = 1600  # the longer side of a whole photo that a browser cannot show itself, e.g. TIFF


def add_piece_routes(app: FastAPI, run: EditableRun, pieces: Pieces | None, source: Source, maps: Maps | None = None) -> None:
    """Add them to an application.

    Args:
        app: of the page.
        run: the run.
        pieces: (N,) of its items; None for whole files.
        source: of its items.
        maps: heatmaps of the photos or films in which the items lie; None without them.
    """
    parts, stretches = FileParts(run.paths, pieces), Stretches(source)
    shown = source if isinstance(source, ShownSource) else ShownSource(source)

    @app.get("/api/pieces")
    def some_pieces(rows: Annotated[str, Query(pattern=ROW_LIST)]) -> Response:
        return json_response({"pieces": places(pieces, checked_rows(rows, len(run), "pieces"))})

    @app.get("/api/items/{row}/file")
    def same_file(row: int) -> Response:
        return json_response(file_parts(run, run.state, parts, checked_row(row, len(run))))

    @app.get("/api/items/{row}/sound")
    def sound(row: int) -> Response:
        row = checked_row(row, len(run))
        try:
            return json_response(stretches.of(row).as_json())
        except Missing as error:  # a film without sound is no failure
            return json_response({"problem": str(error)})

    @app.get("/media/{row}/spectrogram")
    def spectrogram(row: int) -> Response:
        return png_response(stretches.of(checked_row(row, len(run))).spectrogram)

    @app.get("/media/{row}/upright")
    def upright(row: int) -> Response:
        row = checked_row(row, len(run))
        picture = shown.picture(row, UPRIGHT_PX)
        picture.thumbnail((UPRIGHT_PX, UPRIGHT_PX))
        return jpeg_response(picture)

    @app.get("/media/{row}/mask")
    def mask(row: int) -> Response:
        piece = pieces[checked_row(row, len(run))] if pieces is not None else None
        if piece is None or piece.mask is None:
            raise Missing("it has no mask")
        return png_response(mask_picture(piece.mask))

    @app.get("/media/{row}/heatmap")
    def heatmap(row: int, channel: int = 0, frame: int = 0) -> Response:
        row = checked_row(row, len(run))
        if maps is None or not (0 <= channel < maps.bytes.shape[1] and 0 <= frame < maps.info.frames):
            raise Missing("it has no such heatmap")
        return png_response(heat_picture(maps, row, channel, frame))

    @app.get("/media/{row}/regions")
    def regions(row: int) -> Response:
        row = checked_row(row, len(run))
        if pieces is None:
            raise Missing("it is no region of a photo")
        return png_response(region_picture(pieces, listed_rows(parts.rows(row), row)))
