"""Of many that want a run, one gets it, and who lost it finds out."""

# ruff: noqa: N803 - boto3's names

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from tunewright.aws import S3Objects
from tunewright.backends.engine.job_service import JobName, JobOrder
from tunewright.backends.engine.tasks import LeaseWatch
from tunewright.backends.s3.tasks import S3TaskBoard
from tunewright.runner.s3_tasks import S3Lease, TaskQueue
from tunewright.testing.jobs import job_settings
from tunewright.trial import Run


def order(key: str) -> JobOrder:
    name = JobName.parse(key)
    assert name is not None
    return JobOrder(run=Run(trial_id=name.trial_id, attempt=name.attempt), config={}, retry=name.retry)


def test_contested_runs_have_exactly_one_winner(new_client: Callable[[], Any], tmp_path: Any) -> None:
    """Eight workers with connections of their own want the same runs at the same moment; so does the tuner."""
    n_workers, n_runs, prefix = 8, 10, f"contested-{tmp_path.name}"
    board = S3TaskBoard(S3Objects(new_client(), "workers", prefix), job_settings().benchmark)
    for run in range(n_runs):
        board.post(order(f"{run}-0-0"))
    clients = [new_client() for _ in range(n_workers)]
    gate = threading.Barrier(n_workers + 1)

    def want_all(worker: int) -> list[str]:
        queue = TaskQueue(clients[worker], "workers", f"{prefix}/", f"job-{worker}")
        won: list[str] = []
        for run in range(n_runs):
            gate.wait()
            lease = queue.claim(f"{run}-0-0")
            if lease is not None:
                assert queue.renew(lease)
                won.append(lease.run)
        return won

    def want_back() -> list[str]:
        won: list[str] = []
        for run in range(n_runs):
            gate.wait()
            won += [f"{run}-0-0"] if board.withdraw(f"{run}-0-0") else []
        return won

    with ThreadPoolExecutor(n_workers + 1) as pool:
        futures = [pool.submit(want_all, worker) for worker in range(n_workers)] + [pool.submit(want_back)]
        winners = Counter(run for future in futures for run in future.result())
    assert winners == {f"{run}-0-0": 1 for run in range(n_runs)}
    assert board.list_tasks().waiting == set()


STEPS = st.lists(
    st.tuples(st.sampled_from(["claim", "renew", "end", "revoke", "withdraw"]), st.integers(0, 2))
)


@given(STEPS)
def test_a_run_never_has_two_workers(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in which order: two leases are never renewed, and what is over is never taken again."""
    store = MemoryS3()
    board = S3TaskBoard(S3Objects(store, "bucket", "x"), job_settings().benchmark)
    queues = [TaskQueue(store, "bucket", "x/", f"job-{worker}") for worker in range(3)]
    leases: dict[int, S3Lease] = {}
    board.post(order("0-0-0"))
    is_over = False
    for step, worker in steps:
        etag = board.list_tasks().leases.get("0-0-0")
        if step == "claim":
            lease = queues[worker].claim("0-0-0")
            assert lease is None or not is_over
            if lease is not None:
                leases[worker] = lease
                is_over = True  # for everyone else
        elif step == "renew" and worker in leases and not queues[worker].renew(leases[worker]):
            del leases[worker]
        elif step == "end" and worker in leases:
            queues[worker].give_back(leases.pop(worker))
        elif step == "revoke" and etag is not None:
            assert board.revoke("0-0-0", etag)
        elif step == "withdraw" and board.withdraw("0-0-0"):
            is_over = True
        assert sum(queue.renew(leases[n]) for n, queue in enumerate(queues) if n in leases) <= 1


def test_an_answer_that_was_lost_is_no_refusal() -> None:
    """boto3 sends a write again when its answer is lost; its writer must not take the refusal for a loss."""
    store = MemoryS3()
    board = S3TaskBoard(S3Objects(store, "bucket", "x"), job_settings().benchmark)
    queue = TaskQueue(store, "bucket", "x/", "job")
    board.post(order("0-0-0"))
    store.is_answer_lost = True
    lease = queue.claim("0-0-0")
    assert lease is not None
    assert queue.renew(lease)
    assert board.revoke("0-0-0", board.list_tasks().leases["0-0-0"])
    assert not queue.renew(lease)


def test_a_task_that_is_posted_once_more_after_it_was_taken_is_not_run_twice() -> None:
    """The answer to the tuner was lost, and a worker was faster than its second request."""
    store = MemoryS3()
    board = S3TaskBoard(S3Objects(store, "bucket", "x"), job_settings().benchmark)
    queues = [TaskQueue(store, "bucket", "x/", f"job-{worker}") for worker in range(2)]
    board.post(order("0-0-0"))
    lease = queues[0].claim("0-0-0")
    assert lease is not None
    board.post(order("0-0-0"))
    assert queues[1].claim("0-0-0") is None
    queues[0].give_back(lease)
    assert queues[1].waiting() == []
    assert queues[1].claim("0-0-0") is None


def test_a_lease_is_judged_by_its_changes_alone() -> None:
    """No matter what the clocks of workers say: it is stale when it has looked the same for too long."""
    watch = LeaseWatch(patience=10.0)
    assert not watch.is_stale("0-0-0", "a", 100.0)
    assert not watch.is_stale("0-0-0", "a", 109.0)
    assert not watch.is_stale("0-0-0", "b", 112.0)
    assert not watch.is_stale("0-0-0", "b", 122.0)
    assert watch.is_stale("0-0-0", "b", 122.5)
    watch.forget("0-0-0")
    assert not watch.is_stale("0-0-0", "b", 200.0)


class NoSuchKey(ClientError):  # noqa: N818
    """As boto3's clients raise it."""


class MemoryS3:
    """What both sides use of boto3's client, with its errors."""

    exceptions = SimpleNamespace(ClientError=ClientError, NoSuchKey=NoSuchKey)

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._n_writes = 0
        self.is_answer_lost = False

    def put_object(self, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = "", **_: Any) -> Any:
        self._write(Key, Body, IfNoneMatch, IfMatch)
        if self.is_answer_lost:
            self._write(Key, Body, IfNoneMatch, IfMatch)
        return {"ETag": self._objects[Key][1]}

    def _write(self, key: str, body: bytes, none_match: str, match: str) -> None:
        held = self._objects.get(key)
        if (none_match and held) or (match and (held is None or held[1].strip('"') != match.strip('"'))):
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "no"}}, "PutObject")
        self._n_writes += 1
        self._objects[key] = (body, f'"{self._n_writes}"')

    def get_object(self, Key: str, **_: Any) -> Any:
        if Key not in self._objects:
            raise NoSuchKey({"Error": {"Code": "NoSuchKey", "Message": "none"}}, "GetObject")
        body, etag = self._objects[Key]
        return {"Body": SimpleNamespace(read=lambda: body), "ETag": etag}

    def list_objects_v2(self, Prefix: str, **_: Any) -> Any:
        found = sorted(key for key in self._objects if key.startswith(Prefix))
        return {"Contents": [{"Key": key, "Size": 1, "ETag": self._objects[key][1]} for key in found]}

    def delete_object(self, Key: str, **_: Any) -> None:
        self._objects.pop(Key, None)

    def delete_objects(self, Delete: dict[str, Any], **_: Any) -> None:
        for entry in Delete["Objects"]:
            self._objects.pop(entry["Key"], None)
