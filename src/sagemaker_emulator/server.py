"""The HTTP server: threads, kept-alive connections, loopback only."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, final

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LOOPBACK: Final = "127.0.0.1"


@final
class PortTakenError(OSError):
    """Another program listens on the wanted port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} of {LOOPBACK} is taken: choose another one, or 0 for any free port")


@final
class _QuietHandler(WSGIRequestHandler):
    """Keeps connections open, sends small answers at once, and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_expect_100(self) -> bool:
        """Leave ``100 Continue`` to werkzeug, which sends it itself."""
        return True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


def bind(port: int) -> socket.socket:
    """Take a port of the loopback interface, 0 for any free one.

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
    """The URL under which a bound socket is reached."""
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def serve_on(listener: socket.socket, application: WSGIApplication) -> BaseWSGIServer:
    """A server for a bound socket, which it takes over; ``serve_forever`` then answers."""
    with listener:
        return make_server(
            LOOPBACK,
            listener.getsockname()[1],
            application,
            threaded=True,
            request_handler=_QuietHandler,
            fd=listener.fileno(),
        )
