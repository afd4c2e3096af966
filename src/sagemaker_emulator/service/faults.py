"""Fault injection: failures of the real service, on demand.

=================== ========================= ==================================================================
kind                target                    effect
=================== ========================= ==================================================================
capacity            instance type             no instance: CapacityError (a spot job waits and retries)
internal_error      job name                  instance lost after ``seconds`` of training: InternalServerError
spot_interruption   job name                  spot instance taken back after ``seconds`` of training
lost_answer         operation                 the request is carried out, then the connection is closed
throttle            operation                 ThrottlingException
stale               operation (List, Search)  the answer is up to ``seconds`` service seconds old
pool_eviction       job name                  the job's warm pool ends after ``seconds`` of idling
s3_error            method and path           S3 answers 503 SlowDown; a target is, for example, ``PUT /bucket/*``
slow_s3             method and path           S3 answers ``seconds`` real seconds later
=================== ========================= ==================================================================

Targets are file-name patterns (``*`` for any). ``count`` is the number of times that a fault occurs (null: unlimited),
``probability`` the chance of each occurrence, drawn once for each attempt of a job and once for each request.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Final, Literal, cast, final, get_args

FaultKind = Literal[
    "capacity",
    "internal_error",
    "spot_interruption",
    "lost_answer",
    "throttle",
    "stale",
    "pool_eviction",
    "s3_error",
    "slow_s3",
]
_AT_ONCE: Final = frozenset({"stale", "pool_eviction", "slow_s3"})
"""Kinds whose ``seconds`` are not training time."""
KINDS: Final[tuple[str, ...]] = get_args(FaultKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of the table above.

    Raises
    ------
    ValueError
        The kind is unknown, or a number is out of its range.
    """

    kind: FaultKind
    target: str = "*"
    probability: float = 1.0
    count: int | None = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}: choose from {', '.join(KINDS)}")
        given: Mapping[str, object] = asdict(self)  # a file or a request may hold anything
        if not isinstance(given["target"], str):
            raise ValueError(f"target of a fault must be a text, not {self.target}")  # noqa: TRY004 - one error type
        if not isinstance(given["seconds"], int | float):
            raise ValueError(f"seconds of a fault must be a number, not {self.seconds!r}")  # noqa: TRY004
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability of a fault must be in 0..1, not {self.probability}")
        if self.count is not None and (not isinstance(given["count"], int) or self.count < 1):
            raise ValueError(f"count of a fault must be 1 or more, or null for always, not {self.count}")


def parse_faults(document: object) -> list[Fault]:
    """Read ``{"faults": [{"kind": ..., ...}, ...]}``.

    Raises
    ------
    ValueError
        The document has another form, or a fault is wrong.
    """
    entries = cast("dict[str, Any]", document).get("faults") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError(  # noqa: TRY004 - one error type for input
            'faults are given as {"faults": [{"kind": "capacity", "target": "ml.c5.xlarge"}, ...]}'
        )
    return [_parse(entry) for entry in cast("list[object]", entries)]


def _parse(entry: object) -> Fault:
    if not isinstance(entry, dict):
        raise ValueError(f"a fault is an object with a kind, not {entry!r}")  # noqa: TRY004 - one error type for input
    values = cast("dict[str, Any]", entry)
    known = {field.name for field in fields(Fault)}
    unknown = sorted(set(values) - known)
    if unknown or "kind" not in values:
        raise ValueError(
            f"a fault has the keys {', '.join(sorted(known))}; wrong or missing: {unknown or 'kind'}"
        )
    try:
        return Fault(**values)
    except TypeError as error:
        raise ValueError(f"a fault has a value of a wrong type: {values}") from error


@final
class FaultInjector:
    """Pending faults; thread-safe."""

    def __init__(self, faults: Sequence[Fault] = (), seed: int = 0) -> None:
        self._lock = Lock()
        self._random = random.Random(seed)  # noqa: S311 - faults need repeatability, not secrecy
        self._open: list[_Pending] = []
        self.add(faults)

    def add(self, faults: Sequence[Fault]) -> None:
        """Append faults; the oldest one that matches is triggered first."""
        with self._lock:
            self._open.extend(_Pending(fault) for fault in faults)

    def clear(self) -> None:
        """Drop all faults."""
        with self._lock:
            self._open.clear()

    def describe(self) -> list[Mapping[str, Any]]:
        """Pending faults with their remaining counts."""
        with self._lock:
            return [{**asdict(pending.fault), "count": pending.left} for pending in self._open]

    def trigger(
        self, kind: FaultKind, target: str, *, once: str | None = None, age: float = 0.0
    ) -> Fault | None:
        """Trigger one matching fault and return it, or None.

        Parameters
        ----------
        kind, target
            Kind of the fault, and the name that its pattern must match.
        once
            Key for which a fault's probability is drawn only once, such as an attempt of a job.
        age
            Seconds since the start of training.
        """
        with self._lock:
            for pending in self._open:
                fault = pending.fault
                if fault.kind != kind or not fnmatchcase(target, fault.target):
                    continue
                if kind not in _AT_ONCE and age < fault.seconds:
                    continue
                if self._draws(pending, once):
                    self._use(pending)
                    return fault
        return None

    def _draws(self, pending: _Pending, once: str | None) -> bool:
        if once is not None:
            if once in pending.drawn:
                return False
            pending.drawn.add(once)
        return self._random.random() < pending.fault.probability

    def _use(self, pending: _Pending) -> None:
        if pending.left is not None:
            pending.left -= 1
            if pending.left == 0:
                self._open.remove(pending)


@final
class _Pending:
    """A fault with its remaining count."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.count
        self.drawn: set[str] = set()
