"""The HTTP server: threads, kept-alive connections, loopback only."""

from __future__ import annotations

import io
import logging
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, final

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_LOG: Final = logging.getLogger(__name__)
LOOPBACK: Final = "127.0.0.1"


@final
class PortTakenError(OSError):
    """The port is in use by another program."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} of {LOOPBACK} is taken: choose another one, or 0 for any free port")


@final
class _Handler(WSGIRequestHandler):
    """Keeps connections open, unlike werkzeug's own handler, and logs errors only.

    The body is read before the application is called, and the response is complete before it is sent: objects are in
    memory anyway, and no byte is left unread on a connection.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Ask the client immediately for its body."""
        self.send_response_only(HTTPStatus.CONTINUE)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request."""
        environ = self.make_environ()
        body = environ["wsgi.input"].read(*self._length(environ))
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        try:
            answer = Response.from_app(self.server.app, environ, buffered=True)
        except Exception:
            _LOG.exception("the emulator failed on %s %s", self.command, self.path)
            answer = Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(answer)

    def _length(self, environ: WSGIEnvironment) -> tuple[int, ...]:
        """Length of the body in bytes; empty for a chunked body, which has an end marker."""
        return () if environ.get("wsgi.input_terminated") else (int(self.headers.get("Content-Length") or 0),)

    def _send(self, answer: Response) -> None:
        body = answer.get_data()
        self.send_response(answer.status_code, answer.status.partition(" ")[2])
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers and answer.status_code != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Log nothing."""


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


def serve_on(listener: socket.socket, application: WSGIApplication) -> BaseWSGIServer:
    """Server for a bound socket, which it owns from now on."""
    with listener:
        return make_server(
            LOOPBACK,
            listener.getsockname()[1],
            application,
            threaded=True,
            request_handler=_Handler,
            fd=listener.fileno(),
        )
