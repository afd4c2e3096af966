"""Scripts, settings and refusals of the Slurm backend, without a cluster."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.engine.folder_channel import FolderChannel, order_template
from tunewright.backends.engine.job_service import CreateOutcome, FailureCause, JobOrder, JobState
from tunewright.backends.plugin import TunerJob
from tunewright.backends.slurm import examination
from tunewright.backends.slurm.backend import make_channel
from tunewright.backends.slurm.commands import SlurmCommands
from tunewright.backends.slurm.config import SlurmConfig, seconds_of
from tunewright.backends.slurm.job_service import SlurmJobs, job_script
from tunewright.backends.slurm.plugin import PLUGIN
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.cli import main
from tunewright.exceptions import BackendError, SettingsError
from tunewright.metric import Metric
from tunewright.runner.script_launch import build_command
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script
from tunewright.trial import Run

BENCHMARK = RealBenchmarkDefinition(
    name="training_script",
    script=str(training_script.PATH),
    space=SearchSpace({"x": Float(0.0, 1.0)}),
    metrics=(Metric("loss"),),
)
ORDER = JobOrder(run=Run(trial_id=0, attempt=0), config={})


class Commands:
    """Stands in for Slurm's commands: each prints what a test says, and its calls are kept.

    Parameters
    ----------
    folder
        On PATH.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("sbatch", "squeue", "scancel", "sinfo"):
            self.answer(name)
        self.answer("sacct", error="Slurm accounting storage is disabled")

    def answer(self, name: str, output: str = "", *, error: str = "") -> None:
        """Set what a command prints; with an error it fails."""
        (self._folder / f"{name}.stdout").write_text(output)
        (self._folder / f"{name}.stderr").write_text(error)
        file = self._folder / name
        file.write_text(
            f'#!/bin/sh\necho "$@" >> "$0.calls"\ncat "$0.stdout"\ncat "$0.stderr" >&2\nexit {1 if error else 0}\n'
        )
        file.chmod(0o755)

    def run_jobs(self) -> None:
        """Let sbatch run each script at once, on a cluster of one partition."""
        script = (
            '#!/bin/bash\nlog=$(sed -n "s/#SBATCH --output=//p" "$2")\nbash "$2" >> "$log" 2>&1\necho 7\n'
        )
        (self._folder / "sbatch").write_text(script)
        self.answer("sinfo", "main*|up|2:00:00|3|8|16000|gpu:4\n")

    def calls(self, name: str) -> list[str]:
        file = self._folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Commands(folder)


@pytest.fixture
def make_jobs(commands: Commands, tmp_path: Path) -> Callable[..., SlurmJobs]:
    def make(**settings: Any) -> SlurmJobs:
        channel = FolderChannel(tmp_path / "trials", order_template(BENCHMARK), python=sys.executable)
        jobs = SlurmJobs(SlurmCommands(), channel, SlurmConfig(**settings), "e-1")
        jobs.prepare(1)
        return jobs

    return make


def line(state: str, name: str = "tw-e-1-0-0-0", reason: str = "None") -> str:
    return f"7|{state}|1700000000|1700000001|N/A|{reason}|{name}\n"


def test_the_script_has_all_resources_and_becomes_the_runner() -> None:
    config = SlurmConfig(
        partition="gpu",
        account="lab",
        qos="high",
        time_limit="1-00:00:00",
        mem="16G",
        cpus_per_trial=4,
        num_gpus_per_trial=2,
        constraint="a100|h100",
        setup=("module load cuda", "source env/bin/activate"),
        container="image.sif",
        sbatch=("--exclusive",),
    )
    script = job_script(config, "tw-e-0-0-0", Path("/shared/run"), ["python3", "runner.pyz", "a b"])
    assert script.splitlines() == [
        "#!/bin/bash",
        "#SBATCH --job-name=tw-e-0-0-0",
        "#SBATCH --output=/shared/run/job.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --signal=B:TERM@90",
        "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --partition=gpu",
        "#SBATCH --account=lab",
        "#SBATCH --qos=high",
        "#SBATCH --time=1-00:00:00",
        "#SBATCH --mem=16G",
        "#SBATCH --gres=gpu:2",
        "#SBATCH --constraint='a100|h100'",
        "#SBATCH --no-requeue",
        "#SBATCH --exclusive",
        "module load cuda",
        "source env/bin/activate",
        'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}"',
        "exec apptainer exec --nv image.sif python3 runner.pyz 'a b'",
    ]
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_srun_starts_the_script_on_several_nodes_and_the_runner_once(tmp_path: Path) -> None:
    config = SlurmConfig(nodes_per_trial=2, tasks_per_node=4, num_gpus_per_trial=4, container="image.sif")
    script = job_script(config, "tw-e-0-0-0", tmp_path, ["python3", "runner.pyz"])
    lines = script.splitlines()
    assert {"#SBATCH --nodes=2", "#SBATCH --ntasks-per-node=4", "#SBATCH --gres=gpu:4"} < set(lines)
    assert lines[-1] == "exec python3 runner.pyz"
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    channel = make_channel(BENCHMARK, config, tmp_path)
    order = channel.run_order(ORDER)
    command = build_command(order)
    assert command[:3] == ["srun", "--kill-on-bad-exit=1", "--export=ALL"]
    container = command.index("apptainer")
    assert command[container : container + 6] == [
        "apptainer",
        "exec",
        "--nv",
        "image.sif",
        "python3",
        BENCHMARK.script,
    ]


def test_a_tuner_submits_the_next_job_before_it_ends(commands: Commands, tmp_path: Path) -> None:
    """At the signal before the time limit the tuner is ended; the script ends well, and the next job has the same script."""
    folder = tmp_path / "tuner"
    begun = tmp_path / "begun"
    command = ("sh", "-c", f"touch '{begun}'; exec sleep 60")
    tuner = TunerJob(name="tuner-e", command=command, cwd=tmp_path, folder=folder)
    config = SlurmConfig(
        partition="gpu",
        tuner_partition="cpu",
        tuner_time_limit="1-0",
        tuner_sbatch=("--mem=4G",),
        setup=("module() { :; }",),
    )
    commands.answer("sbatch", "8\n")
    assert "job 8" in PLUGIN.launch(config, tuner)
    script = folder / "tuner.sh"
    assert {"#SBATCH --partition=cpu", "#SBATCH --time=1-0", "#SBATCH --mem=4G"} < set(
        script.read_text().splitlines()
    )
    environment = {**os.environ, "SLURM_JOB_ID": "8", "SLURM_CONF": "here"}
    with subprocess.Popen(["bash", script], env=environment, stdout=subprocess.PIPE, text=True) as job:
        while not begun.exists():
            time.sleep(0.02)
        job.send_signal(signal.SIGUSR1)
        output, _ = job.communicate(timeout=60)
    assert job.returncode == 0, output
    assert "goes on" in output
    assert commands.calls("sbatch")[1:] == [f"--parsable --dependency=afterany:8 {script}"]


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("exit 0", 0)])
def test_a_tuner_that_ends_by_itself_has_no_next_job(
    commands: Commands, tmp_path: Path, command: str, code: int
) -> None:
    tuner = TunerJob(name="tuner-e", command=("sh", "-c", command), cwd=tmp_path, folder=tmp_path / "tuner")
    PLUGIN.launch(SlurmConfig(), tuner)
    done = subprocess.run(["bash", tmp_path / "tuner" / "tuner.sh"], check=False)
    assert (done.returncode, len(commands.calls("sbatch"))) == (code, 1)


def test_a_tuner_that_is_cancelled_ends_in_order(commands: Commands, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = ("bash", "-c", f"trap 'exit 9' TERM; touch '{begun}'; while :; do sleep 0.05; done")
    PLUGIN.launch(
        SlurmConfig(), TunerJob(name="tuner-e", command=command, cwd=tmp_path, folder=tmp_path / "tuner")
    )
    with subprocess.Popen(["bash", tmp_path / "tuner" / "tuner.sh"]) as job:
        while not begun.exists():
            time.sleep(0.02)
        job.terminate()
        assert job.wait(60) == 9
    assert len(commands.calls("sbatch")) == 1


def test_a_tuner_that_runs_is_not_launched_again(commands: Commands, tmp_path: Path) -> None:
    commands.answer("squeue", line("RUNNING", "tuner-e"))
    tuner = TunerJob(name="tuner-e", command=("true",), cwd=tmp_path, folder=tmp_path / "tuner")
    with pytest.raises(SettingsError, match="RUNNING as job 7"):
        PLUGIN.launch(SlurmConfig(), tuner)
    commands.answer("squeue", line("CANCELLED", "tuner-e"))
    commands.answer("sbatch", error="sbatch: error: invalid partition specified: cpu")
    with pytest.raises(SettingsError, match="invalid partition"):
        PLUGIN.launch(SlurmConfig(), tuner)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("", None),
        ("UNLIMITED", None),
        ("90", 5400),
        ("2:30", 150),
        ("1:00:00", 3600),
        ("2-6", 194400),
        ("1-0:30", 88200),
        ("1-0:0:5", 86405),
    ],
)
def test_time_limits_are_those_of_slurm(limit: str, seconds: int | None) -> None:
    assert seconds_of(limit) == seconds


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"time_limit": "soon"}, "no time of Slurm"),
        ({"time_limit": "1"}, "signal_seconds"),
        ({"tuner_time_limit": "2"}, "longer than the 120 s"),
        ({"nodes_per_trial": 0}, "nodes_per_trial"),
        ({"cpus_per_trial": 0}, "cpus_per_trial"),
        ({"gres": "gpu:1", "num_gpus_per_trial": 1}, "both"),
        ({"sbatch": ("exclusive",)}, "hyphen"),
        ({"mem": "1G\nrm -r /"}, "line break"),
        ({"shared_folder": "s3://bucket/trials"}, "needs a folder"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        SlurmConfig(**settings)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("sbatch: error: AssocMaxSubmitJobLimit", CreateOutcome.FULL),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", CreateOutcome.FULL),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", CreateOutcome.LATER),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", CreateOutcome.UNKNOWN),
        ("sbatch: error: Batch job submission failed: Connection reset by peer", CreateOutcome.UNKNOWN),
        ("sbatch: error: invalid partition specified: nowhere", CreateOutcome.UNEXPLAINED),
    ],
)
def test_refusals(
    make_jobs: Callable[..., SlurmJobs], commands: Commands, error: str, outcome: CreateOutcome
) -> None:
    commands.answer("sbatch", error=error)
    answer = make_jobs().create(ORDER)
    assert answer.outcome is outcome
    assert error.partition("error: ")[2] in answer.reason


def test_a_lost_answer_creates_no_second_job(make_jobs: Callable[..., SlurmJobs], commands: Commands) -> None:
    jobs = make_jobs()
    commands.answer("sbatch", error="Socket timed out on send/recv operation")
    assert jobs.create(ORDER).outcome is CreateOutcome.UNKNOWN
    commands.answer("sbatch", "7\n")
    commands.answer("squeue", line("PENDING"))
    assert jobs.create(ORDER).outcome is CreateOutcome.CREATED
    assert len(commands.calls("sbatch")) == 1


def test_other_experiments_jobs_are_not_listed(
    make_jobs: Callable[..., SlurmJobs], commands: Commands
) -> None:
    names = ("tw-e-1-0-0-0", "tw-e-10-0-0-0", "tw-e-1-2-0-0-0", "mine")
    commands.answer("squeue", "".join(line("RUNNING", name) for name in names))
    assert list(make_jobs().list_jobs()) == ["0-0-0"]


@pytest.mark.parametrize(
    ("state", "expected", "cause"),
    [
        ("CANCELLED", JobState.FAILED, FailureCause.SERVICE),
        ("NODE_FAIL", JobState.FAILED, FailureCause.SERVICE),
        ("PREEMPTED", JobState.FAILED, FailureCause.SERVICE),
        ("TIMEOUT", JobState.TIMED_OUT, FailureCause.SERVICE),
        ("OUT_OF_MEMORY", JobState.FAILED, FailureCause.JOB),
        ("FAILED", JobState.FAILED, FailureCause.JOB),
    ],
)
def test_ends_without_a_message_are_explained(
    make_jobs: Callable[..., SlurmJobs],
    commands: Commands,
    state: str,
    expected: JobState,
    cause: FailureCause,
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    commands.answer("squeue", line(state))
    status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
    assert status.state is expected
    assert jobs.failure("0-0-0", status).cause is cause


def test_accounting_knows_better(make_jobs: Callable[..., SlurmJobs], commands: Commands) -> None:
    """A step ran out of memory, and the job has only failed; of two jobs of a name the newer one counts."""
    jobs = make_jobs()
    jobs.create(ORDER)
    commands.answer("sacct", "7|NODE_FAIL\n10|FAILED\n10.batch|OUT_OF_MEMORY\n")
    commands.answer("squeue", line("FAILED"))
    status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
    failure = jobs.failure("0-0-0", status)
    assert (failure.cause, "--mem" in failure.reason) == (FailureCause.JOB, True)


def test_accounting_knows_jobs_that_squeue_has_forgotten(
    make_jobs: Callable[..., SlurmJobs], commands: Commands
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    commands.answer("sacct", "7|CANCELLED by 1000\n")
    assert jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].detail == "CANCELLED"
    assert jobs.describe("0-0-0").state is JobState.FAILED
    commands.answer("sacct", "")
    assert jobs.describe("0-0-0").state is JobState.COMPLETED


def test_a_job_that_slurm_has_forgotten_has_ended(
    make_jobs: Callable[..., SlurmJobs], commands: Commands
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    commands.answer("squeue", line("RUNNING"))
    assert not jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].is_terminal
    commands.answer("squeue", "")
    assert jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].state is JobState.COMPLETED
    assert jobs.describe("0-0-0").is_terminal


def test_a_run_that_ended_while_there_was_no_tuner_is_listed(
    make_jobs: Callable[..., SlurmJobs], tmp_path: Path
) -> None:
    """Slurm has forgotten the job; the runner's claim remains."""
    make_jobs().create(ORDER)
    (tmp_path / "trials" / "0" / "runs" / "0-0" / "claim").touch()
    statuses = make_jobs().list_jobs()
    assert {key: status.state for key, status in statuses.items()} == {"0-0-0": JobState.COMPLETED}


def test_after_a_trial_that_began_a_broken_job_is_blamed_on_its_node(
    make_jobs: Callable[..., SlurmJobs], commands: Commands, tmp_path: Path
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    commands.answer("squeue", line("FAILED"))
    status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
    (tmp_path / "trials" / "0" / "runs" / "0-0" / "job.log").write_text("no such module")
    assert "no such module" in jobs.failure("0-0-0", status).reason
    claim = tmp_path / "trials" / "1" / "runs" / "0-0" / "claim"
    claim.parent.mkdir(parents=True)
    claim.touch()
    assert jobs.failure("0-0-0", status).cause is FailureCause.SERVICE


def test_a_machine_without_slurm_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="sbatch, squeue, scancel"):
        SlurmCommands().check()


# --- command line


def test_a_remote_tuner_is_one_job(
    commands: Commands, tmp_path: Path, tunewright_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    tune = ["tune", str(training_script.PATH), "--space", str(tmp_path / "space.toml"), "--metric", "loss"]
    tune += ["--experiment_tag", "far", "--max_num_trials", "1", "--backend", "slurm", "--remote", "1"]
    commands.answer("sbatch", "8\n")
    folder = tunewright_home / "remote" / "far" / "RandomSearch-training-script-0"
    for more, code, calls in (([], 0, 1), ([], 2, 1), (["--resume", "1"], 0, 2), (["--wait", "1"], 2, 2)):
        with pytest.raises(SystemExit) as ended:
            main([*tune, *more])
        assert (ended.value.code, len(commands.calls("sbatch"))) == (code, calls), capsys.readouterr()
    assert commands.calls("sbatch") == [f"--parsable {folder / 'tuner.sh'}"] * 2
    assert f"export TUNEWRIGHT_HOME={tunewright_home}" in (folder / "tuner.sh").read_text()
    with pytest.raises(SystemExit):
        main(["remote", "status", "far"])
    assert "tunewright list --experiment_tag far" in capsys.readouterr().err


# --- doctor


def examined(folder: Path, **settings: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Facts and remedies by what was looked at."""
    findings = list(PLUGIN.examine(SlurmConfig(**settings), folder))
    return {one.what: one.found for one in findings}, {one.what: one.remedy for one in findings if one.remedy}


def test_the_doctor_runs_a_job(commands: Commands, tmp_path: Path) -> None:
    commands.run_jobs()
    facts, remedies = examined(tmp_path / "doctor", time_limit="1:00:00", setup=("echo from the setup",))
    assert not remedies
    assert facts["partition main (default)"] == "3 nodes of 8 CPUs, 16000 MB, gpu:4; time limit 2:00:00"
    assert facts["Python"] == f"{platform.python_version()}, {sys.executable}"
    assert facts["setup"].endswith("from the setup")
    assert commands.calls("scancel")
    assert not (tmp_path / "doctor").exists()


def test_the_doctor_names_remedies(commands: Commands, tmp_path: Path) -> None:
    commands.run_jobs()
    _, remedies = examined(tmp_path / "doctor", partition="gpu", python="/no/python")
    assert remedies["partition gpu"] == "--partition main"
    assert "--python" in remedies["job"]
    _, remedies = examined(tmp_path / "doctor", time_limit="1-00:00:00")
    assert "at most 2:00:00" in remedies["partition main (default)"]
    commands.answer("sbatch", error="sbatch: error: AssocMaxSubmitJobLimit")
    assert "job" in examined(tmp_path / "doctor")[1]
    commands.answer("sinfo", error="sinfo: error: Unable to contact slurm controller")
    facts, remedies = examined(tmp_path / "doctor")
    assert "Unable to contact" in facts["Slurm"]
    assert remedies


def test_the_doctor_says_that_a_file_of_the_node_is_not_seen(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "LATE_SECONDS", 0.0)
    commands.answer("sinfo", "main*|up|infinite|3|8|16000|(null)\n")
    _, remedies = examined(tmp_path / "doctor")
    assert "--shared_folder" in remedies["shared folder"]


def test_a_time_limit_on_the_command_line_is_that_of_slurm(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a number of seconds, as other times of command lines."""
    commands.run_jobs()
    with pytest.raises(SystemExit):
        main(["doctor", "--backend", "slurm", "--time_limit", "1-12"])
    out = capsys.readouterr().out
    assert "--time_limit 1-12 is longer" in out
    assert "a job of one second" in out


def test_a_flag_of_a_backend_needs_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--partition", "gpu"])
    assert "--backend slurm" in capsys.readouterr().err
