"""The backend of workers on an in-memory AWS: what it creates, whom it trusts, what it does about losses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import ServiceError
from tunewright.backends.engine.tasks import LeaseWatch
from tunewright.backends.sagemaker.workers import WorkerSettings
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner.channel import RELEASE
from tunewright.testing.jobs import job_settings
from tunewright.trial import Checkpoint, Decision, OpenRun, Reported, Run, Verdict

LIMIT = ServiceError("ResourceLimitExceeded", "the limit is 4 Instances", status=400)


def start(fleet: Any, *trial_ids: int, until: int | None = None) -> None:
    for trial_id in trial_ids:
        fleet.backend.start(Run(trial_id=trial_id, attempt=0, until=until), {"lr": 0.1})


def sizes(fleet: Any) -> list[int]:
    return [job["ResourceConfig"]["InstanceCount"] for _, job in sorted(fleet.aws.jobs.items())]


def retries(fleet: Any) -> list[tuple[int, int]]:
    return [(e.retry, e.resource) for e in fleet.events if isinstance(e, Reported)]


def test_a_run_from_start_to_end(fleet: Any) -> None:
    """The task says all; nothing is asked of the service for the run."""
    start(fleet, 0, until=2)
    assert fleet.backend.free_workers() == 1
    worker = fleet.worker()
    task = worker.take("0-0-0")
    assert (task["config"], task["facts"]["until"], task["facts"]["source"]) == ({"lr": 0.1}, 2, None)
    worker.report("0-0-0", 1)
    worker.end("0-0-0", 2, checkpoint=1)
    ended = fleet.until_ended(0)
    assert (ended.exit, ended.error, ended.checkpoint) == (0, "", Checkpoint(trial_id=0, resource=1))
    assert ended.cost == pytest.approx(0.01)
    assert fleet.backend.free_workers() == 2
    assert fleet.aws.calls["CreateTrainingJob"] == 1
    assert "DescribeTrainingJob" not in fleet.aws.calls


@pytest.mark.parametrize(("n_workers", "expected"), [(1, [1]), (2, [1, 1]), (8, [4, 4]), (50, [17, 17, 16])])
def test_jobs_are_few_and_at_least_two(
    make_fleet: Callable[..., Any], n_workers: int, expected: list[int]
) -> None:
    """One dead instance fails its whole job, and a job has at most twenty."""
    fleet = make_fleet(n_workers=n_workers)
    start(fleet, *range(n_workers))
    fleet.until(lambda: len(fleet.aws.jobs) == len(expected))
    fleet.rounds()
    assert sizes(fleet) == expected


def test_trials_share_an_instance(make_fleet: Callable[..., Any]) -> None:
    """As many as were asked for; each pays its share."""
    fleet = make_fleet(n_workers=8, trials_per_instance=4, price_per_hour=4.0)
    start(fleet, *range(8))
    fleet.until(lambda: len(fleet.aws.jobs) == 2)
    assert sizes(fleet) == [1, 1]
    (first, _) = sorted(fleet.aws.jobs)
    assert json.loads(fleet.aws.jobs[first]["Environment"]["TUNEWRIGHT_WORKER"])["slots"] == 4
    assert fleet.worker().take("3-0-0")["facts"]["dollars_per_hour"] == 1.0


def test_runs_may_wait_for_the_next_free_worker(make_fleet: Callable[..., Any]) -> None:
    """They are posted beside those that run, take no instance of their own, and are taken at once."""
    fleet = make_fleet(n_workers=2, workers=WorkerSettings(ahead=1, shortest_lease=1e6))
    assert fleet.backend.free_workers() == 3
    start(fleet, *range(3))
    assert fleet.backend.free_workers() == 0
    workers = [fleet.worker(0), fleet.worker(1)]
    for number, worker in enumerate(workers):
        fleet.until_posted(f"{number}-0-0")
        worker.take(f"{number}-0-0")
    fleet.until_posted("2-0-0")
    fleet.rounds()
    assert sizes(fleet) == [1, 1]
    workers[0].end("0-0-0", 1)
    workers[0].take("2-0-0")
    fleet.until_ended(0)
    assert fleet.backend.free_workers() == 1
    workers[0].end("2-0-0", 1)
    assert fleet.until_ended(2).exit == 0


def test_a_smaller_job_is_tried_where_there_is_no_room(make_fleet: Callable[..., Any]) -> None:
    """A quota of four instances serves four of eight workers."""
    fleet = make_fleet(n_workers=16)
    fleet.aws.refusals["CreateTrainingJob"] = [LIMIT]
    start(fleet, *range(16))
    fleet.until(lambda: len(fleet.aws.jobs) >= 2)
    assert sizes(fleet)[0] == 4
    assert any("limit" in notice for notice in fleet.backend.summary().notices)


def test_a_lost_job_loses_no_run(fleet: Any) -> None:
    """Its runs go on at once, from their newest checkpoints, on another job; the scheduler never hears of it."""
    start(fleet, 0)
    fleet.worker().take("0-0-0")
    lost = fleet.worker()
    lost.report("0-0-0", 1)
    lost.report("0-0-0", 2)
    fleet.checkpoint(0, 1)
    (name,) = fleet.aws.jobs
    fleet.aws.end(name, "Failed", FailureReason="InternalServerError: try again")
    fleet.until_posted("0-0-1")
    second = fleet.worker(1)
    facts = second.take("0-0-1")["facts"]
    assert (facts["retry"], facts["resume_from"], facts["source"]) == (1, 1, [0, 1])
    lost.report("0-0-0", 3)  # it was cut from us, and goes on for a while
    second.report("0-0-1", 1, 2)
    second.end("0-0-1", 2)
    assert fleet.until_ended(0).exit == 0
    assert set(retries(fleet)) == {(0, 1), (0, 2), (0, 3), (1, 2)}


def test_a_silent_worker_loses_its_run(
    make_fleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that is not renewed is taken away, once; its worker is told when it comes back."""
    lease, now, judge = 1e6, [0.0], LeaseWatch.is_stale
    monkeypatch.setattr(LeaseWatch, "is_stale", lambda *given: judge(*given[:-1], now[0]))
    fleet = make_fleet(workers=WorkerSettings(shortest_lease=lease))

    def has_gone_on() -> bool:
        now[0] += 1.1 * lease
        return bool(fleet.has("tasks/0-0-1"))

    start(fleet, 0)
    silent = fleet.worker()
    silent.take("0-0-0")
    fleet.until(has_gone_on)
    assert not silent.queue.renew(silent.leases["0-0-0"])
    assert not fleet.has("leases/0-0-0")
    other = fleet.worker(1)  # the job of the silent one is given up
    other.take("0-0-1")
    for _ in range(5):
        assert other.queue.renew(other.leases["0-0-1"])
        now[0] += 0.9 * lease
        fleet.rounds(3)
    other.end("0-0-1", 1)
    assert fleet.until_ended(0).exit == 0


def test_runs_are_lost_no_more_often_than_allowed(make_fleet: Callable[..., Any]) -> None:
    fleet = make_fleet(max_retries=1)
    start(fleet, 0)
    worker = fleet.worker()
    for retry in range(2):
        fleet.until_posted(f"0-0-{retry}")
        worker.take(f"0-0-{retry}")
        worker.queue.give_back(worker.leases[f"0-0-{retry}"])
    ended = fleet.until_ended(0)
    assert ended.exit == 1
    assert "lost" in ended.error


def test_a_handed_over_run_goes_on(fleet: Any) -> None:
    """An end by the worker, not by the run, is followed by a retry."""
    start(fleet, 0)
    worker = fleet.worker()
    worker.take("0-0-0")
    fleet.checkpoint(0, 5)
    worker.end("0-0-0", 1, cause=RELEASE, checkpoint=5)
    fleet.until_posted("0-0-1")
    assert worker.take("0-0-1")["facts"]["resume_from"] == 5


def test_a_script_that_fails_fails_its_trial_only(fleet: Any) -> None:
    start(fleet, 0)
    worker = fleet.worker()
    worker.take("0-0-0")
    worker.end("0-0-0", 1, code=3)
    ended = fleet.until_ended(0)
    assert (ended.exit, ended.error) == (3, "it broke")


def test_a_run_that_waits_is_taken_back(fleet: Any) -> None:
    """No worker will find it, and nothing is left of it."""
    start(fleet, 0)
    fleet.until_posted("0-0-0")
    fleet.backend.stop(0)
    assert fleet.until_ended(0).exit == 0
    assert not fleet.has("tasks/0-0-0")
    assert not fleet.has("leases/0-0-0")
    assert not fleet.has("control/0-0-0")


def test_a_run_that_runs_is_asked(fleet: Any) -> None:
    """By the same key as in jobs mode."""
    start(fleet, 0)
    worker = fleet.worker()
    worker.take("0-0-0")
    fleet.backend.pause(0)
    fleet.until(lambda: fleet.has("control/0-0-0"))
    assert fleet.backend.free_workers() == 1
    worker.end("0-0-0", 1, cause="pause", checkpoint=3)
    assert fleet.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=3)


def test_a_run_that_does_not_obey_is_taken_away(make_fleet: Callable[..., Any]) -> None:
    fleet = make_fleet(stop_grace=0.0)
    start(fleet, 0)
    worker = fleet.worker()
    worker.take("0-0-0")
    fleet.checkpoint(0, 2)
    fleet.rounds()
    fleet.backend.stop(0)
    assert fleet.until_ended(0).checkpoint == Checkpoint(trial_id=0, resource=2)
    assert not worker.queue.renew(worker.leases["0-0-0"])


def test_spare_jobs_are_drained_and_come_back(make_fleet: Callable[..., Any]) -> None:
    """They would be billed for nothing."""
    workers = WorkerSettings(idle_seconds=1e-3, shortest_idle=0.05, shortest_lease=1e6)
    fleet = make_fleet(workers=workers)
    start(fleet, 0, 1)
    fleet.until(lambda: len(fleet.aws.jobs) == 2)
    worker = fleet.worker()
    for run in ("0-0-0", "1-0-0"):
        worker.take(run)
    worker.end("1-0-0", 1)
    fleet.until_ended(1)
    fleet.until(lambda: fleet.has("control/worker-0") or fleet.has("control/worker-1"))
    fleet.rounds(20)
    assert not (fleet.has("control/worker-0") and fleet.has("control/worker-1"))
    start(fleet, 2)
    fleet.until(lambda: len(fleet.aws.jobs) == 3)


def test_a_job_is_followed_before_its_deadline(make_fleet: Callable[..., Any]) -> None:
    """Its workers take no more runs towards its end."""
    fleet = make_fleet(workers=WorkerSettings(job_seconds=60, shortest_lease=1e6), n_workers=1)
    start(fleet, 0)
    worker = fleet.worker()
    worker.take("0-0-0")
    told = json.loads(next(iter(fleet.aws.jobs.values()))["Environment"]["TUNEWRIGHT_WORKER"])
    assert told["take_seconds"] < told["hand_over_seconds"] < 60
    fleet.backend.close()
    open_run = OpenRun(run=Run(trial_id=0, attempt=0), config={"lr": 0.1}, started_at=0.0)
    (job,) = fleet.aws.jobs.values()
    job["TrainingJobStatus"] = "InProgress"
    later = make_fleet([open_run], workers=WorkerSettings(job_seconds=60, shortest_lease=1e6), n_workers=1)
    later.until(lambda: len(fleet.aws.jobs) == 2)


def test_jobs_that_fail_by_themselves_end_the_experiment(fleet: Any) -> None:
    """An image without Python, say; the reason is told."""
    start(fleet, 0)

    def fail_all() -> None:
        while True:
            for name, job in list(fleet.aws.jobs.items()):
                if job["TrainingJobStatus"] == "InProgress":
                    fleet.aws.end(name, "Failed", FailureReason="AlgorithmError: python3 not found")
            fleet.backend.wait(0.01)

    with pytest.raises(BackendError, match="python3 not found"):
        fail_all()
    assert len(fleet.aws.jobs) == 3


def test_a_new_experiment_of_an_old_name_gets_no_old_workers(
    fleet: Any, make_fleet: Callable[..., Any]
) -> None:
    start(fleet, 0)
    fleet.worker().take("0-0-0")
    second = make_fleet()
    start(second, 0)
    with pytest.raises(BackendError, match="name of this experiment is taken"):
        second.rounds(1)


class TestAttach:
    def open_run(self, **more: Any) -> OpenRun:
        return OpenRun(run=Run(trial_id=0, attempt=0), config={"lr": 0.1}, started_at=0.0, **more)

    def test_a_running_run_is_adopted_with_its_job(self, fleet: Any, make_fleet: Callable[..., Any]) -> None:
        """Reports that were seen are not told again; no job is created."""
        start(fleet, 0)
        worker = fleet.worker()
        worker.take("0-0-0")
        for seq in (1, 2):
            worker.report("0-0-0", seq)
        second = make_fleet([self.open_run(seen=1, seen_resource=1)])
        worker.report("0-0-0", 3)
        worker.end("0-0-0", 4)
        second.until_ended(0)
        assert retries(second) == [(0, 2), (0, 3)]
        assert second.aws.calls["CreateTrainingJob"] == 1

    def test_workers_with_other_code_take_no_more_runs(
        self, fleet: Any, make_fleet: Callable[..., Any], script: str
    ) -> None:
        start(fleet, 0)
        worker = fleet.worker()
        worker.take("0-0-0")
        Path(script).write_text("print('another training')\n")
        second = make_fleet([self.open_run()])
        second.until(lambda: len(second.aws.jobs) == 2)
        assert second.has("control/worker-0")
        worker.end("0-0-0", 1)
        assert second.until_ended(0).exit == 0
        assert any("The code has changed" in notice for notice in second.backend.summary().notices)

    def test_a_run_that_ended_meanwhile_is_told(self, fleet: Any, make_fleet: Callable[..., Any]) -> None:
        start(fleet, 0)
        worker = fleet.worker()
        worker.take("0-0-0")
        worker.report("0-0-0", 1)
        worker.end("0-0-0", 2, code=3)
        second = make_fleet([self.open_run()])
        assert second.until_ended(0).exit == 3
        assert retries(second) == [(0, 1)]
        assert not second.has("tasks/0-0-1")

    def test_a_run_that_was_lost_meanwhile_goes_on(self, fleet: Any, make_fleet: Callable[..., Any]) -> None:
        """There is a report of it, but no worker and no end."""
        start(fleet, 0)
        worker = fleet.worker()
        worker.take("0-0-0")
        worker.report("0-0-0", 1)
        worker.queue.give_back(worker.leases["0-0-0"])
        second = make_fleet([self.open_run(seen=1, seen_resource=1)])
        second.until_posted("0-0-1")

    def test_a_run_without_a_trace_is_posted(self, make_fleet: Callable[..., Any]) -> None:
        make_fleet([self.open_run()]).until_posted("0-0-0")

    def test_fewer_workers_than_there_were_ask_for_no_less_than_nothing(
        self, make_fleet: Callable[..., Any]
    ) -> None:
        """One of two jobs is gone, and the other one alone has more instances than are needed now."""
        first = make_fleet(n_workers=6)
        start(first, *range(6))
        first.until(lambda: len(first.aws.jobs) == 2)
        assert sizes(first) == [3, 3]
        first.aws.end(sorted(first.aws.jobs)[0], "Stopped")
        runs = [OpenRun(run=Run(trial_id=n, attempt=0), config={"lr": 0.1}, started_at=0.0) for n in range(6)]
        second = make_fleet(runs, n_workers=1)
        second.rounds(20)
        assert sizes(second) == [3, 3]

    def test_a_verdict_is_carried_out(self, fleet: Any, make_fleet: Callable[..., Any]) -> None:
        start(fleet, 0)
        worker = fleet.worker()
        worker.take("0-0-0")
        verdict = Verdict(decision=Decision.PAUSE)
        second = make_fleet([self.open_run(verdict=verdict, verdict_at=1.0)])
        second.until(lambda: second.has("control/0-0-0"))


def test_what_workers_cannot_do_is_refused(make_fleet: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="--execution jobs"):
        make_fleet(instance_count=2)
    with pytest.raises(SettingsError, match="trials_per_instance"):
        make_fleet(trials_per_instance=0)
    for wrong in ({"ahead": -1}, {"job_seconds": 1}, {"lease_seconds": 0.0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            WorkerSettings(**wrong)


@pytest.mark.parametrize(("given", "expected"), [(7200, 7200), (None, 3600 + 24 * 3600)])
def test_max_wait_of_spot_workers_is_that_of_their_jobs(
    make_fleet: Callable[..., Any], given: int | None, expected: int
) -> None:
    """A job that may wait for less than its own time would never come to its end."""
    workers = WorkerSettings(job_seconds=3600, shortest_lease=1e6)
    spot: dict[str, Any] = {"spot": True, "max_run": 600, "workers": workers}
    with pytest.raises(SettingsError, match="at least the time of one, 3600 s"):
        make_fleet(max_wait=1800, **spot)
    fleet = make_fleet(max_wait=given, **spot)
    start(fleet, 0)
    fleet.worker()
    (job,) = fleet.aws.jobs.values()
    assert job["fields"]["StoppingCondition"]["MaxWaitTimeInSeconds"] == expected


def test_requests_are_legal(fleet: Any) -> None:
    """By botocore's own model of CreateTrainingJob."""
    import botocore.session
    from botocore.validate import ParamValidator

    start(fleet, 0)
    fleet.worker()
    (job,) = fleet.aws.jobs.values()
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateTrainingJob").input_shape
    assert not ParamValidator().validate(job["fields"], shape).has_errors()
    assert job["fields"]["AlgorithmSpecification"]["ContainerArguments"][-2] == "worker"
    assert job_settings().max_run == json.loads(job["Environment"]["TUNEWRIGHT_WORKER"])["max_run_seconds"]


def test_phases_name_the_worker(fleet: Any) -> None:
    """The worker is warm for its second run."""
    start(fleet, 0)
    worker = fleet.worker()
    for trial_id, is_warm in ((0, False), (1, True)):
        if trial_id:
            start(fleet, trial_id)
        run = f"{trial_id}-0-0"
        fleet.until_posted(run)
        worker.take(run)
        worker.report(run, 1, is_warm=is_warm)
        worker.report(run, 2)
        worker.end(run, 3)
        fleet.until_ended(trial_id)
    found = [(phase.trial_id, phase.worker, phase.name.value, phase.warm) for phase in fleet.phases]
    assert found == [(0, worker.name, "training", False), (1, worker.name, "training", True)]
