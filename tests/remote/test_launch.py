"""The line of slices, and who works on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tunewright.aws import (
    ServiceError,
)
from tunewright.exceptions import BackendError, SettingsError
from tunewright.remote.cleanup import clear_experiments
from tunewright.remote.launch import RemoteLaunch, Slice, SliceState
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


class TestLaunch:
    def test_the_line(self, session: Any) -> None:
        launch = RemoteLaunch(session, "b", "t")
        launch.add([a_slice("RS-0"), a_slice("RS-1"), a_slice("RS-2")])
        assert [status.state for status in launch.look()] == [SliceState.WAITING] * 3
        assert launch.launch_waiting(launch.look(), 2) == 2
        assert launch.launch_waiting(launch.look(), 2) == 0
        session.quota = 2
        assert launch.launch_waiting(launch.look(), None) == 0
        assert "limit" in launch.full
        session.jobs["t-tuner-RS-0-0"] = "Completed"
        session.objects("b", "tunewright/remote/t/RS-0").put("done.json", b'{"code": 0}')
        assert launch.launch_waiting(launch.look(), 2) == 1
        assert not launch.full
        assert [status.state for status in launch.look()] == [
            SliceState.FINISHED,
            SliceState.RUNNING,
            SliceState.RUNNING,
        ]

    def test_a_dead_tuning_job_is_launched_again(self, session: Any) -> None:
        launch = RemoteLaunch(session, "b", "t")
        launch.add([a_slice("RS-0")])
        launch.launch_waiting(launch.look(), None)
        session.jobs["t-tuner-RS-0-0"] = "Failed"
        (status,) = launch.look()
        assert (status.state, status.why) == (SliceState.WAITING, "its tuning job died")
        launch.launch_waiting([status], None)
        assert launch.look()[0].jobs == ("t-tuner-RS-0-0", "t-tuner-RS-0-1")
        assert launch.launch(status)  # another launcher was as quick: the job is there already

    def test_stopping_and_going_on(self, session: Any) -> None:
        launch = RemoteLaunch(session, "b", "t")
        launch.add([a_slice("RS-0"), a_slice("RS-1")])
        launch.launch_waiting(launch.look(), 1)
        launch.stop(launch.look())
        assert [status.state for status in launch.look()] == [SliceState.STOPPING, SliceState.STOPPED]
        session.jobs["t-tuner-RS-0-0"] = "Stopped"
        assert [status.state for status in launch.look()] == [SliceState.STOPPED, SliceState.STOPPED]
        assert launch.launch_waiting(launch.look(), None) == 0
        launch.resume(launch.look())
        assert launch.launch_waiting(launch.look(), None) == 2

    def test_a_request_that_was_changed_in_s3_is_not_sent(self, session: Any) -> None:
        launch = RemoteLaunch(session, "b", "t")
        launch.add([a_slice("RS-0")])
        changed = replace(a_slice("RS-0"), request={"RoleArn": "admin"})
        session.objects("b", "tunewright/remote/t/RS-0").put("slice.json", changed.to_bytes())
        again = RemoteLaunch(session, "b", "t", launch.requests)
        with pytest.raises(BackendError, match=r"slice\.json was changed \(RoleArn\)"):
            again.launch_waiting(again.look(), None)
        with pytest.raises(SettingsError, match="other settings than this command: RoleArn"):
            again.add([a_slice("RS-0")])
        assert session.jobs == {}

    def test_a_request_that_lies_in_s3_is_not_sent_from_another_machine(self, session: Any) -> None:
        RemoteLaunch(session, "b", "t").add([a_slice("RS-0")])
        elsewhere = RemoteLaunch(session, "b", "t")
        with pytest.raises(BackendError, match=r"no request of the slice RS-0.*--resume"):
            elsewhere.launch_waiting(elsewhere.look(), None)
        elsewhere.add([a_slice("RS-0")])
        assert elsewhere.launch_waiting(elsewhere.look(), None) == 1

    def test_slices_go_on_with_the_code_of_now(self, session: Any) -> None:
        def with_code(digest: str) -> Slice:
            source = {"S3DataSource": {"S3Uri": f"s3://b/code/{digest}/"}}
            request = {
                "AlgorithmSpecification": {"ContainerArguments": ["-c", digest]},
                "Environment": {"TUNEWRIGHT_CODE": digest, "A": "1"},
                "InputDataConfig": [{"ChannelName": "code", "DataSource": source}],
            }
            return replace(a_slice("RS-0"), request=request)

        launch = RemoteLaunch(session, "b", "t")
        launch.add([with_code("old")])
        launch.add([with_code("new")])
        assert launch.launch_waiting(launch.look(), None) == 1
        assert session.requests["t-tuner-RS-0-0"]["Environment"]["TUNEWRIGHT_CODE"] == "new"

    def test_failures(self, session: Any) -> None:
        launch = RemoteLaunch(session, "b", "t")
        launch.add([a_slice("RS-0")])
        session.objects("b", "tunewright/remote/t/RS-0").put("done.json", b'{"code": 1}')
        (status,) = launch.look()
        assert (status.state, status.why) == (SliceState.FAILED, "exit code 1")
        for error, raised in (
            (ServiceError("ResourceLimitExceeded", "is 0 Instances", status=400), BackendError),
            (ServiceError("ValidationException", "no", status=400), BackendError),
            (ServiceError("", "no answer"), ServiceError),
        ):
            session.error = error
            with pytest.raises(raised):
                launch.launch(status)
        session.error = ServiceError("ThrottlingException", "Rate exceeded", status=400)
        assert not launch.launch(status)

    def test_a_launch_of_another_version(self, session: Any) -> None:
        session.objects("b", "tunewright/remote/t/RS-0").put("slice.json", b'{"schema": 99}')
        with pytest.raises(SettingsError, match="another version"):
            RemoteLaunch(session, "b", "t").look()


class TestCleanup:
    def test_only_jobs_of_the_launch_are_ended(self, session: Any) -> None:
        """By their whole names and their tags: anybody who writes to the bucket could name experiments of others."""
        own, production = "t-RS-toy-0-20261129-101010-0a0b", "prod-20261129-101010-0a0b"
        of_own = {"tunewright:experiment": own}
        session.tags = {
            f"{own}-0-0-0": of_own,
            f"{own}-w-0-4-0": of_own,
            f"{own}-others-0-0-0": of_own,
            f"{own}-1-0-0": {"tunewright:experiment": "others"},
            f"{own}-2-0-0": {},
            f"{production}-0-0-0": {"tunewright:experiment": production},
        }
        session.jobs = dict.fromkeys(session.tags, "InProgress")
        assert clear_experiments(session, [own, production], "t") == (2, 0)
        stopped = {name for name, status in session.jobs.items() if status == "Stopping"}
        assert stopped == {f"{own}-0-0-0", f"{own}-w-0-4-0"}
