"""Many tuners on the request rates of one account: few refused calls, and no tuner starves.

The tuners are played on a virtual clock by the parts that decide when a real one sends a request: its token buckets, its
schedule of listings and its back-off. ``perf/sagemaker/many.py`` measures whole backends in the same way.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from sagemaker_emulator.api.quotas import RequestRates
from sagemaker_emulator.service.errors import ServiceError
from tunewright.aws import TokenBucket
from tunewright.aws.session import SERVICE_RATES
from tunewright.backends.engine.context import ServiceTime
from tunewright.backends.engine.jobs import ListingSchedule
from tunewright.backends.engine.submission import BackOff

CREATE, LIST = "CreateTrainingJob", "ListTrainingJobs"
COLD, WARM, UPLOAD, POOL = 130.0, 20.0, 5.0, 5.0
"""Seconds of a start on new and on warm instances, of an upload, and until instances are a warm pool."""
N_WORKERS, N_REPORTS = 4, 10


class Account:
    """The service's request rates, and the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._rates = RequestRates(1.0, clock=lambda: self.now)

    def accepts(self, operation: str, bucket: TokenBucket) -> bool:
        """Send a request."""
        bucket.acquire()
        self.calls[operation] += 1
        try:
            self._rates.acquire(operation)
        except ServiceError:
            self.refused[operation] += 1
            bucket.throttled()
            return False
        return True


@dataclass
class Job:
    begins: float
    ends: float
    heard: float
    """Of the newest report or listing."""
    is_announced: bool = False

    def listen(self, now: float) -> float:
        """Hear the reports so far; when the next one comes."""
        pause = (self.ends - self.begins) / N_REPORTS
        n_reports = max(0, min(N_REPORTS, int((now - self.begins) / pause + 1e-9)))
        if n_reports:
            self.heard = max(self.heard, self.begins + n_reports * pause)
        self.is_announced = n_reports == N_REPORTS
        return self.begins + (n_reports + 1) * pause


@dataclass(order=True)
class Tuner:
    wakes: float
    number: int
    account: Account = field(compare=False)
    seconds: float = field(compare=False)

    def __post_init__(self) -> None:
        clock = lambda: self.account.now  # noqa: E731
        self.random = np.random.default_rng(self.number)
        self.buckets = {name: TokenBucket(SERVICE_RATES[name], clock=clock) for name in (CREATE, LIST)}
        self.schedule = ListingSchedule(ServiceTime(1.0, 1.0))
        self.back_off = BackOff(seed=self.number)
        self.jobs: list[Job] = []
        self.n_queued, self.n_pools, self.n_ended = N_WORKERS, 0, 0
        self.closed_until = 0.0
        self.waited: list[float] = []
        """Seconds from the ends of runs until their workers were free."""

    def step(self) -> None:
        """Everything that is due; then the next time."""
        now = self.account.now
        times = [self._create(now)] if self.n_queued else []
        times += [job.listen(now) for job in self.jobs if not job.is_announced]
        is_ending = any(job.is_announced for job in self.jobs)
        if is_ending:
            self.schedule.expect_end(now)
        if self.jobs and (delay := self.buckets[LIST].delay()):
            times.append(now + delay)
        elif self.jobs:
            if self.schedule.is_due(now, [job.heard for job in self.jobs], is_ending=is_ending):
                self._list(now)
            times.append(self.schedule.at)
        self.wakes = max(min(times, default=now), now + 0.01)

    def _create(self, now: float) -> float:
        bucket = self.buckets[CREATE]
        if max(self.closed_until, now + bucket.delay()) <= now:
            if self.account.accepts(CREATE, bucket):
                self.back_off.reset()
                self.n_queued -= 1
                begins = now + (WARM if self.n_pools else COLD) * self.random.uniform(0.9, 1.1)
                self.n_pools = max(0, self.n_pools - 1)
                self.jobs.append(Job(begins, begins + self.seconds * self.random.uniform(0.2, 1.8), now))
            else:
                self.closed_until = now + self.back_off.pause()
        return max(self.closed_until, now + bucket.delay())

    def _list(self, now: float) -> None:
        if not self.account.accepts(LIST, self.buckets[LIST]):
            return
        free = [job for job in self.jobs if job.is_announced and now >= job.ends + UPLOAD + POOL]
        self.waited += [now - job.ends for job in free]
        self.jobs = [job for job in self.jobs if job not in free]
        self.n_ended += len(free)
        self.n_queued += len(free)
        self.n_pools += len(free)
        for job in self.jobs:
            job.heard = now


def play(n_tuners: int, *, minutes: float, seconds: float = 300.0) -> tuple[Account, list[Tuner]]:
    """Tuners that begin within a minute; ``seconds`` is the mean time of a run."""
    account = Account()
    begins = np.random.default_rng(0)
    tuners = [Tuner(begins.uniform(0.0, 60.0), number, account, seconds) for number in range(n_tuners)]
    waiting = list(tuners)
    heapq.heapify(waiting)
    while waiting[0].wakes < minutes * 60.0:
        tuner = waiting[0]
        account.now = max(account.now, tuner.wakes)
        tuner.step()
        heapq.heapreplace(waiting, tuner)
    return account, tuners


@pytest.mark.parametrize("seconds", [300.0, 1200.0])
def test_forty_two_tuners_are_seldom_refused_and_none_starves(seconds: float) -> None:
    account, tuners = play(42, minutes=120.0, seconds=seconds)
    assert account.refused.total() < 0.02 * account.calls.total(), (account.calls, account.refused)
    ended = [tuner.n_ended for tuner in tuners]
    assert min(ended) > 0.5 * max(ended)
    waited = sorted(seconds for tuner in tuners for seconds in tuner.waited)
    assert waited[int(0.99 * len(waited))] < 30.0, "a free worker is seen soon"


def test_one_tuner_alone_is_never_refused_and_loses_no_time() -> None:
    account, (tuner,) = play(1, minutes=120.0)
    assert not account.refused
    assert max(tuner.waited) <= UPLOAD + POOL + 6.0
    assert account.calls[LIST] < 6 * tuner.n_ended


def test_a_crowd_beyond_the_limit_still_makes_progress() -> None:
    """Three jobs a second are wanted and one is allowed: nobody gets nothing."""
    account, tuners = play(100, minutes=60.0, seconds=60.0)
    ended = [tuner.n_ended for tuner in tuners]
    assert sum(ended) > 0.6 * 3600
    assert min(ended) > 0.2 * sum(ended) / len(ended)
    assert account.refused.total() < 0.5 * account.calls.total()


def test_pauses_grow_up_to_a_limit_until_a_request_is_accepted() -> None:
    back_off = BackOff(10.0, 40.0, seed=1)
    means = [10.0, 20.0, 40.0, 40.0]
    pauses = [back_off.pause() for _ in means]
    assert all(0.5 * mean <= pause <= 1.5 * mean for mean, pause in zip(means, pauses, strict=True))
    assert len(set(pauses)) == len(pauses)
    back_off.reset()
    assert back_off.pause() <= 15.0


def test_jobs_are_listed_after_an_end_or_a_silence() -> None:
    schedule = ListingSchedule(ServiceTime(1.0, 1.0))
    assert not schedule.is_due(0.0, [0.0], is_ending=False)
    assert not schedule.is_due(60.0, [50.0, 55.0], is_ending=False), "all were heard of within the minute"
    assert schedule.at == 110.0
    assert schedule.is_due(110.0, [50.0, 109.0], is_ending=False)
    schedule.expect_end(115.0)
    assert schedule.at == 120.0, "not at once: its job uploads first"
    assert schedule.is_due(120.0, [119.0], is_ending=True)
    assert not schedule.is_due(124.0, [119.0], is_ending=True)
    assert schedule.is_due(125.0, [119.0], is_ending=True)
