"""Experiments that version 0.1 stored: they are read, shown, compared and resumed by this version."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from tunewright.analysis import load
from tunewright.experiments import Experiment, load_outcome, resume_experiment, run_experiment
from tunewright.journal import canonical_hash, read_events, read_header
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus, TrialStatus

STORED = Path(__file__).parents[1] / "experiments_0_1"
HASHES: dict[str, dict[str, Any]] = json.loads((STORED / "hashes.json").read_text())
"""By name: folder, number of lines and canonical hash as version 0.1 computed it, and that of the whole experiment."""
KILLED = [name for name in HASHES if name.endswith("-killed")]


@pytest.fixture
def folder(request: pytest.FixtureRequest, tunewright_home: Path) -> ExperimentFolder:
    """A copy of a stored experiment, in the place where experiments are."""
    name: str = HASHES[request.param]["folder"]
    path = tunewright_home / "experiments" / ("v01-local" if "local" in name else "v01") / name
    shutil.copytree(STORED / name, path)
    metadata = path / "metadata.json"
    metadata.write_text(metadata.read_text().replace("SCRIPT", str(STORED / "train.py")))
    return ExperimentFolder(path)


@pytest.mark.parametrize(("folder", "name"), [(name, name) for name in HASHES], indirect=["folder"])
def test_they_are_read(folder: ExperimentFolder, name: str) -> None:
    assert canonical_hash(folder.journal_path) == HASHES[name]["hash"]
    events = list(read_events(folder.journal_path))
    assert len(events) == HASHES[name]["n_lines"] - 1
    header = read_header(folder.journal_path)
    assert (header.experiment, header.effective_seed, header.resolved) == (folder.name, None, None)
    outcome = load_outcome(folder)
    assert outcome.status is (ExperimentStatus.INTERRUPTED if name in KILLED else ExperimentStatus.COMPLETED)
    assert outcome.history.n_results == sum(event.kind == "result" for event in events)
    (info,) = load(folder).infos
    assert info.totals.status is outcome.status
    assert info.totals.n_trials == outcome.history.n_trials
    assert info.totals.suggest_time == pytest.approx(outcome.suggest_time)


@pytest.mark.parametrize(("folder", "name"), [(name, name) for name in KILLED], indirect=["folder"])
def test_those_that_were_killed_are_resumed(
    folder: ExperimentFolder, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = folder.journal_path.read_bytes()
    with caplog.at_level(logging.WARNING):
        outcome = resume_experiment(folder)
    assert outcome.status.is_finished
    assert not any("the journal says" in record.getMessage() for record in caplog.records)
    assert folder.journal_path.read_bytes().startswith(before)
    assert not outcome.history.ids(TrialStatus.FAILED)
    if name not in ("local-killed", "mobster-killed"):  # wall-clock time; the wheels of that day
        assert canonical_hash(folder.journal_path) == HASHES[name]["undisturbed"]


@pytest.mark.parametrize("folder", ["asha"], indirect=True)
def test_run_anew_they_are_the_same(folder: ExperimentFolder) -> None:
    outcome = run_experiment(Experiment.from_json(folder.metadata()))
    assert canonical_hash(outcome.folder.journal_path) == HASHES["asha"]["hash"]
