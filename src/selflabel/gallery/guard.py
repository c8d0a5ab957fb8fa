"""Who may speak to the page: requests to this machine's own name, from the page itself, that carry its token.

The token comes once in the address, as Jupyter does it, and lives in a cookie from then on. A foreign site that is open in
the same browser has neither: its requests fail by token, by Origin, and by Host where it points its own name at this machine.
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
READING = {"GET", "HEAD"}
POLICY = "; ".join(["default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])
ALWAYS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Wraps the page: refuses with 403 who may not speak, and adds the headers that confine what is shown."""

    def __init__(self, app: ASGIApp, token: str, cookie: str = "selflabel"):
        self.app, self.token, self.cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        answer = self.refusal(scope) or self.welcome(scope)
        await (answer or self.app)(scope, receive, with_headers(send))

    def refusal(self, scope: Scope) -> Response | None:
        """Why not, or None."""
        headers = Headers(scope=scope)
        why = strange(headers, scope["method"])
        if not why and not self.knows_token(scope, headers):
            why = "the address lacks its token; open the page with the whole address that `selflabel browse` printed"
        return PlainTextResponse(f"403: {why}.\n", 403) if why else None

    def knows_token(self, scope: Scope, headers: Headers) -> bool:
        sent = token_in(scope) or cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return secrets.compare_digest(sent.encode(), self.token.encode())

    def welcome(self, scope: Scope) -> Response | None:
        """A first visit: the token moves from the address, which others may see, to a cookie."""
        if not token_in(scope) or scope["path"] != "/":
            return None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return answer


def token_in(scope: Scope) -> str:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def strange(headers: Headers, method: str) -> str:
    """What is wrong with where a request says it goes to and comes from, or ""."""
    host = headers.get("host", "")
    if host.rsplit(":", 1)[0] not in OWN_HOSTS and host not in OWN_HOSTS:
        return "this page answers to 127.0.0.1 and localhost only"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "the request comes from another site"
    if method not in READING and origin is None:
        return "a change must say which page it comes from"
    return ""


def with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message["headers"]}
            extra = ALWAYS | ({} if b"cache-control" in known else {"cache-control": "no-store"})
            message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
        await send(message)

    return sending
