"""Metrics, clocks, random streams, exceptions: the small records that everything stands on."""

from __future__ import annotations

import json
import math

import pytest

from tunewright.clock import SimulatedClock, WallClock
from tunewright.exceptions import (
    IllegalTransitionError,
    MissingExtraError,
    SettingsError,
    UnknownNameError,
    nearest_hint,
)
from tunewright.metric import Goal, Metric
from tunewright.seeding import Stream, generator
from tunewright.state import State
from tunewright.testing.histories import begin_trial, end_run, resume_trial
from tunewright.trial import LEGAL_TRANSITIONS, TrialStatus


def test_the_goal_lives_in_the_metric() -> None:
    up, down = Metric("accuracy", "max"), Metric("loss")  # type: ignore[arg-type]
    assert up.goal is Goal.MAXIMIZE
    assert up.loss(0.9) == -0.9
    assert down.loss(0.9) == 0.9
    assert up.is_better(0.9, 0.8)
    assert down.is_better(0.8, 0.9)
    assert not down.is_better(0.8, 0.8)


@pytest.mark.parametrize("metric", [Metric("m"), Metric("m", Goal.MAXIMIZE)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_is_worst_whatever_the_goal(metric: Metric, value: float) -> None:
    assert metric.loss(value) == math.inf
    assert metric.loss_of({}) == math.inf
    assert not metric.is_better(value, 1e300)


def test_a_metric_is_checked_when_it_is_built() -> None:
    with pytest.raises(SettingsError, match="name"):
        Metric("")
    with pytest.raises(SettingsError, match="'min' or 'max'"):
        Metric("loss", "smallest")  # type: ignore[arg-type]


def test_clocks_go_on_where_they_are_told() -> None:
    wall = WallClock()
    wall.resume_at(1000.0)
    first = wall.now()
    assert 1000.0 <= first <= wall.now() < 1100.0
    simulated = SimulatedClock()
    assert simulated.now() == 0.0
    simulated.advance_to(5.0)
    simulated.advance_to(3.0)
    assert simulated.now() == 5.0
    simulated.resume_at(2.0)
    assert simulated.now() == 2.0


def test_random_numbers_are_a_function_of_seed_stream_and_count() -> None:
    def draw(seed: int, stream: Stream, count: int) -> float:
        return float(generator(seed, stream, count).random())

    assert draw(1, Stream.CONFIG, 2) == draw(1, Stream.CONFIG, 2)
    drawn = {draw(seed, stream, count) for seed in range(3) for stream in Stream for count in range(3)}
    assert len(drawn) == 3 * len(Stream) * 3


def change(history: State, status: TrialStatus) -> None:
    if status is TrialStatus.RUNNING:
        resume_trial(history, 0)
    else:
        end_run(history, 0, status)


def test_every_transition_is_in_the_table() -> None:
    for old, allowed in LEGAL_TRANSITIONS.items():
        for new in TrialStatus:
            history = State()
            begin_trial(history, {"x": 1})
            if old is not TrialStatus.RUNNING:
                end_run(history, 0, old)
            if new in allowed:
                change(history, new)
                assert list(history.ids(new)) == [0]
                assert history.status(0) is new
            else:
                with pytest.raises(IllegalTransitionError, match="cannot go from"):
                    change(history, new)


def test_errors_name_the_remedy() -> None:
    assert nearest_hint("acuracy", ["accuracy", "loss"]) == " Did you mean 'accuracy'?"
    assert nearest_hint("zzz", ["b", "a"]) == " Known: a, b."
    assert nearest_hint("zzz", []) == ""
    assert "ASHA" in str(UnknownNameError("method", "ASHAA", ["ASHA", "RS"]))


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'tunewright[aws]'"),
        ({"url": "file:///a%20b/clone", "dir_info": {}}, "pip install '/a b/clone[aws]'"),
        ({"url": "file:///clone", "dir_info": {"editable": True}}, "pip install -e '/clone[aws]'"),
        (
            {"url": "https://host/it.git", "vcs_info": {"vcs": "git", "requested_revision": "v1"}},
            "pip install 'tunewright[aws] @ git+https://host/it.git@v1'",
        ),
    ],
)
def test_the_command_for_an_extra_fits_the_installation(
    origin: dict[str, object] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return json.dumps(origin) if name == "direct_url.json" and origin is not None else None

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed())
    error = MissingExtraError("aws", "The SageMaker backend")
    assert str(error) == f"The SageMaker backend needs an optional package: {command}"


def test_history_is_a_live_view_in_order_of_arrival() -> None:
    history = State()
    for n in range(3):
        begin_trial(history, {"x": n}, note={"n": n})
    running = history.ids(TrialStatus.RUNNING)
    paused = history.ids(TrialStatus.PAUSED)
    end_run(history, 1, TrialStatus.PAUSED)
    end_run(history, 0, TrialStatus.PAUSED)
    assert list(running) == [2]
    assert list(paused) == [1, 0]
    assert history.contains({"x": 2})
    assert not history.contains({"x": 3})
    assert history.note(1) == {"n": 1} == history.note(1, 0)
    assert [run.trial_id for run in history.runs] == [0, 1, 2]
