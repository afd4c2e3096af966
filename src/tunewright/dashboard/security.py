"""Guard: who may ask the dashboard, from which pages, and how much.

A request needs the token: in the cookie that the address with the token sets, or in a header. The token is compared in
constant time. The Host header must name this machine or an allowed host, so that a page of another name that resolves to
this machine (DNS rebinding) gets nothing. Every answer has the headers of `headers`.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final, final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER: Final = "x-tunewright-token"  # noqa: S105 - the header's name
_MAX_BODY: Final = 64 * 1024
_MAX_ADDRESS: Final = 8 * 1024
_MAX_STREAMS: Final = 64
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Tunewright</title>
<link rel="stylesheet" href="assets/style.css"></head>
<body><main class="page"><h1 class="title">Tunewright</h1><p class="warning">{text}.</p></main></body>
</html>
"""
"""The answer to a person who may not open the page."""
_HOST: Final = re.compile(r"\[[0-9a-fA-F:.]+\](:\d+)?|[A-Za-z0-9._-]+(:\d+)?")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """Settings of the guard."""

    token: str
    """Random text that every request must show."""
    host: str = "127.0.0.1"
    """Address that the server listens at."""
    allowed_hosts: frozenset[str] = frozenset()
    """Further names that the Host header may have, such as that of a proxy, in lower case; ``*``: any."""
    base_path: str = ""
    """Path prefix of a proxy, such as ``/user/me/proxy/8080``, without a slash at its end; the proxy may remove it or not."""
    can_embed: bool = False
    """Whether pages of the same origin, and of this machine, may show the dashboard in a frame, as notebooks do."""
    max_streams: int = _MAX_STREAMS
    """Number of streams at the same time."""

    @property
    def cookie(self) -> str:
        """Name of the cookie; servers on other ports of this machine have other ones."""
        return f"tunewright-{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"

    def is_known_host(self, name: str) -> bool:
        """Return whether the Host header may have a name, in lower case and without a port.

        If the server listens at all addresses of this machine, any address will do: only names can be rebound.
        """
        if name in _LOCAL or not self.allowed_hosts.isdisjoint({name, "*"}) or name == self.host.lower():
            return True
        return self.host in _EVERYWHERE and (_is_address(name) or name == socket.gethostname().lower())

    def headers(self) -> Mapping[str, str]:
        """Headers of every answer."""
        ancestors = "'self' http://localhost:* http://127.0.0.1:*" if self.can_embed else "'none'"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            f"base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
        )
        return {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            **({} if self.can_embed else {"X-Frame-Options": "DENY"}),  # which knows no list of origins
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Cache-Control": "no-store",
        }


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@final
class Guard:
    """ASGI middleware that refuses requests before the application sees them.

    Parameters
    ----------
    app
        The application.
    safety
        Settings.
    """

    def __init__(self, app: ASGIApp, safety: Safety) -> None:
        self._app = app
        self._safety = safety
        self._headers = safety.headers()
        self._n_streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        base = self._safety.base_path
        if base and (scope["path"] == base or scope["path"].startswith(f"{base}/")):
            scope = {**scope, "root_path": base}
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal.response(is_page=_is_page(scope, headers))(scope, receive, send_safely)
        elif _shows_token(scope):
            await self._with_cookie(RedirectResponse("./", 303), headers)(scope, receive, send_safely)
        elif scope["path"].endswith("/stream"):
            await self._stream(scope, receive, send_safely)
        else:
            await self._app(scope, _limited(receive), send_safely)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._n_streams >= self._safety.max_streams:
            text = f"There are {self._n_streams} open streams already: close other pages of the dashboard"
            await JSONResponse({"error": text}, 503, {"Retry-After": "5"})(scope, receive, send)
            return
        self._n_streams += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_streams -= 1

    def _refusal(self, scope: Scope, headers: Headers) -> _Refusal | None:
        """The answer to a request that is not allowed; None if it is."""
        host = headers.get("host", "")
        if not _HOST.fullmatch(host):
            return _Refusal(400, "The Host header is missing or not valid")
        name = host_name(host)
        if not self._safety.is_known_host(name):
            text = f"The dashboard does not answer for {name}: start it with --allowed_host {name} if it is yours"
            return _Refusal(421, text)
        if len(scope["path"]) + len(scope["query_string"]) > _MAX_ADDRESS:
            return _Refusal(414, "The address is too long")
        path = _inner_path(scope)
        if path.startswith("/assets/"):
            return None  # files of the package; a page without cookies cannot send the token with them
        if not self._has_token(scope, headers, path):
            text = "The token is missing or wrong: open the address that tunewright dashboard printed"
            return _Refusal(401, text)
        if scope["method"] not in {"GET", "HEAD"}:
            return self._refused_change(headers, host)
        return None

    def _has_token(self, scope: Scope, headers: Headers, path: str) -> bool:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        given = [
            value.strip() if scheme.lower() == "bearer" else "",
            headers.get(TOKEN_HEADER, ""),
            _cookie(headers.get("cookie", ""), self._safety.cookie),
        ]
        if path == "/" and scope["method"] in {"GET", "HEAD"}:
            given += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])[:1]
        expected = self._safety.token.encode()
        return any(hmac.compare_digest(one.encode("utf-8", "replace"), expected) for one in given)

    def _refused_change(self, headers: Headers, host: str) -> _Refusal | None:
        """The answer to a request that changes something, unless it comes from the dashboard's own page."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        is_own = origin is None or urlsplit(origin).netloc == host
        name = "" if origin is None else urlsplit(origin).hostname or ""
        is_proxied = bool(name) and not self._safety.allowed_hosts.isdisjoint({name, "*"})
        if site not in {None, "same-origin", "none"} or not (is_own or is_proxied):
            return _Refusal(403, "The request comes from a page of another site")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _Refusal(415, "The body must be JSON")
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return _Refusal(411, "The length of the body is missing")
        if int(length) > _MAX_BODY:
            return _Refusal(413, f"The body has more than {_MAX_BODY} bytes")
        return None

    def _with_cookie(self, response: Response, headers: Headers) -> Response:
        is_https = headers.get("x-forwarded-proto", "").split(",")[0].strip() == "https"
        response.set_cookie(
            self._safety.cookie,
            self._safety.token,
            path=f"{self._safety.base_path}/",
            httponly=True,
            samesite="strict",
            secure=is_https,
        )
        return response


@final
@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer to a request that is not allowed."""

    status: int
    text: str
    """Cause and remedy, in one sentence."""

    def response(self, *, is_page: bool) -> Response:
        """The answer: a page for a person, a document for a program."""
        if is_page:
            return HTMLResponse(_PAGE.format(text=html.escape(self.text)), self.status)
        return JSONResponse({"error": self.text}, self.status)


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a browser opens the page itself."""
    return _inner_path(scope) == "/" and "text/html" in headers.get("accept", "")


def _shows_token(scope: Scope) -> bool:
    """Whether the address of the page has the token, which then goes into a cookie; a page in a frame keeps it."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    is_read = scope["method"] in {"GET", "HEAD"}
    return is_read and _inner_path(scope) == "/" and "token" in query and "embedded" not in query


def host_name(host: str) -> str:
    """The name of a Host header in lower case, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _inner_path(scope: Scope) -> str:
    """The path below the base path."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _limited(receive: Receive) -> Receive:
    """Count the bytes of a body; one that is longer than it said ends the request."""
    n_bytes = 0

    async def receive_limited() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        return {"type": "http.disconnect"} if n_bytes > _MAX_BODY else message

    return receive_limited
