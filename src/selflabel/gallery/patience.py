"""HTTP connections that end where a request does not come in time.

uvicorn itself waits without end for the rest of a request, so that a program that sends half of many could hold all connections.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0  # from the connection, or from the first byte of a later request, to the end of the header
REQUEST_SECONDS = 75.0  # from there to the end of the body; a body that is read has its own limit, which ends sooner
TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 34\r\n\r\n"
    b"The request did not come in time.\n"
)


class TimedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with a limit of time for each part of a request."""

    timer: asyncio.TimerHandle | None = None
    watched: Any = None  # the state of the client for which the timer was started
    has_sent = False  # whether the client has sent anything

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.watch()

    def data_received(self, data: bytes) -> None:
        self.has_sent = True
        super().data_received(data)
        self.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end_timer()
        super().connection_lost(exc)

    def watch(self) -> None:
        """Start the clock anew wherever another part of a request is waited for."""
        state = self.conn.their_state
        if state is self.watched and self.timer is not None:
            return
        self.end_timer()
        self.watched = state
        seconds = {h11.IDLE: HEADER_SECONDS, h11.SEND_BODY: REQUEST_SECONDS}.get(state)
        if seconds is not None:
            self.timer = self.loop.call_later(seconds, self.give_up)

    def end_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def give_up(self) -> None:
        """Close the connection, if what it was started for is still being waited for; with an answer to half a header."""
        self.timer = None
        if self.conn.their_state is not self.watched or self.transport.is_closing():
            return
        if self.watched is h11.IDLE and self.has_sent:
            self.transport.write(TIMEOUT)
        self.transport.close()
