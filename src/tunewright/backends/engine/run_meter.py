"""The estimate of a job's bill while it runs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import final

from tunewright.backends.engine.job_service import JobStatus
from tunewright.runner.channel import End, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheads:
    """Billed time of a job beside the training of its script, in service seconds."""

    cold_start: float = 0.0
    """From the instances' start to that of the script."""
    warm_start: float = 0.0
    """The same on instances that another job left."""
    upload: float = 0.0
    """After the script."""
    unseen_start: float = 0.0
    """Longest delay of a listing that shows the instances' start."""


@final
class RunMeter:
    """Estimates the bill of one job from its listings and its runner's own count of dollars.

    Training counts as the runner measured it; all other time (start-up, download, upload of the newest restart) counts in
    service seconds. If the service's clock is faster than ours, that time is capped by the known overheads, because the
    time that processes of this machine need to start must not be multiplied. A job is billed from the moment it has
    its instances: a listing may show that late, but the beginning of the script shows it.

    Parameters
    ----------
    dollars_per_hour
        Of all instances of the job, on demand.
    billed_share
        Part of the time that is taken to be billed.
    cost_before
        Dollars of the run's earlier retries.
    speed
        Service seconds per second.
    overheads
        None: training alone is billed, since the instances belong to workers.
    """

    def __init__(
        self,
        *,
        dollars_per_hour: float,
        billed_share: float = 1.0,
        cost_before: float = 0.0,
        speed: float,
        overheads: Overheads | None,
    ) -> None:
        self._price = dollars_per_hour / 3600
        self._billed_share = billed_share
        self._cost_before = cost_before
        self._speed = speed
        self._overheads = overheads
        self._billed_from = 0.0 if overheads else math.inf
        """Seconds since 1970 at which the job was last seen without instances."""
        self._billed_before = 0.0
        """Billed seconds of earlier restarts of the job, at their last message."""
        self._trained = 0.0
        """Dollars by the runner's count, which does not include the start-up; each restart counts from zero."""
        self._script_began: float | None = None
        """Seconds since 1970, by the runner's clock, of the newest restart's script."""
        self._cost = 0.0
        """Dollars at the newest report; a lower estimate later does not reduce it."""
        self.reported_at = 0.0
        """Seconds since 1970 of the newest report; 0: none."""
        self.is_warm = False
        """Whether the job is known to have started on instances that another job left."""

    @property
    def cost(self) -> float:
        """Dollars of the run at the newest report, earlier retries included."""
        return self._cost

    def start(self, wall: float) -> None:
        """The job was created, or still had no instances, at ``wall`` seconds since 1970."""
        if self._overheads is not None:
            self._billed_from = max(self._billed_from, wall)

    def report(self, report: Report, *, is_over: bool) -> None:
        """Update the estimate by a report of the newest restart."""
        self._trained = report.cost
        self.reported_at = report.wall
        self._script_began = self._script_began or report.wall - self._training(report.cost)
        seconds = self._seconds(report.wall, report.cost, is_over=is_over)
        self._cost = max(self._cost, self._cost_before + seconds * self._price)

    def train(self, seconds: float) -> None:
        """The job has trained for so many real seconds, by our own clock."""
        self._trained = self._cost_before + seconds * self._price * self._billed_share

    def restart(self, end: End | None) -> None:
        """The engine has started the job again after ``end``."""
        if self._price:
            unreported = max(0.0, end.cost - self._trained) if end else 0.0
            billed = (self._cost + unreported - self._cost_before) / self._price
            self._billed_before = max(self._billed_before, billed)
        self.start(self.reported_at)
        self._trained = self._cost_before
        self._script_began = None

    def seconds(self, end: End | None, status: JobStatus | None, *, is_over: bool) -> float:
        """Billed service seconds so far, or in total if the job has ended."""
        wall = status.ended if status and status.ended else time.time()
        return self._seconds(wall, end.cost if end else self._trained, is_over=is_over)

    def total(self, billed_seconds: float) -> float:
        """Dollars of the run, earlier retries included, never less than at the newest report."""
        return max(self._cost, self._cost_before + billed_seconds * self._price)

    def _seconds(self, wall: float, trained: float, *, is_over: bool) -> float:
        training = self._training(trained)
        overhead = 0.0
        if self._overheads is not None:
            overhead = self._overhead(self._overheads, wall, training, is_over=is_over)
        return self._billed_before + (training + overhead) * self._billed_share

    def _overhead(self, known: Overheads, wall: float, training: float, *, is_over: bool) -> float:
        before = known.warm_start if self.is_warm else known.cold_start
        begun = self._billed_from
        if self._script_began is not None:
            latest = begun + known.unseen_start / self._speed
            begun = min(max(begun, self._script_began - before / self._speed), latest)
        rest = max(0.0, wall - begun - training)
        if self._speed == 1:
            return rest
        return min(rest * self._speed, before + (known.upload if is_over else 0.0))

    def _training(self, trained: float) -> float:
        """Seconds of the script at ``trained`` dollars of the runner's count."""
        price = self._price * self._billed_share
        return max(0.0, (trained - self._cost_before) / price) if price else 0.0
