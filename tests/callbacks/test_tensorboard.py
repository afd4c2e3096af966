"""Event files hold what was observed, also after a resume; read back record by record."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.api_pb2 import Status
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.record_writer import masked_crc32c

from tunewright.asktell import Asked, AskTell
from tunewright.callbacks.tensorboard import TensorBoardCallback
from tunewright.exceptions import MissingExtraError
from tunewright.history import History
from tunewright.journal import MemoryJournal
from tunewright.metric import Constraint, Goal, Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.state import replay_history
from tunewright.trial import CONTINUE, BackendSummary, ExperimentStatus, TrialStatus

SCORE = Metric("val score", Goal.MAXIMIZE)
SPACE = SearchSpace({"x": Float(0.0, 1.0), "kind": Categorical(["a", "b"]), "epochs": 3})


def events(folder: Path) -> list[Event]:
    """The events of a folder, whose checksums are right."""
    (path,) = folder.glob("*tfevents*")
    return list(_records(path.read_bytes()))


def _records(data: bytes) -> Iterator[Event]:
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        head, body = struct.unpack("<I", data[8:12])[0], data[12 : 12 + size]
        assert head == masked_crc32c(data[:8])
        assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked_crc32c(body)
        yield Event.FromString(body)
        data = data[16 + size :]


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    """Steps and values of a curve."""
    found = [(event.step, value) for event in events(folder) for value in event.summary.value]
    return [(step, value.simple_value) for step, value in found if value.tag == name]


def hyperparameters(folder: Path) -> dict[str, HParamsPluginData]:
    """What stands there for the page of hyperparameters, by kind."""
    found: dict[str, HParamsPluginData] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                found[str(data.WhichOneof("data"))] = data
    return found


class Played:
    """An experiment of three trials, told to a callback step by step."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), metric=[SCORE], journal=self.journal)
        self.asked: dict[int, Asked] = {}

    @property
    def history(self) -> History:
        return self.tuning.history

    def ask(self, callback: TensorBoardCallback) -> int:
        asked = self.tuning.ask()
        assert asked is not None
        callback.on_trial_start(self.history, self.history.runs[-1])
        self.asked[asked.trial_id] = asked
        return asked.trial_id

    def tell(self, callback: TensorBoardCallback, trial_id: int, score: float, epoch: int) -> None:
        reported = {SCORE.name: score, "loss": 1 - score, "st_worker_time": 1.0}
        self.tuning.tell(self.asked[trial_id], reported, resource=epoch)
        callback.on_trial_result(self.history, trial_id, self.history.results(trial_id)[-1], CONTINUE)

    def end(self, callback: TensorBoardCallback, trial_id: int, error: str = "") -> None:
        if error:
            self.tuning.fail(self.asked[trial_id], error)
        else:
            self.tuning.complete(self.asked[trial_id])
        callback.on_trial_end(self.history, trial_id, self.history.status(trial_id))

    def play(self, callback: TensorBoardCallback) -> None:
        """The first trial completes, the second fails, the third runs when the session ends."""
        callback.on_experiment_start(self.history)
        first, second = self.ask(callback), self.ask(callback)
        self.tell(callback, first, 0.2, 1)
        self.tell(callback, second, math.nan, 1)
        self.tell(callback, first, 0.9, 2)
        self.end(callback, second, "exit 1")
        third = self.ask(callback)
        self.tell(callback, third, 0.5, 1)
        self.end(callback, first)
        callback.on_wait(self.history, 0.0, BackendSummary())
        callback.on_experiment_end(self.history, ExperimentStatus.STOPPED, BackendSummary())


@pytest.fixture
def played(tmp_path: Path) -> Played:
    """An experiment whose files lie in ``tmp_path/tb``."""
    one = Played()
    one.play(TensorBoardCallback(tmp_path / "tb", [SCORE], begin=1_000_000.0))
    return one


def test_a_curve_per_trial_and_value(played: Played, tmp_path: Path) -> None:
    del played
    folder = tmp_path / "tb"
    assert {path.name for path in folder.iterdir()} == {"trial-00000", "trial-00001", "trial-00002", "best"}
    assert curve(folder / "trial-00000", "val_score") == [(1, pytest.approx(0.2)), (2, pytest.approx(0.9))]
    assert curve(folder / "trial-00000", "loss") == [(1, pytest.approx(0.8)), (2, pytest.approx(0.1))]
    assert math.isnan(curve(folder / "trial-00001", "val_score")[0][1])
    assert not any(
        value.tag.startswith("st_") for e in events(folder / "trial-00000") for value in e.summary.value
    )
    assert all(event.wall_time >= 1_000_000.0 for event in events(folder / "trial-00002"))


def test_the_best_so_far(played: Played, tmp_path: Path) -> None:
    del played
    points = [(1, 0.2), (2, 0.2), (3, 0.9), (4, 0.9)]
    assert curve(tmp_path / "tb" / "best", "val_score") == [(n, pytest.approx(value)) for n, value in points]


def test_hyperparameters_and_how_a_trial_ended(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "tb"
    first, second, third = (hyperparameters(folder / f"trial-0000{n}") for n in range(3))
    config = played.history.trial(0).config
    given = first["session_start_info"].session_start_info.hparams
    assert set(given) == {"x", "kind", "epochs"}
    assert given["x"].number_value == config["x"]
    assert given["kind"].string_value == config["kind"]
    assert [info.name.tag for info in first["experiment"].experiment.metric_infos] == ["val_score"]
    assert first["session_end_info"].session_end_info.status == Status.Value("STATUS_SUCCESS")
    assert second["session_end_info"].session_end_info.status == Status.Value("STATUS_FAILURE")
    assert "session_end_info" not in third


def test_a_resume_writes_the_same_files(played: Played, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "tb").rglob("*tfevents*")}
    history = replay_history(played.journal.events())
    again = TensorBoardCallback(tmp_path / "tb", [SCORE], begin=1_000_000.0)
    again.on_experiment_start(history)
    again.on_experiment_end(history, ExperimentStatus.STOPPED, BackendSummary())
    assert {path: path.read_bytes() for path in before} == before
    assert len(list((tmp_path / "tb").rglob("*tfevents*"))) == len(before) == 4


def test_more_trials_run_than_files_are_open(tmp_path: Path) -> None:
    """Those that are written anew lose nothing and have nothing twice."""
    played = Played()
    callback = TensorBoardCallback(tmp_path, [SCORE])
    callback.on_experiment_start(played.history)
    trials = [played.ask(callback) for _ in range(70)]
    for epoch in (1, 2):
        for trial_id in trials:
            played.tell(callback, trial_id, 0.01 * trial_id, epoch)
    for trial_id in trials:
        played.end(callback, trial_id)
    callback.on_experiment_end(played.history, ExperimentStatus.COMPLETED, BackendSummary())
    for trial_id in trials:
        assert [step for step, _ in curve(tmp_path / f"trial-{trial_id:05d}", "loss")] == [1, 2]


def test_results_that_break_a_constraint_are_not_the_best(tmp_path: Path) -> None:
    played = Played()
    played.play(TensorBoardCallback(tmp_path, [SCORE], constraints=[Constraint("loss", 0.5, is_upper=False)]))
    assert [value for _, value in curve(tmp_path / "best", "val_score")] == [
        pytest.approx(value) for value in (0.2, 0.2, 0.2, 0.5)
    ]


def test_several_metrics_have_no_best_one(tmp_path: Path) -> None:
    played = Played()
    played.play(TensorBoardCallback(tmp_path, [SCORE, Metric("loss")]))
    assert not (tmp_path / "best").exists()
    infos = hyperparameters(tmp_path / "trial-00000")["experiment"].experiment.metric_infos
    assert [info.name.tag for info in infos] == ["val_score", "loss"]
    assert played.history.status(0) is TrialStatus.COMPLETED


def test_the_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r"\[tensorboard\]'"):
        TensorBoardCallback(tmp_path, [SCORE])
