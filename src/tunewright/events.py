"""The journal's lines as typed events, and their one codec.

A line is a flat JSON object; its ``kind`` names the class. Every event but the header has ``t`` (seconds on the
experiment's clock) and ``wall`` (seconds since 1970). Non-finite numbers are written as the strings ``"nan"``,
``"inf"``, ``"-inf"``, so that every line is JSON; fields of type float give the numbers back.

Examples
--------
::

    raw = encode_event(DropEvent(t=3.0, wall=1.7e9, trial_id=4, resource=9))
    # b'{"kind":"drop","t":3.0,"wall":1700000000.0,"trial_id":4,"resource":9}', and the end of the line
    decode_line(raw)  # DropEvent(t=3.0, ...)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast, final

import msgspec

from tunewright.trial import Checkpoint, ExperimentStatus, PhaseName, TrialStatus
from tunewright.types import ConfigValue

if TYPE_CHECKING:
    from tunewright.types import Json
else:
    Json = Any  # msgspec knows no recursive types

SCHEMA_VERSION: Final = 1


class ReportDecision(StrEnum):
    """The ``decision`` of a journaled report: the scheduler's verdict, or why the scheduler was not asked."""

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"
    REPEAT = "repeat"
    """The resource is not above the highest accepted one: only the cost counts."""
    LATE = "late"
    """The report came after a PAUSE or STOP."""
    INVALID = "invalid"
    """A tuned metric is missing: the trial ends as failed."""


# Looked up once: in Python 3.11 a member of an Enum costs ten times what a global name does.
ACCEPTED: Final = frozenset({ReportDecision.CONTINUE, ReportDecision.PAUSE, ReportDecision.STOP})
"""Decisions on reports that are results: the scheduler judged them."""


@final
class Header(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="experiment", omit_defaults=True
):
    """The first line: the experiment that the journal belongs to."""

    kind: ClassVar[str] = "experiment"

    schema: int | None = None
    """Version of the journal's form; set when the header is written."""
    experiment: str | None = None
    """Unique name."""
    benchmark: str | None = None
    method: str | None = None
    """Label of the method among those that are compared."""
    seed: int | None = None
    random_seed: int | None = None
    settings: Mapping[str, Json] | None = None
    """Settings as they were given; they win over those of the method."""
    evaluations: Json = None
    """Earlier evaluations that the method learns from."""
    effective_seed: int | None = None
    """Seed of all random numbers; None in journals of version 0.1."""
    resolved: Mapping[str, Json] | None = None
    """All settings of the method, defaults included; None in journals of version 0.1 and for a function of the user."""
    inner: Mapping[str, Mapping[str, Json]] | None = None
    """All settings of the methods that the method contains, by name; None if it contains none."""
    table: str | None = None
    """Name and version of the recorded table, such as ``"digits 1"``; None if trials train."""


@final
class StartEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="start", gc=False):
    """A run begins; the first one of a trial begins the trial."""

    kind: ClassVar[str] = "start"

    t: float
    wall: float
    trial_id: int
    attempt: int
    config: Mapping[str, ConfigValue]
    until: int | None
    from_checkpoint: Checkpoint | None
    note: Mapping[str, Json]
    suggest_time: float | None
    """Real seconds that the decision took."""


@final
class ResultEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="result", gc=False):
    """A report came."""

    kind: ClassVar[str] = "result"

    t: float
    wall: float
    trial_id: int
    attempt: int
    retry: int
    seq: int
    resource: int
    metrics: Mapping[str, float]
    decision: ReportDecision
    reason: str
    cost: float
    """Dollars of the run so far."""

    @property
    def is_accepted(self) -> bool:
        """Whether the report is a result of its trial: the scheduler judged it."""
        return self.decision in ACCEPTED


@final
class EndEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end", gc=False):
    """A run is over."""

    kind: ClassVar[str] = "end"

    t: float
    wall: float
    trial_id: int
    attempt: int
    status: TrialStatus
    error: str
    cost: float
    """Dollars of the whole run."""
    checkpoint: Checkpoint | None


@final
class DropEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="drop", gc=False):
    """A paused trial's checkpoint is given up: if it is resumed, it begins from scratch."""

    kind: ClassVar[str] = "drop"

    t: float
    wall: float
    trial_id: int
    resource: int

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that is given up."""
        return Checkpoint(trial_id=self.trial_id, resource=self.resource)


class RequestAction(StrEnum):
    """The ``action`` of a request."""

    STOP_TRIAL = "stop_trial"
    PAUSE_TRIAL = "pause_trial"
    RESUME_TRIAL = "resume_trial"
    STOP_EXPERIMENT = "stop_experiment"
    CHANGE_LIMITS = "change_limits"
    SET_WORKERS = "set_workers"
    TRY_CONFIG = "try_config"
    NOTE = "note"


@final
class RequestEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="request", gc=False):
    """A person's request from outside of the tuner, and the action that the tuner took."""

    kind: ClassVar[str] = "request"

    t: float
    wall: float
    action: str
    """A `RequestAction`."""
    trial_id: int | None
    """The trial that it concerns, if any."""
    arguments: Mapping[str, Json]
    """Further parameters of the request, and its id as ``"request"``."""
    done: str
    """The action taken; empty if the request was refused."""
    reason: str
    """Why it was refused, or the person's remark; may be empty."""


@final
class PhaseEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="phase", gc=False):
    """A run entered a phase; for timelines only."""

    kind: ClassVar[str] = "phase"

    t: float
    wall: float
    trial_id: int
    attempt: int
    retry: int
    worker: str
    name: PhaseName
    warm: bool | None


@final
class ServiceEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="service", gc=False):
    """The service that runs trials throttled, refused or interrupted something; for readers only."""

    kind: ClassVar[str] = "service"

    t: float
    wall: float
    name: str
    """A `tunewright.trial.ServiceTrouble`."""
    trial_id: int | None
    """The trial that it concerns, if it is one."""
    text: str


@final
class SessionEvent(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="session", gc=False, omit_defaults=True
):
    """A process begins or ends its work on the experiment."""

    kind: ClassVar[str] = "session"

    t: float
    wall: float
    event: str
    """``"begin"`` or ``"end"``."""
    pid: int | None = None
    host: str | None = None
    outcome: ExperimentStatus | None = None
    summary: Mapping[str, Json] | None = None
    """The backend's summary."""

    @property
    def is_end(self) -> bool:
        """Whether the process ended its work in order."""
        return self.event == "end"


@final
class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="unknown", gc=False):
    """A line of a kind that this version does not know; it changes nothing."""

    kind: ClassVar[str] = "unknown"

    t: float
    wall: float


Event: TypeAlias = (
    StartEvent
    | ResultEvent
    | EndEvent
    | DropEvent
    | RequestEvent
    | PhaseEvent
    | ServiceEvent
    | SessionEvent
    | UnknownEvent
)
"""One line of a journal after its header."""

_KINDS: Final = frozenset(
    {"experiment", "start", "result", "end", "drop", "request", "phase", "service", "session", "unknown"}
)
_AnyLine = (
    Header
    | StartEvent
    | ResultEvent
    | EndEvent
    | DropEvent
    | RequestEvent
    | PhaseEvent
    | ServiceEvent
    | SessionEvent
    | UnknownEvent
)
_encode: Final = msgspec.json.Encoder().encode
# Not strict: the strings "nan", "inf" and "-inf" are numbers where a float is expected.
_decode: Final = msgspec.json.Decoder(_AnyLine, strict=False).decode
_decode_all: Final = msgspec.json.Decoder(_AnyLine, strict=False).decode_lines
_exact: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


# --- encoding


def encode_event(event: Header | Event) -> bytes:
    """The event's line, its end included."""
    try:
        raw = _encode(event)
    except (TypeError, UnicodeEncodeError, OverflowError):
        # a number of NumPy, a mapping of another type, a lone surrogate, a huge number
        return _encode_exactly(event)
    # msgspec writes non-finite numbers as null: more of these than fields that are None leads to the exact way.
    if raw.count(b"null") != _n_nulls(event):
        return _encode_exactly(event)
    return raw + b"\n"


def _n_nulls(event: Header | Event) -> int:
    """Nulls in the event's own fields."""
    if isinstance(event, ResultEvent):
        return 0
    if isinstance(event, StartEvent):
        return (event.until is None) + (event.from_checkpoint is None)
    if isinstance(event, EndEvent):
        return event.checkpoint is None
    if isinstance(event, PhaseEvent):
        return event.warm is None
    return -1  # rare kinds: always the exact way


def _encode_exactly(event: Header | Event) -> bytes:
    fields: dict[str, object] = {"kind": event.kind}
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        if field.required or value is not field.default:
            fields[field.name] = value
    return _exact(_plain(fields)).encode("utf-8", "surrogatepass") + b"\n"


def _plain(value: object) -> object:
    """JSON's types: checkpoints as objects, non-finite numbers as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, Checkpoint):
        return {"trial_id": value.trial_id, "resource": value.resource}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return value


# --- decoding


def decode_line(raw: bytes) -> Header | Event:
    """The header or event that a line holds.

    Raises
    ------
    ValueError
        It is not a JSON object with the fields of its kind.
    """
    try:
        return _decode(raw)
    except (
        UnicodeDecodeError,
        msgspec.ValidationError,
    ):  # lone surrogates, huge numbers, unknown kinds, or damage
        return _from_mapping(decode_mapping(raw))


def decode_lines(data: bytes) -> Sequence[Header | Event]:
    """The headers and events of whole lines, several times as fast as one by one.

    Parameters
    ----------
    data
        Lines, each with its end.

    Raises
    ------
    ValueError
        A line is damaged.
    """
    try:
        found = _decode_all(data)
    except ValueError:  # unknown kinds, lone surrogates, or damage
        found = []
    if len(found) == data.count(b"\n"):
        return found
    return [decode_line(line) for line in data.split(b"\n")[:-1]]


def decode_mapping(raw: bytes) -> dict[str, Any]:
    """The line as plain JSON, numbers and texts as they stand there.

    Raises
    ------
    ValueError
        It is not a JSON object.
    """
    line = json.loads(raw.decode("utf-8", "surrogatepass"))
    if not isinstance(line, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the content is wrong, not the argument
    return cast("dict[str, Any]", line)


def _from_mapping(line: Mapping[str, Any]) -> Header | Event:
    kind = line.get("kind")
    known = {**line, "kind": UnknownEvent.kind} if isinstance(kind, str) and kind not in _KINDS else line
    return msgspec.convert(known, _AnyLine, strict=False)


# --- many events at once: the fields that comparisons of experiments need


@final
class ResultFields(msgspec.Struct, frozen=True, tag_field="kind", tag="result", gc=False):
    """Of a `ResultEvent`."""

    t: float
    trial_id: int
    resource: int
    metrics: dict[str, float]
    decision: ReportDecision


@final
class StartFields(msgspec.Struct, frozen=True, tag_field="kind", tag="start", gc=False):
    """Of a `StartEvent`."""

    t: float
    attempt: int
    suggest_time: float | None


@final
class EndFields(msgspec.Struct, frozen=True, tag_field="kind", tag="end", gc=False):
    """Of an `EndEvent`."""

    t: float
    cost: float


@final
class _DropFields(msgspec.Struct, frozen=True, tag_field="kind", tag="drop", gc=False):
    t: float


@final
class _RequestFields(msgspec.Struct, frozen=True, tag_field="kind", tag="request", gc=False):
    t: float


@final
class _PhaseFields(msgspec.Struct, frozen=True, tag_field="kind", tag="phase", gc=False):
    t: float


@final
class _ServiceFields(msgspec.Struct, frozen=True, tag_field="kind", tag="service", gc=False):
    t: float


_AnyFields = (
    ResultFields
    | StartFields
    | EndFields
    | _DropFields
    | _RequestFields
    | _PhaseFields
    | _ServiceFields
    | SessionEvent
)
_decode_fields: Final = msgspec.json.Decoder(list[_AnyFields], strict=False).decode

EventFields: TypeAlias = _AnyFields | Event
"""The fields of an event that comparisons need, or an event in full."""


def decode_fields(lines: Sequence[bytes]) -> Sequence[EventFields]:
    """The events of a journal's lines after its header, several times as fast as one by one.

    Raises
    ------
    ValueError
        A line is damaged.
    """
    try:
        found = _decode_fields(b"[" + b",".join(lines) + b"]")
    except ValueError:  # unknown kinds, lone surrogates, or damage
        found = []
    return found if len(found) == len(lines) else [_fields(decode_line(line)) for line in lines]


def _fields(event: Header | Event) -> EventFields:
    if isinstance(event, ResultEvent):
        return ResultFields(event.t, event.trial_id, event.resource, dict(event.metrics), event.decision)
    if isinstance(event, StartEvent):
        return StartFields(event.t, event.attempt, event.suggest_time)
    if isinstance(event, EndEvent):
        return EndFields(event.t, event.cost)
    if isinstance(event, Header):
        raise ValueError("a second header")  # noqa: TRY004 - the content is wrong, not the argument
    return event
