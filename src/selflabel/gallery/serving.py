"""`selflabel browse`: serve a run's page on this machine until Ctrl-C."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from selflabel.base.errors import UserError
from selflabel.gallery.patience import TimedProtocol
from selflabel.gallery.server import Page, make_app
from selflabel.runs.run import Run

HOST = "127.0.0.1"
PORT = 8765
PORTS_TO_TRY = 20  # from the requested one on; then any free one
MAX_CONNECTIONS = 256  # at a time; a browser opens six for each of its tabs, and further ones are answered with 503


def browse(
    run: Run,
    port: int = PORT,
    open_browser: bool = True,
    truth: Path | None = None,
    source: str | None = None,
    follow_links: bool = False,
) -> None:
    """Serve the page of a finished run; returns when it is stopped.

    Args:
        run: a finished run.
        port: the first port to try; the next free one is taken.
        open_browser: open the page in a browser, where there is a display.
        truth: CSV with path and label, to show purities.
        source: where the items are now, if they were moved.
        follow_links: show what links in the source lead to, wherever that is.

    Raises:
        UserError: the truth is not of this run, or no port is free.
    """
    page, token = Page(run, truth, source, follow_links), secrets.token_urlsafe(24)
    with open_listener(port) as listener:
        bound_port = listener.getsockname()[1]
        address = f"http://{HOST}:{bound_port}/?token={token}"
        server = make_server(make_app(page, token, f"selflabel-{bound_port}"))
        if page.source_error:
            print(f"selflabel: the items' own files cannot be shown: {page.source_error}.", file=sys.stderr)
        with suppress(KeyboardInterrupt), early_interrupts(server):
            print(f"{address}\nCtrl-C ends the page; every change is already on disk.", flush=True)
            if open_browser and has_display():
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
            server.run(sockets=[listener])


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server that logs errors only, and not those of requests that its own end cuts off; bounded in connections and time."""
    limits: dict[str, Any] = {"limit_concurrency": MAX_CONNECTIONS, "timeout_graceful_shutdown": 1}
    config = uvicorn.Config(app, http=TimedProtocol, ws="none", log_level="error", access_log=False, **limits)
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    return server


@contextmanager
def early_interrupts(server: uvicorn.Server) -> Iterator[None]:
    """Let a Ctrl-C that comes before the server handles it itself end the server as soon as it runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        server.should_exit = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def open_listener(port: int) -> socket.socket:
    """A socket that listens on this machine only, at the first free port from `port` on.

    Raises:
        UserError: no port is free.
    """
    for candidate in [*range(port, min(port + PORTS_TO_TRY, 65_536)), 0]:
        listener = socket.socket(proto=socket.IPPROTO_TCP)  # without it, asyncio sets no TCP_NODELAY, and responses wait 40 ms
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            listener.bind((HOST, candidate))
            listener.listen(128)
            return listener
        except (OSError, OverflowError):
            listener.close()
    raise UserError(f"--port {port}: no port of this machine is free; close another page.")


def has_display() -> bool:
    """Whether a graphical browser can be opened; without a display, one would open in the terminal itself."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
