"""Loading stored experiments, with an index that is never trusted when it is stale."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright.analysis import Results, load
from tunewright.analysis.load import INDEX_FILE
from tunewright.analysis.one_run import one_run
from tunewright.events import PhaseEvent, StartEvent
from tunewright.exceptions import JournalError, MissingExtraError, SettingsError, UnknownNameError
from tunewright.journal import FileJournal, read_events
from tunewright.storage import ExperimentFolder
from tunewright.trial import PhaseName

Store = Callable[..., ExperimentFolder]


def test_everything_about_an_experiment_is_there(store: Store) -> None:
    folder = store([(1, 0.5), (2, math.inf), (3, 0.2)], method="ASHA", seed=7)
    results = load("t")
    (info,) = results.infos
    assert (info.method, info.benchmark, info.seed, info.tag) == ("ASHA", "toy", 7, "t")
    assert (info.clock, info.values, info.resource, info.n_workers) == ("simulated", "recorded", "epoch", 4)
    assert (info.totals.n_trials, info.totals.n_runs, info.totals.status) == (3, 3, "stopped")
    assert (info.totals.suggest_time, info.totals.cost, info.totals.end_time) == (0.75, 1.5, 10.0)
    (columns,) = results.columns
    assert columns.time.tolist() == [1, 2, 3]
    assert columns.metrics["loss"].tolist() == [0.5, math.inf, 0.2]
    for same in (folder.path, folder.name, folder.name[:-3], [folder], str(folder.path.parent)):
        assert load(same).infos[0].name == info.name
    assert load().n_results == 3


def test_the_index_is_used_and_never_trusted_when_stale(store: Store) -> None:
    folder, other = store([(1, 0.5)]), store([(1, 0.4)], seed=1)
    assert load("t").n_results == 2
    index = folder.path.parent / INDEX_FILE
    before = index.read_bytes()
    assert load("t").columns[1].metrics["loss"].tolist() == [0.4]
    assert index.read_bytes() == before

    text = folder.journal_path.read_bytes().replace(b'"loss":0.5', b'"loss":0.6')
    folder.journal_path.write_bytes(text)  # the same size, another time
    os.utime(folder.journal_path, ns=(1, 1))
    assert load("t").columns[0].metrics["loss"].tolist() == [0.6]
    assert index.read_bytes() != before

    for damage in (b"", b"PK nonsense", before[:200]):
        index.write_bytes(damage)
        assert load("t").n_results == 2
    for file in other.path.iterdir():
        file.unlink()
    other.path.rmdir()
    assert load("t").n_results == 1


def test_a_running_experiment_grows_and_a_torn_line_is_left_out(store: Store) -> None:
    folder = store([(1, 0.5)], status=None)
    assert load("t").infos[0].totals.status == "interrupted"
    with folder.journal_path.open("ab") as file:
        file.write(b'{"kind":"result","t":2.0,"wal')
    assert load("t").n_results == 1


def test_late_and_repeated_reports_do_not_count(store: Store) -> None:
    folder = store([(1, 0.5)], status=None)
    line = {"kind": "result", "t": 2.0, "wall": 1.0, "trial_id": 0, "attempt": 0, "retry": 0, "seq": 2}
    line |= {"resource": 2, "metrics": {"loss": 0.1}, "decision": "late", "reason": "", "cost": 0.0}
    with folder.journal_path.open("ab") as file:
        file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    assert load("t").columns[0].metrics["loss"].tolist() == [0.5]


def test_where_chooses_by_metadata(store: Store) -> None:
    for seed in range(4):
        store([(1, 0.5)], method="AB"[seed % 2], seed=seed, note="x" if seed < 2 else "y")
    assert len(load("t", where={"seed": [0, 1, 2]})) == 3
    assert len(load("t", where={"method": "A"})) == 2
    assert len(load("t", where=lambda metadata: metadata["note"] == "y" and metadata["seed"] > 2)) == 1
    assert len(load("t").where(note="x", method="B")) == 1
    with pytest.raises(SettingsError, match="No experiment is left of 4"):
        load("t", where={"seed": 9})
    with pytest.raises(UnknownNameError, match="Did you mean 'method'"):
        load("t", where={"metod": "A"})
    named = load("t").with_setups(lambda info: f"{info.method}!" if info.seed else None)
    assert named.methods == ["B!", "A!"]
    with pytest.raises(SettingsError, match="every setup is None"):
        load("t").with_setups(lambda info: None)


def test_what_is_not_there_is_said_with_the_nearest(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No experiments are stored"):
        load()
    folder = store([(1, 0.5)], tag="first")
    with pytest.raises(UnknownNameError, match=r"Unknown tag or experiment 'frist'. Did you mean 'first'"):
        load("frist")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="holds no experiment"):
        load(tmp_path / "empty")
    folder.journal_path.write_text("nonsense\n")
    with pytest.raises(JournalError, match="damaged"):
        load("first")
    folder.journal_path.write_text('{"kind":"other"}\n')
    with pytest.raises(JournalError, match="not a journal"):
        load("first")
    folder.journal_path.unlink()
    with pytest.raises(SettingsError, match="None of these experiments has begun"):
        load("first")
    folder.metadata_path.write_text('{"tag": "first"}')
    store([(1, 0.5)], tag="first")
    folder.journal_path.write_text("")
    with pytest.raises(SettingsError, match="was not written by this version"):
        load("first")
    folder.metadata_path.write_text("{")
    with pytest.raises(SettingsError, match="Cannot read"):
        load("first")


def test_frames_and_exports(store: Store, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    store([(1, 0.5), (2, 0.4)], clock="simulated")
    store([(1, 0.3)], seed=1, metric="other")
    results = load("t").with_metric("double", lambda columns: 2 * columns.time)
    frame = results.frame(metadata=["clock"])
    assert frame.seed.tolist() == [0, 0, 1]
    assert frame.double.tolist() == [2, 4, 2]
    assert set(frame.clock) == {"simulated"}
    assert np.isnan(frame.loss[2])
    results.to_csv(tmp_path / "r.csv.zip")
    assert pandas.read_csv(tmp_path / "r.csv.zip").loss.tolist()[:2] == [0.5, 0.4]
    pytest.importorskip("pyarrow")
    results.to_parquet(tmp_path / "r.parquet")
    assert pandas.read_parquet(tmp_path / "r.parquet").decision.tolist() == ["continue"] * 3


def test_a_missing_package_is_named_with_its_extra(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store([(1, 0.5)])
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"\[analysis\]'"):
        load("t").frame()


CSV = """epoch,val_acc,st_decision,st_status,trial_id,config_lr,st_worker_time,st_tuner_time
1,0.5,CONTINUE,Completed,0,0.1,1.0,1.5
2,0.7,STOP,Completed,0,0.1,2.0,2.5
1,0.6,CONTINUE,InProgress,1,0.2,1.0,3.5
"""


def test_folders_of_syne_tune_are_read(tmp_path: Path, store: Store) -> None:
    pytest.importorskip("pandas")
    path = tmp_path / "st" / "tag-2024-01-01"
    path.mkdir(parents=True)
    metadata = {"metric_names": ["val_acc"], "metric_mode": "max", "algorithm": "ASHA", "benchmark": "nas"}
    metadata |= {"seed": 3, "tag": "tag", "backend": "BlackboxRepositoryBackend", "n_workers": 4}
    (path / "metadata.json").write_text(json.dumps(metadata))
    with zipfile.ZipFile(path / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", CSV)
    results = load(tmp_path / "st")
    (info,), (columns,) = results.infos, results.columns
    assert (info.method, info.benchmark, info.seed, info.clock) == ("ASHA", "nas", 3, "simulated")
    assert str(info.metrics[0].goal) == "max"
    assert columns.resource.tolist() == [1, 2, 1]
    assert columns.decision.tolist() == [0, 2, 0]
    assert list(columns.metrics) == ["val_acc"]
    store([(1, 0.5)])
    both = results.joined(load("t"))
    assert isinstance(both, Results)
    assert both.benchmarks == ["nas", "toy"]
    (path / "metadata.json").write_text("{}")
    with pytest.raises(SettingsError, match="as Syne Tune writes them"):
        load(path)


def test_the_start_of_training_is_that_of_the_phase(store: Store) -> None:
    folder = store([(3.0, 0.5), (5.0, 0.4)], seed=3)
    events = list(read_events(folder.journal_path))
    folder.journal_path.unlink()
    journal = FileJournal(folder.journal_path)
    for event in events:
        journal.append(event)
        if isinstance(event, StartEvent) and event.trial_id == 0:
            for retry, name in ((0, PhaseName.STARTING), (0, PhaseName.TRAINING), (1, PhaseName.TRAINING)):
                at = event.t + 0.25 * (1 + retry + (name is PhaseName.TRAINING))
                phase = PhaseEvent(
                    t=at, wall=0.0, trial_id=0, attempt=0, retry=retry, worker="0", name=name, warm=False
                )
                journal.append(phase)
    journal.close()
    first, second = one_run(folder).runs
    assert first.ready == first.begin + 0.5
    assert second.ready is None
