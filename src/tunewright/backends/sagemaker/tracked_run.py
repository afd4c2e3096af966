"""One run in the backend, from its start to its end."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Final

from tunewright.backends.sagemaker.job_service import JobStatus
from tunewright.backends.sagemaker.requests import JobName, JobOrder
from tunewright.runner.channel import EXITED, PAUSE, STOP, TERMINATED, UNTIL, End, Report
from tunewright.trial import Checkpoint, Ended, Reported, Run

_OWN_ENDS = frozenset({EXITED, UNTIL, PAUSE, STOP})
"""Causes of an end after which no retry follows."""

COLD_BILLED_SECONDS: Final = 30.0
"""Service seconds for which a job that starts instances is billed before its script begins: data and image are loaded."""
WARM_BILLED_SECONDS: Final = 8.0
"""The same on instances that another job had left."""
UPLOAD_BILLED_SECONDS: Final = 5.0
"""Service seconds for which a job is billed after its script."""
_UNSEEN_SECONDS: Final = 30.0
"""How much later than a listing told a job may have got its instances."""

_WITHOUT_INSTANCES = frozenset({"Starting", "Pending", "Interrupted"})
"""Secondary statuses of jobs that wait for their instances."""


@dataclass(slots=True, kw_only=True)
class TrackedRun:
    """A run that has a worker.

    It is queued until its job exists; then the job runs until it is terminal, whatever its runner said before.
    """

    order: JobOrder
    speed: float
    """Service seconds per second, for the bill."""
    first_retry: int = 0
    """Reports of earlier retries were all seen."""
    life: int = 0
    """The newest retry that reported: the job's own, or a later one that the service began under the job's name."""
    n_retries: int = 0
    """Jobs of this session that this one replaces."""
    is_created: bool = False
    """Whether the job exists for all that we know."""
    is_uncertain: bool = False
    """Whether the job may exist: a CreateTrainingJob got no answer."""
    is_attached: bool = False
    """Whether the job was begun by another session, which may have stopped it."""
    created: float = 0.0
    """Seconds since 1970 at which the job was created, by our clock or the service's."""
    billed_from: float = 0.0
    """Seconds since 1970 at which the job was last seen without instances: what came before is not billed."""
    wish: str = ""
    """PAUSE or STOP or RELEASE, once it is wanted."""
    wished_at: float = 0.0
    """Monotonic second of the wish."""
    is_wish_sent: bool = False
    is_stop_sent: bool = False
    """Whether StopTrainingJob was sent."""
    is_withdrawn: bool = False
    """Whether it was taken back before a worker took it."""
    status: JobStatus | None = None
    terminal_since: float | None = None
    """Monotonic second at which the job was first seen terminal."""
    was_searched: bool = False
    reason: str = ""
    """The service's words about the job's failure, once it was asked."""
    end: End | None = None
    is_at_until: bool = False
    """Whether a report says that the run ends by itself."""
    trained: float = 0.0
    """Dollars by the runner's own count at the newest report: it knows nothing of the start-up.

    Each life of the job counts for itself, from the same ``order.cost_before``.
    """
    billed_before: float = 0.0
    """Billed seconds of earlier lives of the job, at their last word."""
    is_warm: bool = False
    """Whether it is known to have begun on instances which another job had left."""
    script_began: float | None = None
    """Seconds since 1970, by the job's clock, at which the script of its newest life began."""
    heard_at: float = 0.0
    """Seconds since 1970 of the newest report."""
    cost: float = 0.0
    """Dollars at the newest report; an estimate that comes to be lower does not take back what was told."""

    @property
    def name(self) -> JobName:
        """Which retry of which run it is at present."""
        return self.order.name

    @property
    def names(self) -> list[JobName]:
        """All retries whose reports count, oldest first."""
        newest = max(self.life, self.order.retry)
        return [replace(self.name, retry=retry) for retry in range(self.first_retry, newest + 1)]

    @property
    def is_over(self) -> bool:
        """Whether the job is terminal."""
        return self.status is not None and self.status.is_terminal

    @property
    def may_run(self) -> bool:
        """Whether there may be a job of it that is not over."""
        return (self.is_created or self.is_uncertain) and not self.is_over

    @property
    def is_cut(self) -> bool:
        """Whether the job is terminal and its script did not come to an end of its own."""
        return self.is_over and not self.wish and (self.end is None or self.end.cause not in _OWN_ENDS)

    @property
    def is_silent(self) -> bool:
        """Whether the job is over, and neither an end of its newest life was seen nor looked for thoroughly."""
        has_end = self.end is not None and self.end.cause != TERMINATED
        return self.is_over and not has_end and not self.was_searched

    def wants(self, wish: str) -> None:
        """Note the first wish for an end; later ones change nothing."""
        if not self.wish:
            self.wish = wish
            self.wished_at = time.monotonic()

    def update(self, status: JobStatus) -> None:
        """Take what a listing says of the job."""
        self.status = status
        self.created = status.created
        self.billed_from = max(self.billed_from, status.created)
        if status.secondary in _WITHOUT_INSTANCES:
            self.billed_from = time.time()
        if status.is_terminal and self.terminal_since is None:
            self.terminal_since = time.monotonic()

    def live_on(self, retry: int) -> None:
        """The service has begun the job again: what ended its life before is not its end."""
        if retry <= max(self.life, self.order.retry):
            return
        price = self.order.dollars_per_hour / 3600
        if price:
            unheard = max(0.0, self.end.cost - self.trained) if self.end else 0.0
            billed = (self.cost + unheard - self.order.cost_before) / price
            self.billed_before = max(self.billed_before, billed)
        self.billed_from = max(self.billed_from, self.heard_at)
        self.trained = self.order.cost_before
        self.script_began = None
        self.life = retry
        self.end = None

    def reported(self, retry: int, seq: int, report: Report) -> Reported:
        """The event of a report."""
        run = self.order.run
        if run.until is not None and report.resource >= run.until:
            self.is_at_until = True
        if retry == max(self.life, self.order.retry):
            self.trained = report.cost
            self.heard_at = report.wall
            self.script_began = self.script_began or report.wall - self._training(report.cost)
            seconds = self._seconds(report.wall, report.cost)
            cost = self.order.cost_before + seconds * self.order.dollars_per_hour / 3600
            self.cost = max(self.cost, cost)
        return Reported(
            trial_id=run.trial_id,
            attempt=run.attempt,
            retry=retry,
            seq=seq,
            resource=report.resource,
            metrics=report.metrics,
            cost=self.cost,
        )

    def ended(
        self, *, exit_code: int | None = None, error: str = "", checkpoint: Checkpoint | None = None
    ) -> Ended:
        """The event of the end: what the runner said, unless it is known better."""
        end = self.end
        run = self.order.run
        code = exit_code if exit_code is not None else (end.exit if end else 0)
        if checkpoint is None and end is not None and end.checkpoint is not None:
            checkpoint = Checkpoint(trial_id=run.trial_id, resource=end.checkpoint)
        return Ended(
            trial_id=run.trial_id,
            attempt=run.attempt,
            exit=code,
            error=error or (end.error if end else ""),
            cost=self.final_cost(),
            checkpoint=checkpoint,
        )

    def billed_seconds(self) -> float:
        """Service seconds that this job is billed for so far, or in all when it is over."""
        if not self.is_created:
            return 0.0
        wall = self.status.ended if self.status and self.status.ended else time.time()
        trained = self.end.cost if self.end else self.trained
        return self._seconds(wall, trained)

    def final_cost(self) -> float:
        """Dollars of the run so far, or in all when its job is over; earlier retries included."""
        cost = self.order.cost_before + self.billed_seconds() * self.order.dollars_per_hour / 3600
        return max(self.cost, cost)

    def retried(self, run: Run, *, newest: int = 0) -> TrackedRun:
        """The next retry, queued.

        Parameters
        ----------
        run
            The same run, from the newest checkpoint.
        newest
            The highest retry that a life of the job has claimed, whether or not it reported.
        """
        number = max(newest, self.life, self.order.retry) + 1
        order = replace(self.order, run=run, retry=number, cost_before=self.final_cost())
        return TrackedRun(
            order=order, speed=self.speed, first_retry=self.first_retry, n_retries=self.n_retries + 1
        )

    def _seconds(self, wall: float, trained: float) -> float:
        """What is billed at a second of 1970's clock, when the runner has counted ``trained`` dollars.

        Training counts as it is, everything else (start-up, download, upload of the newest life) in service seconds.
        Where the service's clock is faster than ours that is what these phases are known to take, because the time
        that processes of this machine need to start must not be multiplied. A job is billed from the moment it has
        its instances: a listing may tell that late, but the beginning of the script shows it.
        """
        training = self._training(trained)
        before = WARM_BILLED_SECONDS if self.is_warm else COLD_BILLED_SECONDS
        begun = self.billed_from
        if self.script_began is not None and math.isfinite(begun):
            begun = min(
                max(begun, self.script_began - before / self.speed), begun + _UNSEEN_SECONDS / self.speed
            )
        rest = max(0.0, wall - begun - training)
        longest = before + (UPLOAD_BILLED_SECONDS if self.is_over else 0.0)
        overhead = rest if self.speed == 1 else min(rest * self.speed, longest)
        return self.billed_before + (training + overhead) * self.order.billed_share

    def _training(self, trained: float) -> float:
        """Seconds of the script when the runner has counted ``trained`` dollars."""
        price = self.order.dollars_per_hour * self.order.billed_share / 3600
        return max(0.0, (trained - self.order.cost_before) / price) if price else 0.0
