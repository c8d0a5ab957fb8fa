"""The JSON that a request brings: of bounded length, in bounded time, and with nothing in it that Python reads and JSON lacks.

A body is read by these functions only. Each error is a `BadRequest` with a status and a sentence.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

MIN_LIMIT = 8 << 20  # bytes
BYTES_PER_ITEM = 12  # so that all items of a run can be selected: their rows, in digits, with commas
BODY_SECONDS = 60.0
DRAIN_BYTES, DRAIN_SECONDS = 64 << 20, 2.0  # of a body that is refused: read, so that its sender gets to the answer
MAX_COORDINATE = 1e6  # of a corner of a lasso; the map is a unit square


class BadRequest(Exception):
    """A request that is answered with a status from 400 to 499 and one sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


def body_limit(n_items: int) -> int:
    """The longest body that is read, in bytes."""
    return max(MIN_LIMIT, BYTES_PER_ITEM * n_items)


async def read_json(request: Request, limit: int) -> Any:
    """The value that the body of a request holds.

    Args:
        request: whose body was not read before.
        limit: bytes.

    Raises:
        BadRequest: it is no JSON in UTF-8, is too long, or did not come in time.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise BadRequest(422, "the body must be JSON; send it with `content-type: application/json`")
    try:
        data = await asyncio.wait_for(read_body(request, limit), BODY_SECONDS)
    except (TimeoutError, asyncio.TimeoutError) as error:  # two classes in Python 3.10
        raise BadRequest(408, f"the body did not come within {BODY_SECONDS:.0f} seconds") from error
    except ClientDisconnect as error:
        raise BadRequest(400, "the connection ended before the body did") from error
    return parse_json(data)


async def read_body(request: Request, limit: int) -> bytes:
    """The bytes of a body, however it is sent."""
    chunks, length = [], 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit:
            await drain(request)
            raise BadRequest(413, f"the body is longer than {limit >> 20} MB, the most that is read")
        chunks.append(chunk)
    return b"".join(chunks)


async def drain(request: Request) -> None:
    """Read on and throw away, within bounds: a connection that is closed with bytes unread loses the answer."""

    async def read_on() -> None:
        length, more = 0, True
        while more and length < DRAIN_BYTES:
            message = await request.receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)

    try:
        await asyncio.wait_for(read_on(), DRAIN_SECONDS)
    except (TimeoutError, asyncio.TimeoutError):
        return


def parse_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8. NaN, infinities and numbers that overflow to one are refused.

    Raises:
        BadRequest: it is no JSON.

    Example:
        >>> parse_json(b'{"items": [1, 2]}')
        {'items': [1, 2]}
    """
    if not data:
        raise BadRequest(400, "the body is empty; it must be JSON")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse_number, parse_float=finite)
    except UnicodeDecodeError as error:
        raise BadRequest(400, "the body is not in UTF-8") from error
    except RecursionError as error:
        raise BadRequest(400, "the body is nested too deeply") from error
    except ValueError as error:  # no JSON, or a number of more digits than Python converts
        raise BadRequest(400, "the body is no JSON, or has a number in it that is too long") from error


def refuse_number(text: str) -> float:
    raise BadRequest(400, f"the body has a number in it that is not finite ({text[:20]})")


def finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else refuse_number(text)


# --------------------------------------------------------------------------------------------------------------- values


def field(values: Any, name: str) -> Any:
    """The only field of an object.

    Raises:
        BadRequest: it is no object with this field alone.
    """
    if not isinstance(values, dict) or set(values) != {name}:
        raise BadRequest(422, f"the body must be an object with `{name}` and nothing else")
    return values[name]


def row_list(values: Any, n_items: int) -> list[int]:
    """Rows of items, at least one.

    Raises:
        BadRequest: they are no list of whole numbers, or one is of no item.
    """
    if not isinstance(values, list) or not values or any(type(row) is not int for row in values):
        raise BadRequest(422, "items must be a list of whole numbers, at least one")
    for row in (min(values), max(values)):
        if not 0 <= row < n_items:
            raise BadRequest(404, f"there is no item {str(row)[:20]}")
    return values


def polygon(values: Any, most: int) -> list[tuple[float, float]]:
    """The corners of a lasso.

    Raises:
        BadRequest: they are no list of three to `most` pairs of numbers within a million of the map.
    """
    if not isinstance(values, list) or not 3 <= len(values) <= most or not all(is_corner(corner) for corner in values):
        raise BadRequest(422, f"the line must be a list of 3 to {most:,} pairs of numbers, each from -1,000,000 to 1,000,000")
    return [(float(x), float(y)) for x, y in values]


def is_corner(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(type(number) in (int, float) and abs(number) <= MAX_COORDINATE for number in value)
