"""The line of slices, and who works on them."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.aws import (
    ServiceError,
)
from tunewright.exceptions import BackendError, SettingsError
from tunewright.remote.launch import Fleet, Slice, SliceState
from tunewright.remote.tuning_job import take_lease


def a_slice(name: str = "RS-toy-0") -> Slice:
    return Slice(tag="t", name=name, label="RS", seed=0, flags=("--method", "RS"), request={"RoleArn": "r"})


class TestLease:
    def test_one_tuning_job_at_a_time(self, session: Any) -> None:
        objects = session.objects("b", "slice")
        session.jobs = {"j-0": "InProgress", "j-1": "InProgress"}
        take_lease(session, objects, "j-0")
        take_lease(session, objects, "j-0")
        with pytest.raises(BackendError, match="j-0 works on this slice"):
            take_lease(session, objects, "j-1")
        session.jobs["j-0"] = "Failed"
        take_lease(session, objects, "j-1")
        with pytest.raises(BackendError, match="j-1"):
            take_lease(session, objects, "j-2")
        del session.jobs["j-1"]
        take_lease(session, objects, "j-2")


class TestFleet:
    def test_the_line(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0"), a_slice("RS-1"), a_slice("RS-2")])
        assert [status.state for status in fleet.look()] == [SliceState.WAITING] * 3
        assert fleet.launch_waiting(fleet.look(), 2) == 2
        assert fleet.launch_waiting(fleet.look(), 2) == 0
        session.quota = 2
        assert fleet.launch_waiting(fleet.look(), None) == 0
        assert "limit" in fleet.full
        session.jobs["t-tuner-RS-0-0"] = "Completed"
        session.objects("b", "tunewright/remote/t/RS-0").put("done.json", b'{"code": 0}')
        assert fleet.launch_waiting(fleet.look(), 2) == 1
        assert not fleet.full
        assert [status.state for status in fleet.look()] == [
            SliceState.FINISHED,
            SliceState.RUNNING,
            SliceState.RUNNING,
        ]

    def test_a_dead_tuning_job_is_launched_again(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0")])
        fleet.launch_waiting(fleet.look(), None)
        session.jobs["t-tuner-RS-0-0"] = "Failed"
        (status,) = fleet.look()
        assert (status.state, status.why) == (SliceState.WAITING, "its tuning job died")
        fleet.launch_waiting([status], None)
        assert fleet.look()[0].jobs == ("t-tuner-RS-0-0", "t-tuner-RS-0-1")
        assert fleet.launch(status)  # another launcher was as quick: the job is there already

    def test_stopping_and_going_on(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0"), a_slice("RS-1")])
        fleet.launch_waiting(fleet.look(), 1)
        fleet.stop(fleet.look())
        assert [status.state for status in fleet.look()] == [SliceState.STOPPING, SliceState.STOPPED]
        session.jobs["t-tuner-RS-0-0"] = "Stopped"
        assert [status.state for status in fleet.look()] == [SliceState.STOPPED, SliceState.STOPPED]
        assert fleet.launch_waiting(fleet.look(), None) == 0
        fleet.resume(fleet.look())
        assert fleet.launch_waiting(fleet.look(), None) == 2

    def test_failures(self, session: Any) -> None:
        fleet = Fleet(session, "b", "t")
        fleet.add([a_slice("RS-0")])
        session.objects("b", "tunewright/remote/t/RS-0").put("done.json", b'{"code": 1}')
        (status,) = fleet.look()
        assert (status.state, status.why) == (SliceState.FAILED, "exit code 1")
        for error, raised in (
            (ServiceError("ResourceLimitExceeded", "is 0 Instances", status=400), BackendError),
            (ServiceError("ValidationException", "no", status=400), BackendError),
            (ServiceError("", "no answer"), ServiceError),
        ):
            session.error = error
            with pytest.raises(raised):
                fleet.launch(status)
        session.error = ServiceError("ThrottlingException", "Rate exceeded", status=400)
        assert not fleet.launch(status)

    def test_a_launch_of_another_version(self, session: Any) -> None:
        session.objects("b", "tunewright/remote/t/RS-0").put("slice.json", b'{"schema": 99}')
        with pytest.raises(SettingsError, match="another version"):
            Fleet(session, "b", "t").look()
