"""What a job's processes see, how they end, and that none of them outlives anything. In both isolations."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.execution import Isolation
from sagemaker_emulator.execution.command import MARKER

TELL = """
import json, os, socket
seen = {"env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid(), "host": socket.gethostname()}
seen["files"] = sorted(os.path.join(p, f) for p, _, fs in os.walk("/opt/ml/input") for f in fs)
for name in ("hyperparameters", "inputdataconfig", "resourceconfig"):
    with open(f"/opt/ml/input/config/{name}.json") as file:
        seen[name] = json.load(file)
with open("/opt/ml/output/data/seen.json", "w") as file:
    json.dump(seen, file)
"""

CALL = """
import json, os, socket
try:
    socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=5).close()
    reached = True
except OSError:
    reached = False
if os.environ["HAS_LOOPBACK"]:
    with socket.create_server(("127.0.0.1", 0)) as own:
        socket.create_connection(own.getsockname(), timeout=5).close()
with open("/opt/ml/output/data/seen.json", "w") as file:
    json.dump({"reached": reached, "names": sorted(os.environ)}, file)
"""

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", "600"])
    os._exit(0)
os.wait()
print("ready")
"""


@pytest.mark.parametrize("is_cut", [False, True])
def test_network_isolation_leaves_a_job_alone(jobs: Any, isolation: Isolation, is_cut: bool) -> None:
    """No way out and no credentials; what the service itself brings and fetches goes on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = {"PORT": str(listener.getsockname()[1]), "HAS_LOOPBACK": shutil.which("ip") or ""}
        order = jobs.python("job", CALL, Environment=told, EnableNetworkIsolation=is_cut)
        ended, _ = jobs.finish(order)
    assert ended.exit_code == 0
    seen = json.loads(jobs.output("job", "seen.json"))
    assert ("AWS_SECRET_ACCESS_KEY" in seen["names"], "AWS_ENDPOINT_URL" in seen["names"]) == (
        not is_cut,
    ) * 2
    if isolation is Isolation.NAMESPACES:
        assert seen["reached"] is not is_cut


def test_a_job_sees_its_own_opt_ml_and_nothing_of_the_host(
    jobs: Any, isolation: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    monkeypatch.setenv("AWS_PROFILE", "private")
    jobs.aws.store.put("bucket", "data/x/1.csv", b"12345")
    channel = {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {}}}
    channel["DataSource"]["S3DataSource"] = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data"}
    order = jobs.order(
        "job",
        ["python3", "-c", TELL],
        HyperParameters={"lr": "0.1"},
        Environment={"MINE": "/opt/ml/model", "LANG": "C"},
        InputDataConfig=[channel],
    )
    assert jobs.executor.prepare(order) == 5
    jobs.executor.launch(order)
    ended, artifacts = jobs.finish(order)
    assert (ended.exit_code, ended.failure_text) == (0, "")
    assert artifacts.model_uri == "s3://bucket/out/job/output/model.tar.gz"

    seen = json.loads(jobs.output("job", "seen.json"))
    base = seen["env"].pop("SAGEMAKER_BASE_DIR", "/opt/ml")
    assert (base == "/opt/ml") == (isolation is Isolation.NAMESPACES)
    if isolation is Isolation.NAMESPACES:
        assert seen["pid"] == 1
        assert seen["host"].startswith("ip-10-") or shutil.which("hostname") is None
    assert seen["cwd"] == f"{base}/code"
    names = ["config/hyperparameters", "config/inputdataconfig", "config/resourceconfig"]
    assert seen["files"] == [f"{base}/input/{name}.json" for name in names] + [
        f"{base}/input/data/train/x/1.csv"
    ]
    assert seen["hyperparameters"] == {"lr": "0.1"}
    assert seen["inputdataconfig"]["train"]["ContentType"] == "text/csv"
    assert seen["resourceconfig"]["hosts"] == ["algo-1"]
    assert seen["resourceconfig"]["current_instance_type"] == "ml.c5.xlarge"
    check_environment(seen["env"], base)


def check_environment(environment: dict[str, str], base: str) -> None:
    path = environment.pop("PATH").split(":")
    assert path[0] == str(Path(sys.executable).parent)
    for name in ("HOME", "TMPDIR"):
        assert "cluster/jobs" in environment.pop(name)
    for shell_made in ("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"):
        environment.pop(shell_made, None)
    assert environment.pop(MARKER)
    assert environment == {
        "LANG": "C",
        "MINE": f"{base}/model",
        "PYTHONUNBUFFERED": "1",
        "TRAINING_JOB_NAME": "job",
        "TRAINING_JOB_ARN": "arn:aws:sagemaker:::job",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "the-key",
        "AWS_SECRET_ACCESS_KEY": "the-secret",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["python", "-c", "raise SystemExit(3)"], 3),
        (["no-such-program"], 127),
        (["/etc/hostname"], 126),
        (["bash", "-c", "sleep 0; exit 7"], 7),
    ],
)
def test_exit_codes(jobs: Any, command: list[str], code: int) -> None:
    ended, _ = jobs.finish(jobs.start("job", command))
    assert ended.exit_code == code
    if code in {126, 127}:
        assert command[0] in "".join(jobs.log("job"))


def test_the_failure_file_is_cut_after_1024_characters(jobs: Any) -> None:
    order = jobs.python("job", "open('/opt/ml/output/failure', 'w').write('é' * 2000); raise SystemExit(1)")
    ended, _ = jobs.finish(order)
    assert (ended.exit_code, ended.failure_text) == (1, "é" * 1024)


def test_sigterm_reaches_a_handler(jobs: Any) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('ready'); signal.pause()"
    order = jobs.python("job", code)
    jobs.until(lambda: "ready" in jobs.log("job"))
    jobs.executor.terminate("job")
    assert jobs.finish(order)[0].exit_code == 5


def test_process_1_without_a_handler_ignores_sigterm_until_it_is_killed(jobs: Any) -> None:
    code = (
        "import sys, time; print('ready'); sys.stdin.read(); time.sleep(0.3); print('alive'); time.sleep(600)"
    )
    order = jobs.python("job", code)
    jobs.until(lambda: "ready" in jobs.log("job"))
    jobs.executor.terminate("job")
    jobs.until(lambda: "alive" in jobs.log("job"))
    assert jobs.executor.poll("job") is None
    jobs.executor.kill("job")
    assert jobs.finish(order)[0].exit_code == 137
    jobs.until(lambda: not jobs.survivors())


def test_signals_to_a_job_that_has_ended_are_no_error(jobs: Any) -> None:
    order = jobs.start("job", ["true"])
    jobs.wait("job")
    jobs.executor.terminate("job")
    jobs.executor.kill("job")
    assert jobs.finish(order)[0].exit_code == 0


def test_daemons_end_with_their_job(jobs: Any) -> None:
    order = jobs.python("job", DAEMON)
    assert jobs.finish(order)[0].exit_code == 0
    assert "ready" in jobs.log("job")
    jobs.until(lambda: not jobs.survivors())


def test_a_killed_or_discarded_job_takes_all_its_processes_along(jobs: Any) -> None:
    jobs.python("killed", DAEMON + "time.sleep(600)")
    jobs.python("discarded", DAEMON + "time.sleep(600)")
    jobs.until(lambda: jobs.log("killed") and jobs.log("discarded"))
    jobs.executor.kill("killed")
    jobs.executor.discard("discarded")
    jobs.executor.discard("discarded")
    jobs.executor.discard("killed")
    jobs.until(lambda: not jobs.survivors())
    assert list((jobs.folder / "cluster" / "jobs").iterdir()) == []


def test_closing_ends_everything(make_jobs: Callable[..., Any], isolation: Isolation) -> None:
    jobs = make_jobs(isolation=isolation)
    for name in ("one", "two"):
        jobs.python(name, DAEMON + "time.sleep(600)")
    jobs.until(lambda: jobs.log("one") and jobs.log("two"))
    jobs.executor.close()
    assert jobs.survivors() == []


HOLDER = """
import sys, time
from pathlib import Path
from sagemaker_emulator.service.executor import JobOrder
from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.storage import AwsServices

folder, isolation, code = Path(sys.argv[1]), Isolation(sys.argv[2]), sys.argv[3]
aws = AwsServices(folder / "emulator", region="us-east-1")
settings = ExecutionSettings(
    endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key="k", secret_key="s", isolation=isolation
)
executor = ProcessExecutor(settings, aws)
request = {
    "AlgorithmSpecification": {"ContainerEntrypoint": ["python3"], "ContainerArguments": ["-c", code]},
    "ResourceConfig": {},
}
order = JobOrder(name="job", arn="arn", request=request, cluster_dir=folder / "cluster")
executor.prepare(order)
executor.launch(order)
time.sleep(600)
"""


def test_jobs_die_with_an_emulator_that_is_killed(jobs: Any, isolation: Isolation, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = DAEMON + f"open({str(ready)!r}, 'w').close(); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), isolation.value, code])
    jobs.until(ready.exists)
    assert len(jobs.survivors()) >= 2
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    jobs.until(lambda: not jobs.survivors())


def test_leftovers_of_an_earlier_emulator_are_ended(make_jobs: Callable[..., Any], aws: Any) -> None:
    environment = {MARKER: str(aws.directory.resolve())}
    left = subprocess.Popen(["/bin/sleep", "600"], env=environment)
    other = subprocess.Popen(["/bin/sleep", "600"], env={MARKER: "/another/emulator"})
    try:
        make_jobs()
        assert left.wait(300) == -signal.SIGKILL
        time.sleep(0.01)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_jobs_run_side_by_side(jobs: Any) -> None:
    orders = [jobs.python(f"job-{n}", f"open('/opt/ml/model/n', 'w').write('{n}')") for n in range(4)]
    for n, order in enumerate(orders):
        assert jobs.finish(order)[0].exit_code == 0
        assert jobs.members(f"job-{n}", "model.tar.gz") == {"n": str(n).encode()}
