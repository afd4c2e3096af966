"""Names of jobs, whatever an experiment is called."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tunewright.backends.engine.job_service import JobName
from tunewright.backends.sagemaker.requests import job_name, job_prefix, parse_job_name

LEGAL = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
NUMBERS = st.integers(min_value=0, max_value=999_999)


@given(
    experiment=st.text(max_size=80), trial=NUMBERS, attempt=st.integers(0, 9999), retry=st.integers(0, 999)
)
def test_names_are_legal_and_read_back(experiment: str, trial: int, attempt: int, retry: int) -> None:
    prefix = job_prefix(experiment)
    name = JobName(trial, attempt, retry)
    text = job_name(prefix, name.key)
    assert LEGAL.fullmatch(text)
    assert len(text) <= 63
    key = parse_job_name(prefix, text)
    assert key == name.key
    assert JobName.parse(key) == name
    assert job_prefix(experiment) == prefix


def test_a_legal_name_stays_as_it_is() -> None:
    assert job_prefix("tutorial-2026-11") == "tutorial-2026-11"


def test_changed_names_stay_apart() -> None:
    names = ["a_b", "a b", "a-b", "ä", "ö", "x" * 41, "x" * 42, "..", ""]
    assert len({job_prefix(name) for name in names}) == len(names)


def test_other_jobs_are_not_ours() -> None:
    for text in ("exp-1-2", "exp-1-2-3-4", "other-1-2-3", "my-exp-1-2-3", "exp-a-0-0"):
        assert parse_job_name("exp", text) is None
