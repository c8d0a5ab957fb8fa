"""How the page's routes answer: JSON of plain values, bytes, pictures; and the checks that several of them share."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from fastapi.responses import Response
from PIL.Image import Image

from selflabel.gallery.bodies import BadRequest
from selflabel.runs.pictures import array_picture, feature_picture

ARRAY_PX = 512  # an item of an array is enlarged to about this for its details
MAX_ROWS = 256  # of one request
ROW_LIST = r"^[0-9]{1,12}(,[0-9]{1,12})*$"


def checked_row(row: int, n_items: int) -> int:
    """The row itself. Raises BadRequest where there is no such item."""
    if not 0 <= row < n_items:
        raise BadRequest(404, f"there is no item {str(row)[:20]}")
    return row


def checked_rows(rows: str, n_items: int, what: str) -> list[int]:
    """The rows of a list like "4,8". what: they are asked for, in the plural. Raises BadRequest."""
    requested = [checked_row(int(r), n_items) for r in rows.split(",")]
    if len(requested) > MAX_ROWS:
        raise BadRequest(422, f"at most {MAX_ROWS} {what} at a time")
    return requested


def json_response(values: dict[str, Any], status: int = 200) -> Response:
    """JSON of plain values; FastAPI's own encoder inspects every value, which takes longest where there are many clusters."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(errors="replace"), status, media_type="application/json")  # a folder's name may be no Unicode


def bytes_response(data: bytes, cache_control: str = "no-store") -> Response:
    """Bytes, which only the page's own scripts understand."""
    return Response(data, media_type="application/octet-stream", headers={"cache-control": cache_control})


def array_response(values: np.ndarray) -> Response:
    """A PNG of an array's pixels or features, enlarged by a whole factor."""
    picture = feature_picture(values) if values.ndim == 1 else array_picture(values)
    factor = max(1, ARRAY_PX // max(picture.size))
    return png_response(picture.resize((picture.width * factor, picture.height * factor), 0))


def png_response(picture: Image) -> Response:
    """A PNG, which the browser may keep for ten minutes."""
    return picture_response(picture, "PNG")


def jpeg_response(picture: Image) -> Response:
    """A JPEG, likewise."""
    return picture_response(picture, "JPEG", quality=90)


def picture_response(picture: Image, kind: str, **options: int) -> Response:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return Response(data.getvalue(), media_type=f"image/{kind.lower()}", headers={"cache-control": "private, max-age=600"})
