"""The HTTP server: threads, kept-alive connections, loopback only.

A request is admitted by its head: limits, Host header and access key are checked before any byte of the body is read.
"""

from __future__ import annotations

import io
import logging
import re
import socket
from collections.abc import Iterable
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, final

from typing_extensions import override
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG: Final = logging.getLogger(__name__)
LOOPBACK: Final = "127.0.0.1"
IDLE_SECONDS: Final = 75.0
"""Real seconds without a byte after which a connection is closed."""
MAX_CONNECTIONS: Final = 512
"""Open connections, each of which is a thread. A further one replaces the connection that has waited longest for a request."""
_HOSTS: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
"""Accepted Host headers; a web page whose own host name is resolved to this machine sends another one."""
_LENGTH: Final = re.compile(r"\d{1,15}", re.ASCII)
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")
_PIECE_BYTES: Final = 1 << 20
_LINE_BYTES: Final = 1 << 10
_MAX_TRAILERS: Final = 20
_CHUNKED: Final = -1
_INVALID: Final = -2
_DISCARDED_BYTES: Final = 1 << 16
"""Longest body of a refused request that is read and thrown away, so that the connection stays open."""


@final
class PortTakenError(OSError):
    """The port is in use by another program."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} of {LOOPBACK} is taken: choose another one, or 0 for any free port")


class Gate(Protocol):
    """A WSGI application that admits or refuses a request before its body is read."""

    def refusal(self, environ: WSGIEnvironment, /) -> Response | None:
        """Response to a request that is refused by its head; None admits it."""
        ...

    def max_body(self, environ: WSGIEnvironment, /) -> int:
        """Maximum length of the body in bytes."""
        ...

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer an admitted request."""
        ...


class _BodyError(ValueError):
    """The body is longer than allowed, or incomplete."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@final
class _Handler(WSGIRequestHandler):
    """Keeps connections open, unlike werkzeug's own handler, and logs errors only.

    The body is read before the application is called, and the response is complete before it is sent: objects are in
    memory anyway, and no byte is left unread on an open connection.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_SECONDS

    @property
    def _server(self) -> Server:
        return cast("Server", self.server)

    def handle_expect_100(self) -> bool:
        """Ask for the body later, when the head is accepted."""
        return True

    def run_wsgi(self) -> None:
        """Answer one request."""
        try:
            environ = self.make_environ()
        except ValueError:  # the target is not a URL
            self._refuse(_plain(HTTPStatus.BAD_REQUEST), _CHUNKED)
            return
        length = self._length(environ)
        refusal = self._refusal(environ, length)
        if refusal is not None:
            self._refuse(refusal, length)
            return
        self._server.begin(self.connection)
        try:
            self._run(environ, length)
        finally:
            self._server.end(self.connection)

    def _run(self, environ: WSGIEnvironment, length: int) -> None:
        """Read the body of an admitted request, and answer it."""
        if self._is_asking():
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
            self.wfile.flush()
        try:
            if length == _CHUNKED:
                body = _read_chunks(self.rfile, self._server.gate.max_body(environ))
            else:
                body = _read(self.rfile, length)
        except _BodyError as error:
            self._refuse(_plain(error.status), _CHUNKED)
            return
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        try:
            answer = Response.from_app(self.server.app, environ, buffered=True)
        except Exception:
            _LOG.exception("the emulator failed on %s %s", self.command, self.path)
            answer = Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(answer)

    def _is_asking(self) -> bool:
        """Whether the client waits for permission to send its body."""
        return self.headers.get("Expect", "").lower() == "100-continue" and self.request_version >= "HTTP/1.1"

    def _length(self, environ: WSGIEnvironment) -> int:
        """Length of the body in bytes, or _CHUNKED, or _INVALID."""
        is_chunked = bool(environ.get("wsgi.input_terminated"))
        given = self.headers.get_all("Content-Length") or []
        if not given:
            return _CHUNKED if is_chunked else 0
        is_valid = len(given) == 1 and not is_chunked and _LENGTH.fullmatch(given[0])
        return int(given[0]) if is_valid else _INVALID

    def _refusal(self, environ: WSGIEnvironment, length: int) -> Response | None:
        host = environ.get("HTTP_HOST")
        if host is None and self.request_version >= "HTTP/1.1":
            return _plain(HTTPStatus.BAD_REQUEST)
        if host is not None and not _HOSTS.fullmatch(host):
            return _plain(
                HTTPStatus.MISDIRECTED_REQUEST, f"The Host header must be {LOOPBACK} or localhost.\n"
            )
        if length == _INVALID:
            return _plain(HTTPStatus.BAD_REQUEST, "The Content-Length header is not valid.\n")
        refusal = self._server.gate.refusal(environ)
        if refusal is None and length > self._server.gate.max_body(environ):
            return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return refusal

    def _refuse(self, answer: Response, length: int) -> None:
        """Answer without the body; the connection is closed unless the body is short and surely comes."""
        is_short = 0 <= length <= _DISCARDED_BYTES and not self._is_asking()
        self.close_connection = self.close_connection or not is_short
        self._send(answer)
        self.wfile.flush()
        if is_short and len(self.rfile.read(length)) < length:
            self.close_connection = True

    def _send(self, answer: Response) -> None:
        body = answer.get_data()
        self.send_response(answer.status_code, answer.status.partition(" ")[2])
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers and answer.status_code != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing; the parent parses the target again."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Log nothing."""


def _read(stream: io.BufferedIOBase, length: int) -> bytes:
    """Read a number of bytes; memory is taken as they arrive, so a large Content-Length alone costs nothing.

    Raises
    ------
    _BodyError
        The stream ends earlier.
    """
    if length <= _PIECE_BYTES:
        body = stream.read(length)
    else:
        pieces = io.BytesIO()
        while piece := stream.read(min(length - pieces.tell(), _PIECE_BYTES)):
            pieces.write(piece)
        body = pieces.getvalue()
    if len(body) < length:
        raise _BodyError(HTTPStatus.BAD_REQUEST)
    return body


def _read_chunks(stream: io.BufferedIOBase, limit: int) -> bytes:
    """Read a chunked body (RFC 9112, section 7.1).

    Raises
    ------
    _BodyError
        It is longer than ``limit`` bytes, not valid, or incomplete.
    """
    body = io.BytesIO()
    while size := _chunk_size(stream):
        if body.tell() + size > limit:
            raise _BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body.write(_read(stream, size))
        if stream.readline(_LINE_BYTES).strip():
            raise _BodyError(HTTPStatus.BAD_REQUEST)
    for _ in range(_MAX_TRAILERS):
        if not stream.readline(_LINE_BYTES).strip():
            return body.getvalue()
    raise _BodyError(HTTPStatus.BAD_REQUEST)


def _chunk_size(stream: io.BufferedIOBase) -> int:
    size = stream.readline(_LINE_BYTES).partition(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(size):
        raise _BodyError(HTTPStatus.BAD_REQUEST)
    return int(size, 16)


def _plain(status: HTTPStatus, text: str = "") -> Response:
    return Response(text or f"{status.phrase}\n", status=status, mimetype="text/plain")


@final
class Server(ThreadedWSGIServer):
    """Server of one gate on a bound socket, with a limited number of connections."""

    def __init__(self, listener: socket.socket, gate: Gate) -> None:
        self.gate = gate
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._waiting: dict[socket.socket, None] = {}
        """Connections without an admitted request, the one that has waited longest first."""
        super().__init__(LOOPBACK, listener.getsockname()[1], gate, _Handler, fd=listener.fileno())

    def begin(self, connection: socket.socket) -> None:
        """Record that the connection is in use."""
        with self._lock:
            self._waiting.pop(connection, None)

    def end(self, connection: socket.socket) -> None:
        """Record that the connection waits for a request."""
        with self._lock:
            if connection in self._open:
                self._waiting[connection] = None

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the thread of a connection; at the limit, close another one that waits, or this one if all are in use."""
        with self._lock:
            replaced = None
            if len(self._open) >= MAX_CONNECTIONS:
                replaced = next(iter(self._waiting), request)
                self._waiting.pop(replaced, None)
                self._open.discard(replaced)
            if replaced is not request:
                self._open.add(request)
                self._waiting[request] = None
        if replaced is request:
            self.shutdown_request(request)
            return
        if replaced is not None:
            _end(replaced)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.discard(request)
            self._waiting.pop(request, None)
        super().shutdown_request(request)


def _end(connection: socket.socket) -> None:
    """End a connection whose thread waits for a request; the thread closes it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended
        return


def bind(port: int) -> socket.socket:
    """Bind a port of the loopback interface; 0 is any free one.

    Raises
    ------
    PortTakenError
        The port is in use.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortTakenError(port) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """URL of a bound socket."""
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def serve_on(listener: socket.socket, gate: Gate) -> Server:
    """Server for a bound socket, which it owns from now on."""
    with listener:
        return Server(listener, gate)
