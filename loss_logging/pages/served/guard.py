"""Access to the server: requests need the token, and changes must come from the server's own page."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["OwnPageOnly", "TokenOnly"]

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MOST_BYTES = 2 * 2**20
"""The largest size of a request: enough for the longest caption and its earlier text."""


class TokenOnly:
    """Refuses requests without the token: it is in the address at first, and in a cookie from then on."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        cookie = f"loss_logging-{request.url.port}"  # cookies know no ports, and two servers may run
        given = request.query_params.get("token", "")
        answer: ASGIApp
        if request.method in ("GET", "HEAD") and secrets.compare_digest(given.encode(), self._token.encode()):
            answer = RedirectResponse(request.url.path, status_code=303)
            answer.set_cookie(cookie, self._token, httponly=True, samesite="strict")
        elif secrets.compare_digest(request.cookies.get(cookie, "").encode(), self._token.encode()):
            answer = self._app
        else:
            text = "Open the address that loss-logging view printed when it was started; it holds the key to this page."
            answer = PlainTextResponse(text, status_code=403)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in there)]
            await send(message)

        await answer(scope, receive, with_headers)


class OwnPageOnly:
    """Accepts changes only from this server's own page. A form or script of another site, or of another port of this
    machine, changes nothing, even with the browser's cookies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            refused = _refusal(Request(scope))
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refusal(request: Request) -> PlainTextResponse | None:
    headers = request.headers
    own = f"{request.url.scheme}://{headers.get('host', '')}"
    if headers.get("origin") != own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return PlainTextResponse("Only the page of loss-logging view itself may send changes.", status_code=403)
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return PlainTextResponse("Changes are sent as application/json.", status_code=415)
    length = headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _MOST_BYTES:
        return PlainTextResponse(f"A change has at most {_MOST_BYTES:,} bytes.", status_code=413)
    return None
