"""The example of population based training: members really go on from others' checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

from tunewright.events import EndEvent, ResultEvent, StartEvent
from tunewright.journal import read_events
from tunewright.storage import experiments
from tunewright.trial import TrialStatus


def test_clones_begin_where_their_parents_were(run_example: Callable[[str], CompletedProcess[str]]) -> None:
    done = run_example("population_based_training")
    assert done.stdout.startswith("Best(trial_id=")
    folder = next(iter(experiments("train")))
    lines = list(read_events(folder.journal_path))
    clones = {
        event.trial_id: event for event in lines if isinstance(event, StartEvent) and "parent" in event.note
    }
    assert clones
    for trial_id, clone in clones.items():
        source = clone.from_checkpoint
        assert source is not None
        assert source.trial_id == clone.note["parent"]
        first = next((e for e in lines if isinstance(e, ResultEvent) and e.trial_id == trial_id), None)
        if first is not None:
            assert first.resource == source.resource + 1
    assert not [
        event for event in lines if isinstance(event, EndEvent) and event.status is TrialStatus.FAILED
    ]
