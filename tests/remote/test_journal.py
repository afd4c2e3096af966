"""Journals and folders in S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import S3Objects, ServiceError, StoredObject
from tunewright.aws.mirror import (
    LEASE_SECONDS,
    SEGMENT_BYTES,
    FolderMirror,
    Lease,
    RemoteJournal,
    Segments,
    StoredRequests,
    fetch_experiment,
    open_mirrored,
    read_segments,
)
from tunewright.events import EndEvent, Header, ReportDecision, ResultEvent, SessionEvent, StartEvent
from tunewright.exceptions import JournalError, SettingsError
from tunewright.journal import FileJournal, Journal
from tunewright.remote.launch import RemoteLaunch
from tunewright.remote.mirror import send_request, withdraw_request
from tunewright.requests import RequestInbox, StopExperiment, StopTrial, TryConfig, read_requests
from tunewright.storage import ExperimentFolder
from tunewright.trial import Checkpoint, TrialStatus


def start(**note: str) -> StartEvent:
    return StartEvent(
        t=0.0,
        wall=0.0,
        trial_id=1,
        attempt=0,
        config={},
        until=None,
        from_checkpoint=None,
        note=note,
        suggest_time=0.0,
    )


def result(decision: ReportDecision) -> ResultEvent:
    return ResultEvent(
        t=0.0,
        wall=0.0,
        trial_id=1,
        attempt=0,
        retry=0,
        seq=1,
        resource=1,
        metrics={"loss": 1.0},
        decision=decision,
        reason="",
        cost=0.0,
    )


class TestJournal:
    def open(self, tmp_path: Path, s3: Any) -> RemoteJournal:
        objects = S3Objects(s3, "b", "e")
        journal = FileJournal(tmp_path / "journal.jsonl", Header(experiment="e"))
        segments = Segments(objects, (tmp_path / "journal.jsonl").read_bytes())
        return RemoteJournal(journal, segments, FolderMirror(tmp_path, objects), lambda: None)

    def stored(self, s3: Any) -> bytes:
        return read_segments(S3Objects(s3, "b", "e"))

    def test_a_line_with_an_effect_is_in_s3_before_it(self, tmp_path: Path, s3: Any) -> None:
        journal = self.open(tmp_path, s3)
        path = tmp_path / "journal.jsonl"
        assert self.stored(s3) == path.read_bytes()
        journal.append(result(ReportDecision.CONTINUE))
        journal.append(start())
        assert self.stored(s3) == path.read_bytes()
        for decision in (ReportDecision.PAUSE, ReportDecision.STOP):
            journal.append(result(decision))
            assert self.stored(s3) == path.read_bytes()
        assert [event.kind for event in journal.events()] == ["result", "start", "result", "result"]
        journal.append(SessionEvent(t=0.0, wall=0.0, event="begin"))
        (tmp_path / "metadata.json").write_text("{}")
        journal.close()
        assert self.stored(s3) == path.read_bytes()
        assert s3.content["e/metadata.json"] == b"{}"

    def test_a_checkpoint_is_in_s3_before_the_line_that_promises_it(self, tmp_path: Path, s3: Any) -> None:
        journal = self.open(tmp_path, s3)
        checkpoint = tmp_path / "trials" / "0" / "checkpoints" / "3" / "model"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text("weights")
        (tmp_path / "other").write_text("x")
        journal.append(
            EndEvent(
                t=0.0,
                wall=0.0,
                trial_id=0,
                attempt=0,
                status=TrialStatus.PAUSED,
                error="",
                cost=0.0,
                checkpoint=Checkpoint(trial_id=0, resource=3),
            )
        )
        assert s3.content["e/trials/0/checkpoints/3/model"] == b"weights"
        assert "e/other" not in s3.content
        journal.close()
        assert "e/other" in s3.content

    def test_without_s3_nothing_has_an_effect(self, tmp_path: Path, s3: Any) -> None:
        journal = self.open(tmp_path, s3)
        s3.fails = True
        with pytest.raises(JournalError, match="--resume"):
            journal.append(start())
        with pytest.raises(JournalError, match="S3"):
            journal.close()

    def test_pieces_are_small_and_a_second_job_goes_on(self, tmp_path: Path, s3: Any) -> None:
        journal = self.open(tmp_path, s3)
        for _ in range(3):
            journal.append(start(pad="x" * SEGMENT_BYTES))
        journal.close()
        self.open(tmp_path, s3).close()
        journal = self.open(tmp_path, s3)
        journal.append(start())
        journal.close()
        assert self.stored(s3) == (tmp_path / "journal.jsonl").read_bytes()
        assert len([key for key in s3.content if "/journal/" in key]) >= 4


class TestRequests:
    """Requests of another machine to the tuner of a tuning job."""

    def test_a_request_leaves_s3_after_the_tuner_has_taken_it(self, tmp_path: Path, session: Any) -> None:
        folder, s3 = experiment_in(tmp_path), session.s3
        launch = RemoteLaunch(session, "b", "t")
        number = send_request(launch, folder, "slice", StopTrial(trial_id=3, reason="diverged"))
        objects = launch.objects("slice").under(f"experiments/{folder.name}")
        key = f"tunewright/remote/t/slice/experiments/{folder.name}/requests/{number}.json"
        objects.put("requests/../outside.json", b"{}")
        objects.put("requests/note.txt", b"{}")

        job = ExperimentFolder(tmp_path / "job" / folder.name)
        job.path.mkdir(parents=True)
        waiting = StoredRequests(objects, job)
        for _ in range(2):
            waiting.fetch()
            (filed,) = read_requests(job)
            assert filed == (number, StopTrial(trial_id=3, reason="diverged"))
            assert key in s3.content  # the machine may be lost before the tuner journals it
        assert [path.name for path in job.path.rglob("*.json")] == [f"{number}.json"]

        again = StoredRequests(objects, job)  # of the next job, which may not know
        again.fetch()
        assert len(read_requests(job)) == 1
        RequestInbox(job).remove(filed)
        again.fetch()
        assert key not in s3.content
        again.fetch()
        assert read_requests(job) == []

    def test_a_request_that_waits_is_withdrawn(self, tmp_path: Path, session: Any) -> None:
        folder, s3 = experiment_in(tmp_path), session.s3
        launch = RemoteLaunch(session, "b", "t")
        number = send_request(launch, folder, "slice", StopExperiment())
        assert withdraw_request(launch, folder, "slice", number)
        assert not withdraw_request(launch, folder, "slice", number)
        with pytest.raises(SettingsError, match="does not fit"):
            send_request(launch, folder, "slice", TryConfig(config={"lr": 7.0}))
        assert s3.content == {}


def experiment_in(root: Path) -> ExperimentFolder:
    folder = ExperimentFolder(root / "experiments" / "t" / "t-A-toy-0-20260101-000000-abcd")
    folder.path.mkdir(parents=True)
    space = {"lr": {"type": "float", "low": 0.0, "high": 1.0}}
    benchmark = {"name": "toy", "metrics": [{"name": "loss", "goal": "min"}], "space": space}
    folder.write_metadata(
        {
            "schema": 2,
            "tag": "t",
            "label": "A",
            "seed": 0,
            "clock": "wall",
            "backend": {"name": "sagemaker", "config": {}},
            "benchmark": benchmark,
        }
    )
    return folder


class TestTwoMachines:
    """Folders of two machines, and one copy in S3."""

    def open(self, folder: Path, s3: Any) -> Journal:
        folder.mkdir(exist_ok=True)
        return open_mirrored(
            ExperimentFolder(folder), Header(experiment="e"), S3Objects(s3, "b", "e"), lambda: None
        )

    def stored(self, s3: Any) -> bytes:
        return read_segments(S3Objects(s3, "b", "e"))

    def test_the_second_one_gets_an_error_while_the_first_one_lives(self, tmp_path: Path, s3: Any) -> None:
        first = self.open(tmp_path / "a", s3)
        s3.now += LEASE_SECONDS - 1
        with pytest.raises(JournalError, match=r"process \d+ on .* 89 s ago.* resume in 1 s"):
            self.open(tmp_path / "b", s3)
        first.append(start())
        first.close()
        assert self.stored(s3) == (tmp_path / "a" / "journal.jsonl").read_bytes()

    def test_a_returned_lease_is_taken_at_once(self, tmp_path: Path, s3: Any) -> None:
        self.open(tmp_path / "a", s3).close()
        second = self.open(tmp_path / "b", s3)
        second.append(start())
        second.close()
        assert (tmp_path / "b" / "journal.jsonl").read_bytes() == self.stored(s3)

    def test_a_first_one_that_wakes_up_adds_nothing(self, tmp_path: Path, s3: Any) -> None:
        first = self.open(tmp_path / "a", s3)
        s3.now += LEASE_SECONDS
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "account.json").write_text("second")
        second = self.open(tmp_path / "b", s3)
        second.append(start())
        text = self.stored(s3)
        with pytest.raises(JournalError, match="Another tuner has gone on"):
            first.append(start(late="1"))
        with pytest.raises(JournalError, match="Another tuner has gone on"):
            first.close()
        assert self.stored(s3) == text
        second.append(start())
        second.close()
        assert s3.content["e/account.json"] == b"second"

    def test_one_of_two_that_come_at_once_wins(self, tmp_path: Path, s3: Any) -> None:
        first = self.open(tmp_path / "a", s3)
        s3.now += LEASE_SECONDS
        opened: list[Journal] = []
        is_between: list[bool] = []

        def come_between(key: str) -> None:
            if key == "e/lease.json" and not is_between:
                is_between.append(True)
                opened.append(self.open(tmp_path / "b", s3))

        s3.before_get = come_between
        with pytest.raises(JournalError, match="A tuner works on"):
            self.open(tmp_path / "c", s3)
        opened[0].append(start())
        opened[0].close()
        with pytest.raises(JournalError, match="Another tuner has gone on"):
            first.append(start(late="1"))
        with pytest.raises(JournalError):
            first.close()

    def test_a_lease_that_was_taken_is_not_renewed(self, tmp_path: Path, s3: Any) -> None:
        objects = S3Objects(s3, "b", "e")
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        first = Lease(objects, tmp_path / "a")
        s3.lost = [ServiceError("PreconditionFailed", "", status=412)]
        first.renew()
        first.renew()
        s3.now += LEASE_SECONDS
        Lease(objects, tmp_path / "b")
        taken = s3.content["e/lease.json"]
        with pytest.raises(JournalError, match="Another tuner has taken"):
            first.renew()
        first.give_back()
        assert s3.content["e/lease.json"] == taken

    def test_a_killed_tuner_of_the_same_folder_leaves_no_lease(self, tmp_path: Path, s3: Any) -> None:
        Lease(S3Objects(s3, "b", "e"), tmp_path)
        self.open(tmp_path, s3).close()

    def test_back_on_the_first_machine(self, tmp_path: Path, s3: Any) -> None:
        """What the second one did is there; lines without an effect that the first one could not send are not."""
        self.open(tmp_path / "a", s3).close()
        path = tmp_path / "a" / "journal.jsonl"
        left = FileJournal(path)
        left.append(result(ReportDecision.CONTINUE))
        left.close()
        (tmp_path / "a" / "metadata.json").write_text("of the first one")
        second = self.open(tmp_path / "b", s3)
        (tmp_path / "b" / "account.json").write_text("of the second one")
        (tmp_path / "b" / "metadata.json").write_text("of the second one")
        second.append(start())
        second.close()
        journal = self.open(tmp_path / "a", s3)
        assert [event.kind for event in journal.events()] == ["start"]
        assert (tmp_path / "a" / "account.json").read_text() == "of the second one"
        assert (tmp_path / "a" / "metadata.json").read_text() == "of the first one"
        journal.append(start())
        journal.close()
        assert self.stored(s3) == path.read_bytes()

    @pytest.mark.parametrize(("code", "status"), [("PreconditionFailed", 412), ("InternalError", 500)])
    def test_a_lost_answer_is_no_other_tuner(self, tmp_path: Path, s3: Any, code: str, status: int) -> None:
        """The first code is the answer to boto3's own second attempt."""
        journal = self.open(tmp_path, s3)
        path = tmp_path / "journal.jsonl"
        s3.lost = [ServiceError(code, "", status=status)]
        for _ in range(3):
            journal.append(start(pad="x" * (SEGMENT_BYTES // 2)))
            assert self.stored(s3) == path.read_bytes()
        journal.close()


class TestFetching:
    def stored(self, s3: Any) -> list[StoredObject]:
        return list(S3Objects(s3, "b", "e").list())

    def test_only_what_changed(self, tmp_path: Path, s3: Any) -> None:
        objects = S3Objects(s3, "b", "e")
        s3.content |= {
            "e/metadata.json": b"{}",
            "e/journal/000000": b"1\n",
            "e/journal/000001": b"2\n",
            "e/trials/0/stdout": b"x",
        }
        assert fetch_experiment(objects, self.stored(s3), tmp_path) == 4
        assert (tmp_path / "journal.jsonl").read_bytes() == b"1\n2\n"
        assert (tmp_path / "trials" / "0" / "stdout").read_bytes() == b"x"
        s3.n_gets = 0
        assert fetch_experiment(objects, self.stored(s3), tmp_path) == 0
        s3.content["e/journal/000001"] = b"2\n3\n"
        assert fetch_experiment(objects, self.stored(s3), tmp_path) == 1
        assert s3.n_gets == 1
        assert (tmp_path / "journal.jsonl").read_bytes() == b"1\n2\n3\n"

    @pytest.mark.parametrize("key", ["../../evil", "/evil", "trials/../../evil", "./evil"])
    def test_keys_that_lead_elsewhere_are_refused(self, tmp_path: Path, s3: Any, key: str) -> None:
        folder = tmp_path / "experiments" / "t" / "e"
        s3.content |= {"e/metadata.json": b"{}", f"e/{key}": b"x"}
        with pytest.raises(SettingsError, match="would be written elsewhere"):
            fetch_experiment(S3Objects(s3, "b", "e"), self.stored(s3), folder)
        assert not folder.exists()

    def test_folders_of_the_console_are_passed_over_and_leftovers_do_no_harm(
        self, tmp_path: Path, s3: Any
    ) -> None:
        s3.content |= {"e/trials/0/stdout": b"x", "e/trials/0/": b"", "e/trials/": b""}
        (tmp_path / ".remote.json").write_text('{"etags": [1]}')
        assert fetch_experiment(S3Objects(s3, "b", "e"), self.stored(s3), tmp_path) == 1
        assert (tmp_path / "trials" / "0" / "stdout").read_bytes() == b"x"
