"""What the page answers where something is wrong: a status, and one sentence as JSON, `{"error": ...}`.

4xx: the request is at fault, or does not fit the labels (409). 500: the program is; the terminal then has one line more.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selflabel.base.errors import UserError
from selflabel.gallery.bodies import BadRequest
from selflabel.runs.missing import Missing


def error_response(status: int, sentence: str) -> Response:
    """The sentence as JSON; in ASCII, because a part of it may be a name that is no valid Unicode."""
    return Response(json.dumps({"error": sentence}).encode(), status, media_type="application/json")


def add_failure_handlers(app: FastAPI) -> None:
    """Let every error that a route raises on purpose come out as its status and sentence."""
    app.exception_handler(UserError)(lambda _, error: error_response(409, str(error)))
    app.exception_handler(Missing)(lambda _, error: error_response(404, str(error)))
    app.exception_handler(BadRequest)(lambda _, error: error_response(error.status, f"{error}."))
    app.exception_handler(HTTPException)(lambda _, error: error_response(error.status_code, http_sentence(error)))
    app.exception_handler(RequestValidationError)(lambda _, error: error_response(422, validation_sentence(error)))
    app.exception_handler(Exception)(lambda _, error: error_response(*describe_failure(error)))


def http_sentence(error: HTTPException) -> str:
    """A sentence for what the router refuses."""
    known = {404: "There is nothing at this address.", 405: "This address does not take such a request."}
    return known.get(error.status_code, f"{error.detail}.")


def validation_sentence(error: RequestValidationError) -> str:
    """What is wrong with the first parameter, without its value, which may be anything."""
    first = error.errors()[0]
    name = ".".join(str(part)[:40] for part in first["loc"][1:]) or "the request"
    return f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}."


class LogFailures:
    """ASGI middleware: an exception that no handler knows is one line in the terminal, without a traceback.

    Args:
        app: the page.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            log_failure(scope, error)
            if not is_started:  # a response that was begun stays as it is; the server closes its connection where it is not whole
                await error_response(*describe_failure(error))(scope, receive, send)


def describe_failure(error: Exception) -> tuple[int, str]:
    """Status and sentence of an exception that no handler knows."""
    if isinstance(error, OSError) and error.strerror:
        place = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        return 500, f"The page could not do this: {error.strerror}{place}."
    return 500, "The page could not do this, because of an error in selflabel; the terminal says which."


def log_failure(scope: Scope, error: Exception) -> None:
    """One line: the request, the error, and where in the program it came up."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    message = " ".join(str(error).split())[:200]
    line = f"selflabel: {scope['method']} {scope['path'][:80]!a}: {type(error).__name__}: {message!a}{place}"
    print(line, file=sys.stderr, flush=True)
