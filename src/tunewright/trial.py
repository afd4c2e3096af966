"""Records that cross boundaries: trials, runs, events of backends, decisions of schedulers.

All are frozen, slotted and keyword-only. Resources are integers >= 1 (epochs, mostly), times are seconds on the
experiment's clock, costs are US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tunewright.types import Config, Json, Note

KNOWN: Final = "known"
"""Key in the note of a run that is not trained, as its results were given: the highest resource of the trial's given results."""


REQUEST: Final = "request"
"""Key in the note of a run that a user asked for: the id of the request."""

OUTSIDE: Final = "outside"
"""Key in the note of a run that the method neither judges nor counts, since its trial had lost its place there."""


class TrialStatus(StrEnum):
    """Status of a trial.

    ::

        (new) --> RUNNING --> COMPLETED | FAILED | STOPPED      (final)
                   ^    |
                   |    v
                   PAUSED
    """

    RUNNING = "running"
    """The backend has a run of it, also while that run is being paused or stopped."""
    PAUSED = "paused"
    """Its last run ended at a rung, or by a user's request, with a whole checkpoint; it may be resumed."""
    STOPPED = "stopped"
    """The scheduler or a user stopped it."""
    COMPLETED = "completed"
    """The script ended by itself."""
    FAILED = "failed"
    """The script crashed, or never reported the tuned metric."""


LEGAL_TRANSITIONS: Mapping[TrialStatus, frozenset[TrialStatus]] = {
    TrialStatus.RUNNING: frozenset(
        {TrialStatus.PAUSED, TrialStatus.STOPPED, TrialStatus.COMPLETED, TrialStatus.FAILED}
    ),
    TrialStatus.PAUSED: frozenset({TrialStatus.RUNNING}),
    TrialStatus.STOPPED: frozenset(),
    TrialStatus.COMPLETED: frozenset(),
    TrialStatus.FAILED: frozenset(),
}
"""Allowed transitions, by status."""


class ExperimentStatus(StrEnum):
    """Status of an experiment. The first four are outcomes of a Tuner's session."""

    COMPLETED = "completed"
    """The scheduler has nothing left to run."""
    STOPPED = "stopped"
    """A stopping criterion ended it."""
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM ended it, or the process died."""
    FAILED = "failed"
    """An error ended it, or too many trials failed."""
    RUNNING = "running"
    """A process on this machine works on it."""
    RUNNING_ELSEWHERE = "running elsewhere"
    """A tuning job worked on it when it was fetched."""

    @property
    def is_finished(self) -> bool:
        """Whether the experiment needs no further session: completed or stopped."""
        return self in FINISHED

    @property
    def is_running(self) -> bool:
        """Whether a process works on the experiment, on this machine or in a tuning job."""
        return self in RUNNING


FINISHED = frozenset({ExperimentStatus.COMPLETED, ExperimentStatus.STOPPED})
"""Statuses of experiments that need no further session."""
RUNNING = frozenset({ExperimentStatus.RUNNING, ExperimentStatus.RUNNING_ELSEWHERE})
"""Statuses of experiments that a process works on."""


class Decision(StrEnum):
    """A scheduler's decision on a report."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """End this run; its checkpoint is kept, the trial may be resumed."""
    STOP = "stop"
    """End the trial for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision and its reason."""

    decision: Decision
    reason: str = ""


CONTINUE = Verdict(decision=Decision.CONTINUE)
"""The default verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration under evaluation."""

    id: int
    """Consecutive from 0."""
    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A frozen, whole training state, named by the trial and the resource at which it was written."""

    trial_id: int
    resource: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A unit of work that a backend starts: a trial from ``resume_from`` (excluded) to ``until`` (included)."""

    trial_id: int
    attempt: int
    """The Tuner's number of this run among the trial's runs, from 0."""
    until: int | None = None
    """The resource at which the run ends by itself; None: the script's own end."""
    resume_from: int = 0
    """The resource that the checkpoint holds; 0: from scratch."""
    from_checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run without an end in the journal, as :meth:`Backend.attach` receives it after a crash."""

    run: Run
    config: Config
    started_at: float
    """Experiment time of its start."""
    started_wall: float = 0.0
    """Seconds since 1970 of its start; 0: unknown."""
    retry: int = 0
    """The highest retry with a report in the journal."""
    seen: int = 0
    """Number (seq) of the last report of that retry in the journal; 0: none."""
    seen_resource: int = 0
    """The highest resource of the trial in the journal; 0: none."""
    verdict: Verdict | None = None
    """A PAUSE or STOP whose run has not ended."""
    verdict_at: float | None = None
    """Experiment time of that verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A report of a run's script."""

    trial_id: int
    attempt: int
    retry: int = 0
    seq: int
    """Number of the report in this attempt and retry, from 1."""
    resource: int
    """From the resource attribute; without one ``resume_from + seq``."""
    metrics: Mapping[str, object]
    """As printed by the script; values of any JSON type."""
    cost: float = 0.0
    """Dollars of the run so far, all its retries included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run is over and its worker free."""

    trial_id: int
    attempt: int
    exit: int
    """The script's exit code; 0 also if the run ended at ``until``."""
    error: str = ""
    """Cause of a failure, with the last log lines; empty without one."""
    cost: float = 0.0
    """Dollars of the whole run."""
    checkpoint: Checkpoint | None = None
    """The newest whole checkpoint that the run left, if any."""


class PhaseName(StrEnum):
    """Phases of a run on its worker, in order; any may be missing."""

    STARTING = "starting"
    """The worker is being prepared: instance, image, environment."""
    TRAINING = "training"
    """The script runs."""
    UPLOADING = "uploading"
    """The script has ended and its output is being stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChange:
    """A run entered a phase. For timelines only: neither History nor schedulers see it."""

    trial_id: int
    attempt: int
    retry: int = 0
    worker: str = ""
    """Name of the place that runs it, such as ``"0"`` or a job's name; empty if unknown."""
    name: PhaseName
    warm: bool | None = None
    """Whether the run began on a worker that an earlier run had left prepared; None if unknown or meaningless."""


class ServiceTrouble(StrEnum):
    """Kinds of events of the service that runs trials."""

    THROTTLED = "throttled"
    """It takes no more requests at present."""
    RETRIED = "retried"
    """A request had no answer, or failed, and is sent again."""
    WAITING = "waiting"
    """A quota or the capacity is used up."""
    INTERRUPTED = "interrupted"
    """A run lost its worker, such as a spot instance, and goes on elsewhere."""
    REPLACED = "replaced"
    """Another kind of worker takes the place of one that cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceNotice:
    """An event of the service that runs trials. For readers only: neither History nor schedulers see it."""

    name: ServiceTrouble
    text: str
    """Sentence without a full stop."""
    trial_id: int | None = None
    """The trial that it concerns, if it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One accepted report."""

    metrics: Mapping[str, float]
    resource: int
    time: float
    """Experiment time at which it was handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A searcher's answer."""

    config: Config
    note: Note = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A scheduler's proposal of a new trial."""

    config: Config
    until: int | None = None
    note: Note = field(default_factory=dict[str, Json])
    from_checkpoint: Checkpoint | None = None
    """Begin from this checkpoint of another trial (population based training); None: from scratch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """A scheduler's proposal to resume a paused trial."""

    trial_id: int
    until: int | None = None
    note: Note = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job of a service, for display."""

    name: str
    pool: str
    """Status of its warm pool: ``InUse``, ``Available``, ``Reused``, ``Terminated``; empty without one."""
    is_warm: bool
    """Whether it began on the instances of an earlier job."""
    startup: float | None
    """Service seconds from its creation to its training; None if unknown."""
    why: str = ""
    """Why its own pool was not reused; empty if it was, or without a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSummary:
    """Jobs, service calls, seconds and cost of a backend."""

    jobs: int = 0
    """Number of started runs, replacements included; for a fleet of worker jobs, the number of these jobs."""
    is_total: bool = False
    """Whether the numbers, calls excepted, are of all sessions of the experiment; else of this one."""
    warm_starts: int = 0
    calls: Mapping[str, int] = field(default_factory=dict[str, int])
    """Service requests by operation."""
    billable_seconds: float = 0.0
    pool_idle_seconds: float = 0.0
    spot_saved_seconds: float = 0.0
    """Unbilled time of spot instances; known after the service has published the billed time."""
    interruptions: int = 0
    """Number of spot interruptions."""
    cost: float = 0.0
    """Dollars, running runs included."""
    cost_phases: Mapping[str, float] = field(default_factory=dict[str, float])
    """The same dollars by purpose, such as ``start-up`` and ``pool idle``; empty if unknown."""
    prices: str = ""
    """Origin of the prices behind the dollars, with region and date; empty if unknown."""
    notices: tuple[str, ...] = ()
    """Short status lines for the user, such as "waiting for capacity"."""
    job_records: tuple[JobRecord, ...] = ()
    """All jobs in order of creation; set after the backend is closed."""
