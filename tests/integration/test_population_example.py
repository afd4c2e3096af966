"""The example of population based training: members really go on from others' checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

from tunewright.journal import read_events
from tunewright.storage import experiments


def test_clones_begin_where_their_parents_were(run_example: Callable[[str], CompletedProcess[str]]) -> None:
    done = run_example("population_based_training")
    assert done.stdout.startswith("Best(trial_id=")
    folder = next(iter(experiments("train")))
    lines = list(read_events(folder.journal_path))
    clones = {line.trial_id: line for line in lines if line.kind == "start" and "parent" in line.note}
    assert clones
    for trial_id, clone in clones.items():
        source = clone["from_checkpoint"]
        assert source["trial_id"] == clone["note"]["parent"]
        first = next((line for line in lines if line.kind == "result" and line.trial_id == trial_id), None)
        if first is not None:
            assert first["resource"] == source["resource"] + 1
    assert not [line for line in lines if line.kind == "end" and line.status == "failed"]
