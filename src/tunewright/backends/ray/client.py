"""Ray's REST API on the dashboard's address: jobs, nodes and version. Ray itself is not needed here.

Reference: "Ray Jobs REST API" and "Ray State API" of Ray's documentation, as of Ray 2.60.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Final, TypeVar, final
from urllib.parse import quote, urlsplit

import msgspec
from typing_extensions import override

from tunewright.exceptions import BackendError, RequestError, SettingsError
from tunewright.types import Json

_DEFAULT_ADDRESS: Final = "http://127.0.0.1:8265"
_ADDRESS_VARIABLES: Final = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_TOKEN_FILE: Final = "~/.ray/auth_token"  # noqa: S105 - a path
_TIMEOUT: Final = 30.0
_OLDEST: Final = (2, 9)
"""Oldest version of Ray whose jobs have all fields that are read here."""
_DENIED_REMEDY: Final = "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH, to the token of the cluster; 'ray get-auth-token' on its head prints it"
_PASSED_ON: Final = "Request failed with status code 400"
"""Text of a status 500 of the dashboard, if the agent of the head node found the request invalid."""
_MAX_REASON: Final = 500
_ERROR: Final = re.compile(r"[\w.]+(Error|Exception): ")

_T = TypeVar("_T")


@final
class RayError(RequestError):
    """A request to Ray failed.

    Parameters
    ----------
    text
        Request and reason.
    status
        HTTP status of the answer; 0: there was none.
    """

    def __init__(self, text: str, *, status: int = 0) -> None:
        super().__init__(text)
        self.reason: Final = text
        self.status: Final = status

    @property
    @override
    def is_lost(self) -> bool:
        return not self.status or self.status >= 500

    @property
    @override
    def is_transient(self) -> bool:
        return self.is_lost or self.status == 429

    @property
    @override
    def is_denied(self) -> bool:
        return self.status in {401, 403}

    @property
    @override
    def remedy(self) -> str:
        return _DENIED_REMEDY if self.is_denied else ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RayJob:
    """A job of Ray's list."""

    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    submission_id: str | None = None
    """None: a program that called ``ray.init`` outside of a job."""
    message: str | None = None
    """Explanation of the status; for a command that failed the end of its output."""
    error_type: str | None = None
    """Kind of a failure, such as JOB_SUPERVISOR_ACTOR_DIED; None before Ray 2.41."""
    start_time: int | None = None
    """Milliseconds since 1970."""
    end_time: int | None = None
    """Milliseconds since 1970."""
    driver_exit_code: int | None = None
    """Exit code of the command."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RayNode:
    """A node of the cluster."""

    node_ip: str
    state: str
    """ALIVE or DEAD."""
    resources_total: Mapping[str, float | str] = field(default_factory=dict[str, float | str])
    """By name; memory may be a text such as ``12.3 GiB``."""


@final
@dataclass(frozen=True, slots=True)
class _Version:
    ray_version: str


@final
@dataclass(frozen=True, slots=True)
class _Logs:
    logs: str


@final
@dataclass(frozen=True, slots=True)
class _Rows:
    result: list[RayNode]


@final
@dataclass(frozen=True, slots=True)
class _Listing:
    result: _Rows


@final
@dataclass(frozen=True, slots=True)
class _Reply:
    data: _Listing


@final
class RayClient:
    """Sends requests to one cluster, and counts them.

    Parameters
    ----------
    address
        Of the dashboard, such as ``http://head:8265``.
    token
        Sent with each request; empty: none.

    Attributes
    ----------
    address
        As given.
    has_token
        Whether a token is sent.
    calls
        Number of requests by kind.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self.address: Final = address.rstrip("/")
        self.calls: Final[dict[str, int]] = {}
        self.has_token: Final = bool(token)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opener = urllib.request.build_opener(_NoRedirect)

    def version(self) -> str:
        """Ray's version on the cluster.

        Raises
        ------
        RayError
            There is no answer, or it is not Ray's.
        """
        return self._get("version", "/api/version", _Version).ray_version

    def check(self) -> str:
        """Check that the cluster answers and can be used; its version of Ray.

        Raises
        ------
        BackendError
            It cannot be used, with the remedy.
        """
        try:
            version = self.version()
            if _number(version) < _OLDEST:
                oldest = ".".join(map(str, _OLDEST))
                raise BackendError(
                    f"The cluster at {self.address} has Ray {version}; jobs need {oldest} or newer"
                )
        except RayError as error:
            raise BackendError(_explained(self.address, error)) from error
        return version

    def submit(self, request: Mapping[str, Json]) -> None:
        """Create a job.

        Parameters
        ----------
        request
            Body of the request, with a ``submission_id``.

        Raises
        ------
        RayError
            It was refused, or the outcome is unknown.
        """
        self._send("submit", "POST", "/api/jobs/", json.dumps(request).encode())

    def jobs(self) -> list[RayJob]:
        """All jobs of the cluster.

        Raises
        ------
        RayError
            There is no answer.
        """
        return self._get("list", "/api/jobs/", list[RayJob])

    def job(self, submission_id: str) -> RayJob | None:
        """One job; None if there is none of this name.

        Raises
        ------
        RayError
            There is no answer.
        """
        try:
            return self._get("describe", _path(submission_id), RayJob)
        except RayError as error:
            if error.status == 404:
                return None
            raise

    def stop(self, submission_id: str) -> None:
        """Stop a job: SIGTERM to all its processes, SIGKILL later; nothing happens to one that has ended or is unknown.

        Raises
        ------
        RayError
            There is no answer.
        """
        self._unless_unknown("stop", "POST", f"{_path(submission_id)}/stop")

    def delete(self, submission_id: str) -> None:
        """Remove the record of a job that has ended.

        Raises
        ------
        RayError
            There is no answer, or the job has not ended.
        """
        self._unless_unknown("delete", "DELETE", _path(submission_id))

    def logs(self, submission_id: str) -> str:
        """Output of a job's command; empty if its node is gone.

        Raises
        ------
        RayError
            There is no answer, or no such job.
        """
        return self._get("logs", f"{_path(submission_id)}/logs", _Logs).logs

    def nodes(self) -> list[RayNode]:
        """Nodes that are alive, with their resources.

        Raises
        ------
        RayError
            There is no answer.
        """
        reply = self._get("nodes", "/api/v0/nodes?limit=10000", _Reply)
        return [node for node in reply.data.result.result if node.state == "ALIVE"]

    def _get(self, kind: str, path: str, answer: type[_T]) -> _T:
        data = self._send(kind, "GET", path)
        try:
            return msgspec.json.decode(data, type=answer)
        except msgspec.MsgspecError as error:
            raise RayError(
                f"{self.address}{path} is not answered by Ray's dashboard ({error})", status=404
            ) from error

    def _unless_unknown(self, kind: str, method: str, path: str) -> None:
        try:
            self._send(kind, method, path)
        except RayError as error:
            if error.status != 404:
                raise

    def _send(self, kind: str, method: str, path: str, body: bytes | None = None) -> bytes:
        self.calls[kind] = self.calls.get(kind, 0) + 1
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        request = urllib.request.Request(self.address + path, body, headers, method=method)  # noqa: S310 - http(s) only
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace").strip()
            status = 400 if _PASSED_ON in text else error.code
            raise RayError(f"{method} {path}: {essence(text) or error.reason}", status=status) from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise RayError(f"{self.address}: {reason}", status=495) from error
            raise RayError(f"{self.address} does not answer ({reason})") from error


@final
class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: the token would be sent to another host."""

    @override
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def dashboard_address(given: str, environment: Mapping[str, str] = os.environ) -> str:
    """The address of a cluster's dashboard.

    Parameters
    ----------
    given
        By the user; empty: that of RAY_API_SERVER_ADDRESS or RAY_ADDRESS, else that of ``ray start --head`` on this machine.
    environment
        For the variables.

    Raises
    ------
    SettingsError
        It is the address of something else.
    """
    found = [(name, environment[name]) for name in _ADDRESS_VARIABLES if environment.get(name)]
    name, address = ("--address", given) if given else found[0] if found else ("", "auto")
    if address in {"auto", "local"}:
        return _DEFAULT_ADDRESS
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"} and parts.hostname:
        return address.rstrip("/")
    host = parts.hostname if parts.scheme == "ray" else address.partition(":")[0]
    raise SettingsError(
        f"{name}={address} is not the address of Ray's dashboard: give --address http://{host or 'HOST'}:8265"
    )


def auth_token(environment: Mapping[str, str] = os.environ) -> str:
    """The token of RAY_AUTH_TOKEN, of the file RAY_AUTH_TOKEN_PATH, or of ``~/.ray/auth_token``, as Ray finds it; empty: none.

    Raises
    ------
    SettingsError
        The file RAY_AUTH_TOKEN_PATH cannot be read.
    """
    if token := environment.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = environment.get("RAY_AUTH_TOKEN_PATH", "")
    try:
        return Path(path or _TOKEN_FILE).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        if path:
            raise SettingsError(f"RAY_AUTH_TOKEN_PATH={path} cannot be read ({error.strerror})") from error
        return ""


def _path(submission_id: str) -> str:
    return f"/api/jobs/{quote(submission_id, safe='')}"


def _number(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _explained(address: str, error: RayError) -> str:
    """Why a cluster cannot be used, with the remedy."""
    if error.is_denied:
        return f"The cluster at {address} refuses the requests ({error.reason}): {error.remedy}"
    if 300 <= error.status < 400:
        return f"{address} is not Ray's dashboard: it redirects requests ({error.reason})"
    if error.status == 404:
        return f"{address} is not the address of Ray's dashboard ({error.reason}): give --address http://HEAD:8265"
    return (
        f"Ray's dashboard cannot be used ({error.reason}): start a cluster (pip install 'ray[default]'; ray start --head), "
        "or give the address of its dashboard: --address http://HEAD:8265"
    )


def essence(text: str) -> str:
    """The last error of a traceback, as Ray's answers and messages have them; other text in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    return (errors[-1] if errors else " ".join(lines))[:_MAX_REASON]
