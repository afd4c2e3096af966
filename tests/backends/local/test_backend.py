"""What scripts get from the local backend, and what is said when something cannot work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.backends.local import LocalBackend, LocalConfig
from tunewright.backends.local.backend import GpuPool, find_gpus
from tunewright.exceptions import BackendError, SettingsError
from tunewright.trial import Checkpoint, OpenRun, Run

ECHO = """
import json, os, sys
print("[tune-metric]:", json.dumps({"epoch": 1, "argv": sys.argv[1:], "cwd": os.getcwd(), **os.environ}))
"""


def test_scripts_get_arguments_and_environment(bench) -> None:
    bench.write(ECHO)
    backend = bench.backend(environment={"MINE": "ü"}, channels={"train": Path("/data")}, cwd=bench.folder)
    events = bench.events(backend)
    backend.start(Run(trial_id=7, attempt=0), {"name": "a 'b' \"c\" ☃", "flag": True})
    assert events.until_ended(7).error == ""
    found = events.reports[0].metrics
    assert found["argv"] == ["--name", "a 'b' \"c\" ☃", "--flag", "True"]
    assert (found["MINE"], found["SM_CHANNEL_TRAIN"], found["cwd"]) == ("ü", "/data", str(bench.folder))
    assert (found["OMP_NUM_THREADS"], found["TUNEWRIGHT_TRIAL"]) == ("1", "7")
    config = json.loads((bench.trials / "7" / "config.json").read_text())
    assert config == {"name": "a 'b' \"c\" ☃", "flag": True}
    beside_checkpoints = Path(found["TUNEWRIGHT_CHECKPOINT_DIR"]).parent / "config.json"
    assert json.loads(beside_checkpoints.read_text()) == config


def test_until_may_be_passed_as_the_max_resource(bench) -> None:
    backend = bench.backend(max_resource_attr="epochs", until_as_max_resource=True)
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0, until=2), {"epochs": 9})
    events.until_ended(0)
    assert events.resources(0) == [1, 2]
    assert json.loads((bench.trials / "0/config.json").read_text())["epochs"] == 2


def test_a_trial_begins_from_anothers_checkpoint(bench) -> None:
    backend = bench.backend()
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0, until=3), {"epochs": 9})
    source = events.until_ended(0).checkpoint
    assert source == Checkpoint(trial_id=0, resource=3)
    backend.start(Run(trial_id=1, attempt=0, until=5, resume_from=3, from_checkpoint=source), {"epochs": 9})
    assert events.until_ended(1).checkpoint == Checkpoint(trial_id=1, resource=5)
    assert events.resources(1) == [4, 5]
    assert (bench.trials / "0/checkpoints/3").is_dir()
    backend.delete_checkpoint(source)
    assert not (bench.trials / "0/checkpoints/3").exists()


def test_a_run_that_leaves_no_checkpoint_of_its_own_has_the_one_it_began_from(bench) -> None:
    bench.write("import shutil, os\nshutil.rmtree(os.environ['TUNEWRIGHT_CHECKPOINT_DIR'])")
    backend = bench.backend()
    source = bench.trials / "0/checkpoints/3"
    source.mkdir(parents=True)
    (source / "state").write_text("3")
    checkpoint = Checkpoint(trial_id=0, resource=3)
    backend.start(Run(trial_id=0, attempt=1, resume_from=3, from_checkpoint=checkpoint), {})
    assert bench.events(backend).until_ended(0, attempt=1).checkpoint == checkpoint


def test_a_python_function_runs_in_a_process(bench) -> None:
    bench.write("from tunewright import report\ndef train(x):\n    report(epoch=1, y=x * 2)\n", "mine.py")
    for trial_id, script in enumerate(("mine:train", f"{bench.folder}/mine.py:train")):
        backend = bench.backend(script, cwd=bench.folder)
        events = bench.events(backend)
        backend.start(Run(trial_id=trial_id, attempt=0), {"x": 4})
        assert events.until_ended(trial_id).error == ""
        assert events.reports[0].metrics["y"] == 8
        backend.close()


def test_a_functions_module_is_found_where_the_tuner_found_it(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.folder / "lib").mkdir()
    bench.write("from tunewright import report\ndef train():\n    report(epoch=1)\n", "lib/of_mine.py")
    monkeypatch.syspath_prepend(str(bench.folder / "lib"))
    backend = bench.backend("of_mine:train")
    backend.start(Run(trial_id=0, attempt=0), {})
    assert bench.events(backend).until_ended(0).error == ""


def test_costs_grow_with_time(bench) -> None:
    backend = bench.backend(dollars_per_hour=3600.0)
    events = bench.events(backend)
    backend.start(Run(trial_id=0, attempt=0), {"epochs": 3, "seconds": 0.02})
    ended = events.until_ended(0)
    assert 0.04 < events.reports[1].cost <= ended.cost == backend.summary().cost


def test_the_error_of_a_crash_has_the_last_lines(bench) -> None:
    bench.write("print('begun')\nraise RuntimeError('no data')")
    backend = bench.backend()
    backend.start(Run(trial_id=0, attempt=0), {})
    ended = bench.events(backend).until_ended(0)
    assert ended.exit == 1
    assert "RuntimeError: no data" in ended.error
    assert "begun" in ended.error


def test_runs_get_the_least_used_gpus(bench) -> None:
    bench.write(
        "import json, os, time\n"
        "print('[tune-metric]:', json.dumps({'gpus': os.environ['CUDA_VISIBLE_DEVICES'],"
        " 'n': os.environ['SM_NUM_GPUS']}), flush=True)\n"
        "time.sleep(600)"
    )
    backend = bench.backend(config=LocalConfig(gpus=(4, 5, 7), num_gpus_per_trial=2))
    events = bench.events(backend)
    for trial_id in range(2):
        backend.start(Run(trial_id=trial_id, attempt=0), {})
        events.until_reported(trial_id, 1)
    assert [report.metrics for report in events.reports] == [
        {"gpus": "4,5", "n": "2"},
        {"gpus": "7,4", "n": "2"},
    ]
    bench.abandon(backend)
    second = bench.backend(config=LocalConfig(gpus=(4, 5, 7)))
    second.attach([OpenRun(run=Run(trial_id=i, attempt=0), config={}, started_at=0.0) for i in range(2)])
    second.start(Run(trial_id=2, attempt=0), {})
    after = bench.events(second)
    after.until_reported(2, 1)
    assert [r.metrics["gpus"] for r in after.reports if r.trial_id == 2] == ["5"]


def test_the_pool_shares_gpus_evenly() -> None:
    pool = GpuPool(("0", "1"), 1)
    assert [pool.take(), pool.take(), pool.take()] == [("0",), ("1",), ("0",)]
    pool.give_back(("0",))
    pool.give_back(("0",))
    assert pool.take() == ("0",)
    assert GpuPool((), 3).take() == ()
    with pytest.raises(SettingsError, match="there are only 2 GPUs"):
        GpuPool(("0", "1"), 3)


def test_gpus_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3,-1")
    assert find_gpus() == ("2", "3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpus() == ()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: A (UUID: y)'\n")
    tool.chmod(0o755)
    assert find_gpus() == ("0", "1")


def test_a_request_for_a_million_workers_is_refused(bench) -> None:
    backend = bench.backend(n_workers=2)
    with pytest.raises(SettingsError, match="1000000 workers are too many"):
        backend.set_workers(1_000_000)
    assert backend.free_workers() == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_workers": 0}, "n_workers=0 must be >= 1"),
        ({"max_retries": -1}, "max_retries=-1 must be >= 0"),
        ({"grace": -1.0}, r"grace=-1.0 must be >= 0"),
        ({"abandon_after": float("nan")}, "abandon_after=nan must be >= 0"),
        ({"dollars_per_hour": -0.1}, "dollars_per_hour=-0.1 must be >= 0"),
        ({"arguments": "lists"}, "Did you mean 'list'"),
        ({"booleans": "flags"}, "Did you mean 'flag'"),
        ({"until_as_max_resource": True}, "needs max_resource_attr"),
    ],
)
def test_settings_that_cannot_work_are_refused(bench, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        bench.backend(**settings)
    with pytest.raises(SettingsError, match="num_gpus_per_trial=0 must be >= 1"):
        LocalConfig(num_gpus_per_trial=0)


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    for script in ("missing.py", "missing.py:train"):
        with pytest.raises(SettingsError, match=r"There is no script .*missing\.py"):
            LocalBackend(script, folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BackendError, match="cannot be used"):
        LocalBackend(bench.script, folder=tmp_path / "file" / "trials")
    backend = bench.backend()
    (bench.trials / "0").write_text("in the way")
    with pytest.raises(BackendError, match="free the disk"):
        backend.start(Run(trial_id=0, attempt=0), {})
