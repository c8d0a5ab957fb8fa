"""Access control: only requests to this machine's own name, from the page itself, with its token are answered.

The token comes once in the address, as in Jupyter, and is kept in a cookie from then on. A foreign site that is open in the same
browser has neither: its requests fail by token, by Origin, and by Host where it points its own name at this machine (DNS
rebinding).
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
SAFE_METHODS = {"GET", "HEAD"}
CONTENT_POLICY = "; ".join(
    ["default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """ASGI middleware: answers requests without permission with 403, and adds security headers to every response.

    Args:
        app: the page.
        token: that the page's address carries.
        cookie: name of the cookie in which the browser keeps the token; one per port, since ports share cookies.
    """

    def __init__(self, app: ASGIApp, token: str, cookie: str = "selflabel"):
        self.app, self.token, self.cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        response = self.refusal(scope) or self.login(scope)
        await (response or self.app)(scope, receive, with_security_headers(send))

    def refusal(self, scope: Scope) -> Response | None:
        """The response to a request that is not passed on, or None where it is allowed."""
        headers = Headers(scope=scope)
        if "\0" in scope["path"]:
            return PlainTextResponse("404: there is nothing at this address.\n", 404)  # no file system takes such a name
        why = origin_error(headers, scope["method"])
        if not why and not self.has_token(scope, headers):
            why = "the address lacks its token; open the page with the whole address that `selflabel browse` printed"
        return PlainTextResponse(f"403: {why}.\n", 403) if why else None

    def has_token(self, scope: Scope, headers: Headers) -> bool:
        sent = query_token(scope) or cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return secrets.compare_digest(sent.encode(), self.token.encode())

    def login(self, scope: Scope) -> Response | None:
        """On the first visit, a redirect that moves the token from the address, which others may see, to a cookie."""
        if not query_token(scope) or scope["path"] != "/":
            return None
        response = RedirectResponse("/", 303)
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return response


def query_token(scope: Scope) -> str:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def origin_error(headers: Headers, method: str) -> str:
    """Why the `Host` or `Origin` of a request is not accepted, or ""."""
    host = headers.get("host", "")
    if host.rsplit(":", 1)[0] not in OWN_HOSTS and host not in OWN_HOSTS:
        return "this page answers to 127.0.0.1 and localhost only"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "the request comes from another site"
    if method not in SAFE_METHODS and origin is None:
        return "a change must say which page it comes from"
    return ""


def with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            header_names = {name.lower() for name, _ in message["headers"]}
            extra = SECURITY_HEADERS | ({} if b"cache-control" in header_names else {"cache-control": "no-store"})
            message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
        await send(message)

    return send_with_headers
