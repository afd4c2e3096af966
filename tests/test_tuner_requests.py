"""Requests from outside in the Tuner: what each does, once, and again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tunewright import tuner as tuner_module
from tunewright.backends.simulated import SimulatedBackend
from tunewright.events import RequestAction, RequestEvent, SessionEvent
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Callback, CheckpointPolicy, Scheduler, StoppingCriterion
from tunewright.journal import FileJournal, Journal, MemoryJournal
from tunewright.metric import Metric
from tunewright.requests import (
    ChangeLimits,
    PauseTrial,
    Request,
    RequestInbox,
    ResumeTrial,
    SetWorkers,
    StopExperiment,
    StopTrial,
    TryConfig,
    WriteNote,
    action_of,
    read_requests,
    write_request,
)
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.pbt import PBT, PBTSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.storage import ExperimentFolder
from tunewright.trial import Checkpoint, Result, Run, TrialStatus, Verdict
from tunewright.tuner import ExperimentControl, Tuner
from tunewright.types import Config

LOSS = Metric("loss")
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 9})
ALL: tuple[Request, ...] = (
    StopTrial(trial_id=0),
    PauseTrial(trial_id=0),
    ResumeTrial(trial_id=0),
    StopExperiment(),
    ChangeLimits(max_num_trials=5),
    SetWorkers(n_workers=3),
    TryConfig(config={"x": 0.25}),
    WriteNote(text="looks odd"),
)


def train(config: Config, epoch: int) -> tuple[Mapping[str, object], float]:
    return {"loss": float(config["x"]) + 1 / epoch}, 1.0


class Control(ExperimentControl):
    def __init__(self) -> None:
        self.stored: list[ChangeLimits | SetWorkers] = []

    def full_config(self, config: Config) -> Config:
        return SPACE.complete(config)

    def criterion(self, changes: Mapping[str, float]) -> StoppingCriterion:
        if "max_num_trials" not in changes:
            raise SettingsError("only the number of trials")
        return MaxTrialsStarted(int(changes["max_num_trials"]))

    def store(self, request: ChangeLimits | SetWorkers) -> None:
        self.stored.append(request)


class At(Callback):
    """Calls functions at the first result of a trial and resource."""

    def __init__(self, actions: Mapping[tuple[int, int], Callable[[], object]]) -> None:
        self._actions = dict(actions)

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        action = self._actions.pop((trial_id, result.resource), None)
        if action is not None:
            action()


class Interrupts(Callback):
    """Ends the session between the journal line of a request and the deletion of its file."""

    def on_request(self, history: History, request: RequestEvent) -> None:
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _no_pause_between_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner_module, "_LOOK", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    made = ExperimentFolder(tmp_path / "one")
    made.path.mkdir()
    benchmark = {"name": "job", "metrics": [{"name": "loss", "goal": "min"}], "space": SPACE.to_json()}
    made.write_metadata(
        {"schema": 2, "label": "RS", "seed": 0, "benchmark": benchmark, "backend": {"name": "local"}}  # type: ignore[dict-item]
    )
    return made


def fifo(points: Sequence[Config] = ()) -> Scheduler:
    return FIFO(RandomSearcher(SPACE, seed=0, points_to_evaluate=points))


def asha() -> Scheduler:
    return ASHA(RandomSearcher(SPACE, seed=0), ASHASettings(max_resource=9), metric=LOSS, seed=0)


def tune(
    scheduler: Scheduler,
    folder: ExperimentFolder,
    actions: Mapping[tuple[int, int], Callable[[], object]] | None = None,
    *,
    stop_when: StoppingCriterion | None = None,
    journal: Journal | None = None,
    control: ExperimentControl | None = None,
    n_workers: int = 1,
    callbacks: Sequence[Callback] = (),
    policies: Sequence[CheckpointPolicy] = (),
) -> History:
    return Tuner(
        scheduler,
        SimulatedBackend(train, n_workers=n_workers, max_resource=9),
        metrics=[LOSS],
        stop_when=stop_when or MaxTrialsStarted(3),
        journal=journal or MemoryJournal(),
        callbacks=[At(actions or {}), *callbacks],
        checkpoint_policies=policies,
        inbox=RequestInbox(folder),
        control=control or Control(),
    ).run()


def asks(folder: ExperimentFolder, *requests: Request) -> Callable[[], object]:
    return lambda: [write_request(folder, request) for request in requests]


def answers(journal: Journal) -> list[tuple[str, str, str]]:
    events = [event for event in journal.events() if isinstance(event, RequestEvent)]
    return [(event.action, event.done, event.reason) for event in events]


def configs(history: History) -> list[float]:
    return [float(history.trial(trial_id).config["x"]) for trial_id in range(history.n_trials)]


def test_every_request_is_an_action_of_the_journal() -> None:
    assert [action_of(one) for one in ALL] == list(RequestAction)


def test_a_stopped_trial_ends_for_good(folder: ExperimentFolder) -> None:
    journal = MemoryJournal()
    stop = asks(folder, StopTrial(trial_id=0, reason="diverged"))
    history = tune(fifo(), folder, {(0, 3): stop}, journal=journal)
    assert history.status(0) is TrialStatus.STOPPED
    assert len(history.results(0)) == 3
    assert history.n_trials == 3
    assert answers(journal) == [("stop_trial", "stop_trial", "diverged")]
    assert read_requests(folder) == []


def test_a_paused_trial_waits_for_its_request_and_keeps_its_checkpoint(folder: ExperimentFolder) -> None:
    class All(CheckpointPolicy):
        offered: list[Checkpoint]

        def __init__(self) -> None:
            self.offered = []

        def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
            self.offered += unneeded
            return unneeded

    policy = All()
    actions = {
        (0, 3): asks(folder, PauseTrial(trial_id=0)),
        (2, 9): asks(folder, ResumeTrial(trial_id=0)),
    }
    history = tune(fifo(), folder, actions, policies=[policy])
    assert history.status(0) is TrialStatus.COMPLETED
    assert [run.trial_id for run in history.runs] == [0, 1, 2, 0]
    assert history.run(0).resume_from == 3
    assert [result.resource for result in history.results(0)] == list(range(1, 10))
    assert Checkpoint(trial_id=0, resource=3) not in policy.offered[:2]


def test_a_paused_trial_that_is_not_resumed_does_not_keep_the_experiment(folder: ExperimentFolder) -> None:
    history = tune(asha(), folder, {(0, 1): asks(folder, PauseTrial(trial_id=1))}, n_workers=2)
    assert history.status(1) is TrialStatus.PAUSED
    assert history.is_withdrawn(1)
    assert not history.ids(TrialStatus.RUNNING)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (StopTrial(trial_id=7), "There is no trial 7"),
        (PauseTrial(trial_id=0), "Trial 0 is completed"),
        (ResumeTrial(trial_id=1), "Trial 1 is running, but not paused by a request"),
        (WriteNote(text="x", trial_id=9), "There is no trial 9"),
        (ChangeLimits(max_cost=1.0), "only the number of trials"),
        (TryConfig(config={"x": 0.5}), "A trial with this configuration has begun already"),
    ],
    ids=lambda value: "" if isinstance(value, str) else action_of(value),
)
def test_refusals_have_a_reason_and_change_nothing(
    folder: ExperimentFolder, request_: Request, reason: str
) -> None:
    journal = MemoryJournal()
    history = tune(fifo([{"x": 0.5}]), folder, {(1, 1): asks(folder, request_)}, journal=journal)
    assert answers(journal) == [(action_of(request_), "", reason)]
    assert len(history.ids(TrialStatus.COMPLETED)) == 3
    assert read_requests(folder) == []


def test_a_trial_that_ends_already_is_not_ended_again(folder: ExperimentFolder) -> None:
    journal = MemoryJournal()
    both = asks(folder, PauseTrial(trial_id=0), StopTrial(trial_id=0))
    history = tune(fifo(), folder, {(0, 2): both}, journal=journal)
    assert [done for _, done, _ in answers(journal)] == ["pause_trial", ""]
    assert history.status(0) is TrialStatus.PAUSED


def test_an_added_configuration_is_next_and_displaces_no_point(folder: ExperimentFolder) -> None:
    points = [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}]
    add = asks(folder, TryConfig(config={"x": "0.7"}), TryConfig(config={"x": 0.8}))
    history = tune(fifo(points), folder, {(0, 2): add}, stop_when=MaxTrialsStarted(5))
    assert configs(history) == [0.1, 0.7, 0.8, 0.2, 0.3]
    assert history.n_suggested == 3
    assert len(history.ids(TrialStatus.COMPLETED)) == 5


def test_an_added_configuration_keeps_the_limit_of_trials(folder: ExperimentFolder) -> None:
    add = asks(folder, TryConfig(config={"x": 0.7}))
    history = tune(fifo(), folder, {(2, 1): add}, stop_when=MaxTrialsStarted(3))
    assert 0.7 not in configs(history)
    assert history.n_trials == 3


def test_population_based_training_refuses_configurations(folder: ExperimentFolder) -> None:
    journal = MemoryJournal()
    settings = PBTSettings(max_resource=9, population_size=2, perturbation_interval=3)
    scheduler = PBT(RandomSearcher(SPACE, seed=0), SPACE, settings, metric=LOSS, seed=0)
    tune(scheduler, folder, {(0, 1): asks(folder, TryConfig(config={"x": 0.7}))}, journal=journal)
    assert answers(journal) == [
        ("try_config", "", "The method has no place for a configuration from outside")
    ]


def test_more_trials_are_allowed_after_the_limit_was_reached(folder: ExperimentFolder) -> None:
    control = Control()
    more = asks(folder, ChangeLimits(max_num_trials=5))
    history = tune(fifo(), folder, {(2, 5): more}, control=control)
    assert history.n_trials == 5
    assert control.stored == [ChangeLimits(max_num_trials=5)]


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_the_number_of_workers_changes_and_running_trials_go_on(
    folder: ExperimentFolder, before: int, after: int
) -> None:
    class Busiest(Callback):
        seen: list[int]

        def __init__(self) -> None:
            self.seen = []

        def on_trial_start(self, history: History, run: Run) -> None:
            self.seen.append(len(history.ids(TrialStatus.RUNNING)))

    busiest = Busiest()
    change = asks(folder, SetWorkers(n_workers=after))
    control = Control()
    history = tune(
        fifo(),
        folder,
        {(0, 2): change},
        n_workers=before,
        stop_when=MaxTrialsStarted(8),
        callbacks=[busiest],
        control=control,
    )
    assert len(history.ids(TrialStatus.COMPLETED)) == 8
    assert max(busiest.seen[:before]) == before
    assert max(busiest.seen[before:][2:]) == after
    assert control.stored == [SetWorkers(n_workers=after)]


def test_requests_are_taken_while_many_workers_are_filled(folder: ExperimentFolder) -> None:
    n_running: list[int] = []

    class Reduces(Callback):
        def on_trial_start(self, history: History, run: Run) -> None:
            n_running.append(len(history.ids(TrialStatus.RUNNING)))
            if run.trial_id == 2:
                write_request(folder, SetWorkers(n_workers=1))

    tune(fifo(), folder, n_workers=50, stop_when=MaxTrialsStarted(6), callbacks=[Reduces()])
    assert n_running == [1, 2, 3, 1, 1, 1]


def test_the_experiment_stops_and_a_resume_continues_it(folder: ExperimentFolder, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    stop = asks(folder, StopExperiment(reason="lunch"))
    history = tune(fifo(), folder, {(1, 4): stop}, journal=FileJournal(path))
    assert history.n_trials == 2
    assert history.ids(TrialStatus.RUNNING)
    history = tune(fifo(), folder, journal=FileJournal(path))
    assert len(history.ids(TrialStatus.COMPLETED)) == 3
    journal = FileJournal(path)
    outcomes = [event.outcome for event in journal.events() if isinstance(event, SessionEvent)]
    assert [str(outcome) for outcome in outcomes if outcome] == ["stopped", "completed"]
    journal.close()


def test_a_note_is_journaled_and_changes_nothing_else(folder: ExperimentFolder) -> None:
    journal = MemoryJournal()
    text = "<b>Größe</b> \x1b[31m"
    history = tune(fifo(), folder, {(0, 2): asks(folder, WriteNote(text=text, trial_id=0))}, journal=journal)
    (event,) = [event for event in journal.events() if isinstance(event, RequestEvent)]
    assert (event.trial_id, event.arguments["text"]) == (0, text)
    assert len(history.ids(TrialStatus.COMPLETED)) == 3


@pytest.mark.parametrize("request_", ALL, ids=action_of)
def test_a_request_is_done_once_also_if_the_tuner_dies_before_its_file_is_deleted(
    folder: ExperimentFolder, tmp_path: Path, request_: Request
) -> None:
    path = tmp_path / "journal.jsonl"
    actions = {(0, 3): asks(folder, request_)}
    if isinstance(request_, ResumeTrial):
        tune(fifo(), folder, {(0, 3): asks(folder, PauseTrial(trial_id=0))}, journal=FileJournal(path))
        write_request(folder, request_)
        actions = {}
    control = Control()
    with pytest.raises(KeyboardInterrupt):
        tune(fifo(), folder, actions, journal=FileJournal(path), callbacks=[Interrupts()], control=control)
    assert len(read_requests(folder)) == 1
    history = tune(fifo(), folder, journal=FileJournal(path), control=control)
    journal = FileJournal(path)
    assert [action for action, done, _ in answers(journal) if done].count(action_of(request_)) == 1
    journal.close()
    assert read_requests(folder) == []
    expected = {"stop_trial": TrialStatus.STOPPED, "pause_trial": TrialStatus.PAUSED}
    assert history.status(0) is expected.get(action_of(request_), TrialStatus.COMPLETED)
    assert configs(history).count(0.25) == isinstance(request_, TryConfig)
    assert all(stored == request_ for stored in control.stored)
    assert bool(control.stored) == isinstance(request_, ChangeLimits | SetWorkers)
