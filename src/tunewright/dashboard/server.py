"""The dashboard's server: routes, and the process that serves them.

Documents are described in `tunewright.dashboard.documents`, `feed` and `details`. The server reads the files of
experiments and writes none but requests; work that takes longer is done in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mimetypes
import re
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, final

import msgspec
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunewright.analysis.load import load
from tunewright.analysis.report import compare, comparison_page
from tunewright.dashboard import remote_sync
from tunewright.dashboard.analyses import (
    contour,
    estimate_importance,
    hypervolume_document,
    importance_document,
)
from tunewright.dashboard.details import LogText, TrialDetail, check_trial, read_log, trial_detail
from tunewright.dashboard.library import Entry, Library, NoTunerError
from tunewright.dashboard.page import ASSETS, live_page
from tunewright.dashboard.remote_sync import RemoteSync
from tunewright.dashboard.report import report_document
from tunewright.dashboard.security import Guard, Safety
from tunewright.dashboard.service_logs import UNREAD, ServiceLogs, has_service_logs
from tunewright.dashboard.streams import Watcher, encoded, experiment_stream, list_stream, log_stream
from tunewright.exceptions import MissingExtraError, SettingsError, TunewrightError, UnknownNameError
from tunewright.requests import Request as TunerRequest
from tunewright.requests import request_from

FIRST_PORT: Final = 8080
_PORTS: Final = 50  # that are tried from the first one on
_MOST_CURVES: Final = 200
_MOST_ANALYSES: Final = 64  # documents that are kept
_NO_LOG: Final[LogText] = {"text": "", "offset": "0", "is_whole": True, "error": "", "is_remote": False}
_LIST_SECONDS: Final = 0.3
"""Seconds for which experiments are read before the first rows are sent; the others come by the stream."""
_PING: Final = 5
_SEND_SECONDS: Final = 60
"""Seconds in which a page takes an event; then its stream ends."""
_EXIT_SECONDS: Final = 0.1  # between two looks whether the server exits
_CONNECTIONS: Final = 256
"""Connections at the same time; more are closed at once."""
_REQUEST_SECONDS: Final = 10.0
"""Seconds in which a connection sends its first request."""


@final
class Dashboard:
    """Answers requests about a library.

    Parameters
    ----------
    library
        The experiments.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._watcher = Watcher(library)
        # a page loads some thirty files: from memory that takes a tenth of the time
        self._page_text = live_page()
        self._assets = {
            str(path.relative_to(ASSETS)): (path.read_bytes(), mimetypes.guess_type(path)[0])
            for path in ASSETS.rglob("*.*")
        }
        self._analyses: dict[tuple[str, int, int, str], bytes] = {}
        self._analysing = threading.Lock()
        self._service_logs = ServiceLogs()
        self.is_exiting: Callable[[], bool] = lambda: False
        """Whether the server was asked to exit: then streams end, for which it waits."""

    def application(self, safety: Safety) -> Starlette:
        """The application, behind its guard."""
        one = "/api/e/{tag}/{name}"
        routes = [
            Route("/", self._page),
            Route("/api/experiments", self._list),
            Route("/api/experiments/stream", self._list_stream),
            Route(one, self._experiment),
            Route(f"{one}/summary", self._summary),
            Route(f"{one}/since", self._since),
            Route(f"{one}/stream", self._stream),
            Route(f"{one}/curves", self._curves),
            Route(f"{one}/trials/{{trial:int}}", self._trial),
            Route(f"{one}/trials/{{trial:int}}/log", self._log),
            Route(f"{one}/trials/{{trial:int}}/log/stream", self._log_stream),
            Route(f"{one}/importance", self._importance),
            Route(f"{one}/contour", self._contour),
            Route(f"{one}/hypervolume", self._hypervolume),
            Route(f"{one}/report", self._report),
            Route(f"{one}/requests", self._request, methods=["POST"]),
            Route("/api/compare/{tag}", self._comparison),
            Route("/assets/{path:path}", self._asset),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard, safety=safety)],
            exception_handlers={HTTPException: _http_error, TunewrightError: _error, Exception: _failure},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        async with self._watcher.running():
            tasks = [asyncio.create_task(one) for one in (self._fetch_remote(), self._end_streams())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_remote(self) -> None:
        """Fetch remote experiments again while a page is open."""
        sync = RemoteSync(self.library)
        while True:
            await self._watcher.followed()
            await run_in_threadpool(sync.fetch)
            await asyncio.sleep(remote_sync.INTERVAL)

    async def _end_streams(self) -> None:
        while not self.is_exiting():
            await asyncio.sleep(_EXIT_SECONDS)
        self._watcher.close()

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(self._page_text)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["path"]
        if name not in self._assets:
            raise HTTPException(404)
        content, media_type = self._assets[name]
        return Response(content, media_type=media_type)

    async def _list(self, _: Request) -> Response:
        is_whole = await self._watcher.look_at_list(_LIST_SECONDS)
        return await _document(lambda: self.library.rows(is_whole=is_whole))

    async def _list_stream(self, request: Request) -> Response:
        last_id = request.headers.get("last-event-id", "")
        return _events(list_stream(self._watcher, self.library, last_id))

    async def _experiment(self, request: Request) -> Response:
        entry = await self._entry(request)
        return await _document(lambda: entry.document(control=self.library.control))

    async def _summary(self, request: Request) -> Response:
        entry = await self._entry(request)
        return await _document(lambda: entry.open_feed().summary())

    async def _since(self, request: Request) -> Response:
        entry, after = await self._entry(request), _natural(request, "after")

        def since() -> object:
            feed = entry.open_feed()
            if not feed.is_boundary(after):
                raise HTTPException(409, "The journal was replaced: begin again with after=0")
            return feed.since(after)

        return await _document(since)

    async def _stream(self, request: Request) -> Response:
        entry, after = await self._entry(request), _natural(request, "after")
        last_id = request.headers.get("last-event-id", "")
        if last_id.isdecimal():
            after = int(last_id)
        await run_in_threadpool(entry.open_feed)  # an error is an answer, not a stream that breaks
        return _events(experiment_stream(self._watcher, entry, after, control=self.library.control))

    async def _curves(self, request: Request) -> Response:
        entry = await self._entry(request)
        words = request.query_params.get("trials", "").split(",")
        if not all(word.isdecimal() for word in words) or len(words) > _MOST_CURVES:
            raise HTTPException(422, f"trials takes at most {_MOST_CURVES} numbers of trials, with commas")
        return await _document(lambda: {"curves": entry.open_feed().curves([int(word) for word in words])})

    async def _trial(self, request: Request) -> Response:
        entry, trial = await self._entry(request), _trial_of(request)

        def detail() -> TrialDetail:
            found = trial_detail(entry.folder, entry.open_feed(), entry.metadata, trial)
            if found["log"] is None and has_service_logs(entry.metadata):
                found["log"] = UNREAD
            return found

        return await _document(detail)

    async def _log(self, request: Request) -> Response:
        entry, trial = await self._entry(request), _trial_of(request)
        after = _position(request.query_params.get("after", ""))
        return await _document(lambda: self._read_log(entry, trial, after) or _NO_LOG)

    async def _log_stream(self, request: Request) -> Response:
        entry, trial = await self._entry(request), _trial_of(request)
        after = _position(request.headers.get("last-event-id") or request.query_params.get("after", ""))

        def read(position: str) -> LogText | None:
            return self._read_log(entry, trial, position)

        return _events(log_stream(self._watcher, read, after))

    def _read_log(self, entry: Entry, trial: int, after: str) -> LogText | None:
        """The output of a trial on this machine, or else in the service that its backend uses."""
        if (found := read_log(entry.folder, trial, after)) is not None:
            return found
        check_trial(entry.open_feed(), trial)
        return (
            self._service_logs.read(entry.folder, trial, after) if has_service_logs(entry.metadata) else None
        )

    async def _importance(self, request: Request) -> Response:
        entry = await self._entry(request)

        def document() -> object:
            feed = entry.open_feed()
            return importance_document(estimate_importance(entry.folder, entry.metadata, feed))

        return await self._analysis(entry, "importance", document)

    async def _contour(self, request: Request) -> Response:
        entry = await self._entry(request)
        x, y = (request.query_params.get(name, "") for name in ("x", "y"))
        return await self._analysis(
            entry, f"contour {x!r} {y!r}", lambda: contour(entry.metadata, entry.open_feed(), x, y)
        )

    async def _hypervolume(self, request: Request) -> Response:
        entry = await self._entry(request)
        return await self._analysis(
            entry, "hypervolume", lambda: hypervolume_document(entry.metadata, entry.open_feed())
        )

    async def _request(self, request: Request) -> Response:
        if not self.library.control:
            raise HTTPException(403, "The dashboard takes no requests: start it with --control")
        entry, body = await self._entry(request), await _body(request)

        def send() -> str:
            try:
                return entry.file_request(request_of(body))
            except SettingsError as error:
                raise HTTPException(422, str(error)) from None
            except NoTunerError as error:
                raise HTTPException(409, str(error)) from None

        return JSONResponse({"id": await run_in_threadpool(send)}, 202)

    async def _report(self, request: Request) -> Response:
        entry = await self._entry(request)
        return await self._analysis(entry, "report", lambda: report_document(entry))

    async def _comparison(self, request: Request) -> Response:
        tag = request.path_params["tag"]
        return await _document(lambda: comparison_page(compare(load(self.library.of_tag(tag))), title=tag))

    async def _analysis(self, entry: Entry, name: str, make: Callable[[], object]) -> Response:
        """A document that takes long: one at a time, and kept until the journal grows.

        If the experiment is not far enough for it, the document is ``{"error": reason}``, which is no failure of the server.
        """

        def made() -> object:
            try:
                return make()
            except UnknownNameError:
                raise
            except (SettingsError, MissingExtraError) as error:
                return {"error": str(error)}

        def cached() -> bytes:
            with self._analysing:
                feed = entry.open_feed()
                key = (entry.id, feed.generation, feed.offset, name)
                found = self._analyses.pop(key, None) or encoded(made())
                self._analyses[key] = found  # the newest at the end
                while len(self._analyses) > _MOST_ANALYSES:
                    del self._analyses[next(iter(self._analyses))]
                return found

        return Response(await run_in_threadpool(cached), media_type="application/json")

    async def _entry(self, request: Request) -> Entry:
        parameters = request.path_params
        return await run_in_threadpool(self.library.entry, parameters["tag"], parameters["name"])


def _events(stream: AsyncGenerator[ServerSentEvent]) -> Response:
    return EventSourceResponse(
        stream,
        ping=_PING,
        # an event, not a comment: a page sees no comments, and takes a stream without pings as broken
        ping_message_factory=lambda: ServerSentEvent(event="ping", data="{}"),
        send_timeout=_SEND_SECONDS,
    )


async def _body(request: Request) -> bytes:
    """The body of a request, of which the guard limits the size."""
    try:
        return await asyncio.wait_for(request.body(), _REQUEST_SECONDS)
    except TimeoutError:
        raise HTTPException(408, "The body did not come in time") from None


async def _document(make: Callable[[], object]) -> Response:
    """Make and encode a document in a thread."""
    content = await run_in_threadpool(lambda: encoded(make()))
    return Response(content, media_type="application/json")


def _natural(request: Request, name: str) -> int:
    """A query parameter that is a number >= 0; 0 if it is missing."""
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise HTTPException(422, f"{name} must be a number >= 0")
    return int(text)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a request to a tuner."""

    action: str
    trial_id: int | None = None
    arguments: dict[str, Any] = {}


def request_of(body: bytes) -> TunerRequest:
    """The request to a tuner in a body.

    Raises
    ------
    SettingsError
        There is none in it.
    """
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"The body holds no request: {error}") from None
    trial = {} if found.trial_id is None else {"trial_id": found.trial_id}
    return request_from({**found.arguments, **trial, "action": found.action})


def _trial_of(request: Request) -> int:
    return int(request.path_params["trial"])


def _position(text: str) -> str:
    """A position in a log; empty: its beginning."""
    if not re.fullmatch(r"(\d{1,15}(-\d{1,15}){0,2000})?", text, re.ASCII):
        raise HTTPException(422, "after must be the offset of an earlier answer")
    return "" if text == "0" else text


async def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    text = "There is nothing at this address" if status == 404 and detail == "Not Found" else detail
    return JSONResponse({"error": text}, status)


async def _error(_: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, UnknownNameError) else 409 if isinstance(error, SettingsError) else 500
    if isinstance(error, MissingExtraError):
        status = 501
    return JSONResponse({"error": str(error)}, status)


async def _failure(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The server failed: {type(error).__name__}. Its terminal shows more"}, 500)


# --- the process


@final
class _Protocol(H11Protocol):
    """Closes connections beyond a number, and those that send no request."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_REQUEST_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if vars(self).get("cycle") is None and not self.transport.is_closing():
            self.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Parameters
    ----------
    host
        Address or name of this machine.
    port
        0: the first free one from 8080 on.

    Raises
    ------
    SettingsError
        The port is in use, or the host is not of this machine.
    """
    ports = [port] if port else range(FIRST_PORT, FIRST_PORT + _PORTS)
    error: OSError | None = None
    for one in [*ports, *([] if port else [0])]:
        try:
            family, *_, address = socket.getaddrinfo(host, one, type=socket.SOCK_STREAM)[0]
            # asyncio turns Nagle's algorithm off, which costs 40 ms a request, for sockets with this protocol alone
            found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            try:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                found.bind(address)
                found.listen(_CONNECTIONS)
            except OSError:
                found.close()
                raise
        except OSError as failure:
            error = failure
            continue
        return found
    raise SettingsError(
        f"Cannot listen at {host}, port {port}: {error and error.strerror}. Choose another one with --port, or none"
        if port
        else f"Cannot listen at {host}: {error and error.strerror}. --host takes an address of this machine"
    )


def new_server(dashboard: Dashboard, safety: Safety, *, log_level: int = logging.WARNING) -> uvicorn.Server:
    """A server that is not running yet; its open streams end at once if it is to exit."""
    config = uvicorn.Config(
        dashboard.application(safety),
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_level=log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16 * 1024,
        backlog=_CONNECTIONS,
    )
    server = uvicorn.Server(config)
    dashboard.is_exiting = lambda: server.should_exit
    return server


def serve(
    dashboard: Dashboard, safety: Safety, listening: socket.socket, *, log_level: int = logging.WARNING
) -> None:
    """Serve until Ctrl-C or SIGTERM; open streams end at once."""
    server = new_server(dashboard, safety, log_level=log_level)
    # a second Ctrl-C ends the server at once, whose tasks have no more to say than that
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.force_exit)
    with contextlib.suppress(KeyboardInterrupt):  # raised again after the end
        server.run(sockets=[listening])
