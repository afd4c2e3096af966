"""BackendContract: what every backend must do."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from tunewright.backends.plugin import TrialLog, output_files
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Backend
from tunewright.storage import ExperimentFolder
from tunewright.testing.events import EventReader, expect, expect_equal
from tunewright.testing.training_script import training_config
from tunewright.trial import Checkpoint, Decision, Ended, OpenRun, Run, Verdict

_ENDLESS = 10_000
_LOOK = 0.1
"""Real seconds between two looks at the output of a trial."""


class BackendContract(ABC):
    """A suite of pytest tests; a subclass named ``Test...`` makes them run for its backend.

    A subclass provides :meth:`make_backend`, and where the default does not fit, :meth:`open_log`, :meth:`abandon` and
    the class variables. The backend runs the script ``tunewright.testing.training_script.PATH`` (or, without processes,
    ``train_epoch`` of that module), whose arguments come from ``training_config``, whose resource attribute is
    ``"epoch"``, and which checkpoints before each report. No test looks at a clock: all wait for events, with
    ``patience`` as the deadline.

    Examples
    --------
    ::

        class TestSimulatedBackend(BackendContract):
            def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
                return SimulatedBackend(train_epoch, n_workers=n_workers, max_resource=10_000)

            def open_log(self, folder: Path, trial_id: int) -> None:
                return None
    """

    patience: ClassVar[float] = 60.0
    """Real seconds after which a test that waits for an event fails."""
    epoch_seconds: ClassVar[float] = 0.05
    """How long the script sleeps in an epoch."""
    keeps_checkpoints: ClassVar[bool] = True
    """Whether a resumed run begins from a checkpoint."""
    is_run_a_job: ClassVar[bool] = True
    """Whether each run is one of the jobs of the summary; else jobs take several."""

    @abstractmethod
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        """A backend that stores everything under ``folder``; ``attach`` was not called yet.

        Called again with the same folder, it is the backend of a second tuner process for the same experiment.
        """

    def open_log(self, folder: Path, trial_id: int) -> TrialLog | None:
        """Open the output of a trial as the plugin's ``logs`` does; None: the backend keeps none.

        By default the files that ``BackendPlugin.logs`` reads, if ``folder`` is the experiment's.
        """
        return output_files(ExperimentFolder(folder), trial_id)

    def abandon(self, backend: Backend) -> None:
        """Do to ``backend`` what kill -9 of the tuner does: its runs live on, and nothing tells them."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        """A new backend with two workers."""
        backend = self.make_backend(tmp_path, n_workers=2)
        backend.attach(())
        yield backend
        backend.close()

    @pytest.fixture
    def events(self, backend: Backend) -> EventReader:
        """The events of ``backend``."""
        return EventReader(backend, patience=self.patience)

    def test_a_new_backend_is_idle(self, backend: Backend, tmp_path: Path) -> None:
        """All workers are free, nothing happens, nothing was paid."""
        expect_equal(backend.free_workers(), 2, "free workers")
        expect_equal(list(backend.wait(0.0)), [], "events")
        expect_equal((backend.summary().jobs, backend.summary().cost), (0, 0.0), "jobs and cost")
        expect_equal(self._read_log(tmp_path) or "", "", "output of a trial that never was")

    def test_a_run_comes_to_its_own_end(self, backend: Backend, events: EventReader, tmp_path: Path) -> None:
        """Reports in order, then one end without error; afterwards pause and stop change nothing."""
        backend.start(Run(trial_id=0, attempt=0), self._config(3))
        ended = events.until_ended(0)
        expect_equal(events.resources(0), [1, 2, 3], "resources")
        expect_equal([r.seq for r in events.reports], [1, 2, 3], "numbers of reports")
        expect_equal([r.metrics["loss"] for r in events.reports], [1.0, 1 / 2, 1 / 3], "losses")
        expect_equal([r.metrics["epoch"] for r in events.reports], [1, 2, 3], "epochs")
        expect_equal((ended.exit, ended.error), (0, ""), "exit and error")
        expect_equal(backend.free_workers(), 2, "free workers")
        self._expect_jobs(backend, 1)
        self._check_log(tmp_path, 3)
        backend.pause(0)
        backend.stop(0)
        events.drain()

    def test_a_run_ends_at_until_and_is_resumed_there(self, backend: Backend, events: EventReader) -> None:
        """Nobody asks it to end; the next attempt goes on after the checkpoint."""
        config = self._config(_ENDLESS)
        backend.start(Run(trial_id=0, attempt=0, until=2), config)
        ended = events.until_ended(0)
        expect_equal(events.resources(0), [1, 2], "resources up to until")
        expect_equal((ended.exit, ended.error), (0, ""), "exit and error")
        expect_equal(ended.checkpoint, self._checkpoint(2), "checkpoint")
        resumed = self._resumed(attempt=1, ended=ended, until=4)
        backend.start(resumed, config)
        ended = events.until_ended(0, attempt=1)
        expect_equal(events.resources(0, 1), list(range(resumed.resume_from + 1, 5)), "resources afterwards")
        expect_equal(ended.checkpoint, self._checkpoint(4), "checkpoint")
        for _ in range(2):
            backend.delete_checkpoint(Checkpoint(trial_id=0, resource=2))

    def test_pause_ends_the_run_and_keeps_its_checkpoint(self, backend: Backend, events: EventReader) -> None:
        """The worker is busy until the end; a second pause changes nothing; then the trial goes on."""
        config = self._config(_ENDLESS)
        backend.start(Run(trial_id=0, attempt=0), config)
        events.until_reported(0, 2)
        backend.pause(0)
        backend.pause(0)
        if (0, 0) not in events.ends:
            expect_equal(backend.free_workers(), 1, "free workers while the run is being paused")
        ended = events.until_ended(0)
        expect_equal(backend.free_workers(), 2, "free workers after the end")
        expect(len(events.resources(0)) < _ENDLESS, "the run was not ended by pause")
        if self.keeps_checkpoints:
            kept = ended.checkpoint
            expect(kept is not None and kept.resource >= 2, f"the paused run left the checkpoint {kept}")
        resumed = self._resumed(attempt=1, ended=ended, until=100)
        backend.start(replace(resumed, until=resumed.resume_from + 1), config)
        events.until_ended(0, attempt=1)
        expect_equal(events.resources(0, 1), [resumed.resume_from + 1], "resources of the resumed run")
        self._expect_jobs(backend, 2 if self.is_run_a_job else 1)

    def test_the_number_of_workers_changes_or_is_refused(self, backend: Backend, events: EventReader) -> None:
        """Running runs go on if there are fewer workers; a backend that cannot change the number says so and keeps it."""
        try:
            backend.set_workers(3)
        except SettingsError:
            expect_equal(backend.free_workers(), 2, "free workers after a refusal")
            return
        expect_equal(backend.free_workers(), 3, "free workers")
        for trial_id in (0, 1):
            backend.start(Run(trial_id=trial_id, attempt=0), self._config(1))
        backend.set_workers(1)
        expect_equal(backend.free_workers(), 0, "free workers while two runs keep more than there are")
        for trial_id in (0, 1):
            expect_equal(events.until_ended(trial_id).exit, 0, "exit")
        expect_equal(backend.free_workers(), 1, "free workers at the end")

    def test_stop_ends_the_run(self, backend: Backend, events: EventReader) -> None:
        """A run that would go on for long ends soon, once."""
        backend.start(Run(trial_id=0, attempt=0), self._config(_ENDLESS))
        events.until_reported(0, 1)
        backend.stop(0)
        events.until_ended(0)
        expect(len(events.resources(0)) < _ENDLESS, "the run was not ended by stop")
        events.drain()

    def test_a_run_may_be_stopped_before_it_reports(self, backend: Backend, events: EventReader) -> None:
        """Also a run that is still starting, and another one is not touched."""
        backend.start(Run(trial_id=0, attempt=0), self._config(_ENDLESS))
        backend.start(Run(trial_id=1, attempt=0), self._config(2))
        backend.stop(0)
        events.until_ended(0)
        expect_equal(events.until_ended(1).exit, 0, "exit of the other run")
        expect_equal(events.resources(1), [1, 2], "resources of the other run")

    def test_a_script_that_raises_fails(self, backend: Backend, events: EventReader, tmp_path: Path) -> None:
        """Earlier reports count; the error and the output contain the message."""
        backend.start(Run(trial_id=0, attempt=0), self._config(5, fail_at=3))
        ended = events.until_ended(0)
        expect_equal(events.resources(0), [1, 2], "resources before the failure")
        expect(ended.exit != 0, "a script that raised has exit code 0")
        why = "epoch 3 failed as it was told to"
        expect(why in ended.error, f"the error does not say why: {ended.error!r}")
        self._until_logged(tmp_path, lambda text: why in text)

    def test_workers_are_counted(self, backend: Backend, events: EventReader) -> None:
        """A started run has a worker until its end, and several run side by side."""
        for trial_id in range(2):
            expect_equal(backend.free_workers(), 2 - trial_id, "free workers")
            backend.start(Run(trial_id=trial_id, attempt=0), self._config(_ENDLESS))
        expect_equal(backend.free_workers(), 0, "free workers when all are busy")
        for trial_id in range(2):
            events.until_reported(trial_id, 2)
        expect_equal(backend.free_workers(), 0, "free workers while both run")
        for trial_id in range(2):
            backend.stop(trial_id)
            events.until_ended(trial_id)
        expect_equal(backend.free_workers(), 2, "free workers at the end")

    def test_a_running_run_is_adopted_after_a_crash(self, tmp_path: Path) -> None:
        """No report is lost, the run ends once, and its worker is busy meanwhile."""
        run, config = Run(trial_id=0, attempt=0), self._config(8)
        first = self.make_backend(tmp_path, n_workers=2)
        first.attach(())
        began = first.clock.now()
        first.start(run, config)
        before = EventReader(first, patience=self.patience)
        before.until_reported(0, 1)
        seen = len(before.reports)
        now = first.clock.now()
        self.abandon(first)
        open_run = OpenRun(run=run, config=config, started_at=began, seen=seen, seen_resource=seen)
        second, after = self._second(tmp_path, now, open_run)
        expect_equal(second.free_workers(), 1, "free workers after attach")
        ended = after.until_ended(0)
        expect_equal((ended.exit, ended.error), (0, ""), "exit and error")
        heard = {report.resource for report in before.reports + after.reports}
        expect_equal(heard, set(range(1, 9)), "resources heard before and after the crash")
        self._check_log(tmp_path, 8)
        second.close()

    def test_an_absent_run_is_started_by_attach(self, tmp_path: Path) -> None:
        """The tuner died between the journal's line and the start."""
        run, config = Run(trial_id=3, attempt=0, until=2), self._config(5)
        second, events = self._second(tmp_path, 1.0, OpenRun(run=run, config=config, started_at=1.0))
        events.until_ended(3)
        expect_equal(events.resources(3), [1, 2], "resources")
        second.close()

    @pytest.mark.parametrize("decision", [Decision.PAUSE, Decision.STOP])
    def test_a_pending_verdict_is_carried_out_by_attach(self, tmp_path: Path, decision: Decision) -> None:
        """The tuner died between the verdict's line and its effect."""
        run, config = Run(trial_id=0, attempt=0), self._config(_ENDLESS)
        first = self.make_backend(tmp_path, n_workers=2)
        first.attach(())
        began = first.clock.now()
        first.start(run, config)
        before = EventReader(first, patience=self.patience)
        before.until_reported(0, 1)
        seen, now = len(before.reports), first.clock.now()
        self.abandon(first)
        open_run = OpenRun(
            run=run,
            config=config,
            started_at=began,
            seen=seen,
            seen_resource=seen,
            verdict=Verdict(decision=decision),
            verdict_at=now,
        )
        second, after = self._second(tmp_path, now, open_run)
        after.until_ended(0)
        expect(len(after.resources(0)) < _ENDLESS, "the verdict was not carried out")
        expect_equal(second.free_workers(), 2, "free workers")
        second.close()

    def test_a_closed_backends_run_is_continued_by_the_next_session(self, tmp_path: Path) -> None:
        """The end of a session ends the script, and loses no epoch of a run that has a checkpoint."""
        run, config = Run(trial_id=0, attempt=0), self._config(8)
        first = self.make_backend(tmp_path, n_workers=2)
        first.attach(())
        began = first.clock.now()
        first.start(run, config)
        before = EventReader(first, patience=self.patience)
        before.until_reported(0, 2)
        seen, now = len(before.reports), first.clock.now()
        first.close()
        open_run = OpenRun(run=run, config=config, started_at=began, seen=seen, seen_resource=seen)
        second, after = self._second(tmp_path, now, open_run)
        ended = after.until_ended(0)
        expect_equal((ended.exit, ended.error), (0, ""), "exit and error")
        heard = {report.resource for report in before.reports + after.reports}
        expect_equal(heard, set(range(1, 9)), "resources heard in both sessions")
        second.close()

    def _expect_jobs(self, backend: Backend, n: int) -> None:
        """Compare the number of jobs, unless the backend has the empty summary of the base class."""
        if type(backend).summary is not Backend.summary:
            expect_equal(backend.summary().jobs, n, "jobs")

    def _config(self, epochs: int, *, fail_at: int = 0) -> dict[str, str | int | float | bool]:
        return dict(training_config(epochs=epochs, seconds=self.epoch_seconds, fail_at=fail_at))

    def _checkpoint(self, resource: int) -> Checkpoint | None:
        return Checkpoint(trial_id=0, resource=resource) if self.keeps_checkpoints else None

    def _resumed(self, *, attempt: int, ended: Ended, until: int) -> Run:
        kept = ended.checkpoint
        return Run(
            trial_id=0,
            attempt=attempt,
            until=until,
            resume_from=kept.resource if kept else 0,
            from_checkpoint=kept,
        )

    def _second(self, folder: Path, now: float, open_run: OpenRun) -> tuple[Backend, EventReader]:
        """The backend of a second tuner, attached to a run."""
        backend = self.make_backend(folder, n_workers=2)
        backend.clock.resume_at(now)
        backend.attach([open_run])
        return backend, EventReader(backend, patience=self.patience)

    def _check_log(self, folder: Path, epochs: int) -> None:
        def has_reports(text: str) -> bool:
            places = [text.find(f'"epoch": {epoch},') for epoch in range(1, epochs + 1)]
            return -1 not in places and places == sorted(places)

        self._until_logged(folder, has_reports)

    def _until_logged(self, folder: Path, is_there: Callable[[str], bool]) -> None:
        """Wait for output of trial 0, which a service may show late."""
        limit = time.monotonic() + self.patience
        while (text := self._read_log(folder)) is not None and not is_there(text):
            expect(time.monotonic() < limit, f"printed lines are missing in the output: {text!r}")
            time.sleep(_LOOK)

    def _read_log(self, folder: Path) -> str | None:
        """All output of trial 0 so far; None: the backend keeps none."""
        log = self.open_log(folder, 0)
        if log is None:
            return None
        try:
            return log.new_text()
        finally:
            log.close()
