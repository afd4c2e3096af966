"""What a tuning job does around its experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws import REMOTE_VARIABLE
from tunewright.exceptions import BackendError
from tunewright.experiments.experiment import identity_of
from tunewright.remote import tuning_job
from tunewright.remote.tuning_job import JOB_VARIABLE, TuningJob
from tunewright.runner.contract import S3_KMS_VARIABLE, S3_OWNER_VARIABLE, BucketTerms

PLACE = "tunewright/remote/tag/RS-0"
STORED = Path(__file__).parents[1] / "experiments" / "fixtures_0_1" / "local.json"


@pytest.fixture
def job(session: Any, monkeypatch: pytest.MonkeyPatch) -> TuningJob:
    monkeypatch.setenv(REMOTE_VARIABLE, f"s3://b/{PLACE}")
    monkeypatch.setenv(JOB_VARIABLE, "tag-tuner-RS-0-1")
    monkeypatch.setattr(tuning_job, "_open_session", lambda: session)
    return TuningJob()


def test_a_moved_experiment_is_the_same_cell(job: TuningJob, session: Any, tunewright_home: Path) -> None:
    """A successor whose files lie elsewhere finds the experiment under its own paths."""
    metadata = json.loads(STORED.read_text())
    assert metadata["benchmark"]["script"] == "/home/user/folder/train.py"
    objects = session.objects("b", PLACE)
    objects.put("root", b"/home/user")
    objects.put("experiments/e/metadata.json", json.dumps(metadata).encode())
    objects.put("experiments/e/journal/000000", b"{}\n")
    assert job.begin() == 1
    found = json.loads((tunewright_home / "experiments" / "tag" / "e" / "metadata.json").read_text())
    assert found["benchmark"]["script"] == f"{tunewright_home.parent}/folder/train.py"
    assert found["identity"] == identity_of({**metadata, "benchmark": found["benchmark"]})
    assert found["identity"] != identity_of(metadata)
    assert objects.get("root") == str(tunewright_home.parent).encode()
    job.done(0)
    done = json.loads(objects.get("done.json") or b"")
    assert (done["job"], done["code"]) == ("tag-tuner-RS-0-1", 0)


def test_a_second_tuning_job_refuses_to_start(job: TuningJob, session: Any) -> None:
    session.jobs["tag-tuner-RS-0-0"] = "InProgress"
    session.objects("b", PLACE).put("lease.json", b'{"job": "tag-tuner-RS-0-0"}')
    with pytest.raises(BackendError, match="works on this slice"):
        job.begin()


def test_a_tuning_job_uses_the_bucket_on_the_terms_of_its_launch(
    session: Any, monkeypatch: pytest.MonkeyPatch, job: TuningJob
) -> None:
    assert session.terms == ("b", BucketTerms())
    monkeypatch.setenv(S3_OWNER_VARIABLE, "210987654321")
    monkeypatch.setenv(S3_KMS_VARIABLE, "alias/mine")
    TuningJob()
    assert session.terms == ("b", BucketTerms(owner="210987654321", kms_key="alias/mine"))
