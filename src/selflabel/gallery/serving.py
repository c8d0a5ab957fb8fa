"""`selflabel browse`: serve a run's page on this machine until Ctrl-C."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.runs.run import Run

HOST = "127.0.0.1"
PORT = 8765
TRIED = 20  # ports after the one asked for, before any that is free


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
        run: a finished one.
        port: the first to try; the next free one is taken.
        open_browser: show the page at once, where there is a screen.
        truth: a CSV of path and label, to show purities.
        source: where the items are now, if they were moved.
        follow_links: show what links in the source lead to, wherever that is.

    Raises:
        UserError: the truth is not of this run, or no port is free.
    """
    import uvicorn

    from selflabel.gallery.server import Page, make_app

    page, token = Page(run, truth, source, follow_links), secrets.token_urlsafe(24)
    with listening(port) as listener:
        at = listener.getsockname()[1]
        address = f"http://{HOST}:{at}/?token={token}"
        app = make_app(page, token, f"selflabel-{at}")
        config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1, ws="none")
        if page.source_trouble:
            print(f"selflabel: pictures cannot be shown: {page.source_trouble}.", file=sys.stderr)
        print(f"{address}\nCtrl-C ends the page; every change is already on disk.", flush=True)
        if open_browser and has_screen():
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        with suppress(KeyboardInterrupt):
            server = uvicorn.Server(config)
            logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)  # requests cut off by the end
            server.run(sockets=[listener])


def listening(port: int) -> socket.socket:
    """A socket that listens on this machine's own address, at the first free port from `port` on."""
    for wanted in [*range(port, min(port + TRIED, 65_536)), 0]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            listener.bind((HOST, wanted))
            listener.listen(128)
            return listener
        except (OSError, OverflowError):
            listener.close()
    raise UserError(f"--port {port}: no port of this machine is free; close another page.")


def has_screen() -> bool:
    """Whether a browser can be shown: without a display one would open in the terminal itself."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
