"""Requests, refusals and settings of the Ray backend, against a small server that answers as Ray's dashboard does."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typing_extensions import override

from tunewright.backends.engine import Notices
from tunewright.backends.engine.folder_channel import FolderChannel, order_template
from tunewright.backends.engine.job_service import CreateOutcome, FailureCause, JobOrder, JobState
from tunewright.backends.plugin import ExperimentContext, Finding
from tunewright.backends.ray.backend import make_channel
from tunewright.backends.ray.client import RayClient, RayError, RayNode, auth_token, dashboard_address
from tunewright.backends.ray.config import RayConfig
from tunewright.backends.ray.job_service import GONE, RayJobs, shortage
from tunewright.backends.ray.logs import WholeLog, trial_output
from tunewright.backends.ray.places import FolderPlace
from tunewright.backends.ray.plugin import RayPlugin
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.cli import main
from tunewright.exceptions import BackendError, SettingsError
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script
from tunewright.trial import Run

BENCHMARK = RealBenchmarkDefinition(
    name="training_script",
    script=str(training_script.PATH),
    space=SearchSpace({"x": Float(0.0, 1.0)}),
    metrics=(Metric("loss"),),
)
TOKEN = "secret"
ORDER = JobOrder(run=Run(trial_id=0, attempt=0), config={})
EXISTS = """Traceback (most recent call last):
  File "job_head.py", line 134, in _raise_error
RuntimeError: Request failed with status code 400: Traceback (most recent call last):
  File "job_manager.py", line 553, in submit_job
ValueError: Job with submission_id tw-e-1-0-0-0 already exists. Please use a different submission_id.
.
"""


class Dashboard:
    """Answers as Ray's dashboard does, from a dict of jobs.

    Attributes
    ----------
    jobs, logs
        Records, and outputs, by name.
    errors
        Status and text of the answers to the next requests of a kind, such as ``"POST"``.
    lost
        Number of next submissions that are carried out without an answer.
    runs_jobs
        Whether a submission runs the job to its end.
    """

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.version = "2.60.0"
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.submitted: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.errors: dict[str, tuple[int, str]] = {}
        self.lost = 0
        self.runs_jobs = False
        self.resources: dict[str, float] = {"CPU": 8.0, "GPU": 2.0}
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                dashboard.answer(self)

            def do_POST(self) -> None:
                dashboard.answer(self)

            def do_DELETE(self) -> None:
                dashboard.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        path = request.path.partition("?")[0]
        self.requests.append(f"{request.command} {path}")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            status, text = 403, "Forbidden: Invalid authentication token"
        elif request.command in self.errors:
            status, text = self.errors[request.command]
        else:
            status, text = self._carry_out(request.command, path, body)
        if status == 200 and request.command == "POST" and self.lost:
            self.lost -= 1
            request.close_connection = True
            return
        request.send_response(status)
        if 300 <= status < 400:
            request.send_header("Location", text)
        request.send_header("Content-Length", str(len(text.encode())))
        request.end_headers()
        request.wfile.write(text.encode())

    def _carry_out(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        name = path.removeprefix("/api/jobs/").removesuffix("/stop").removesuffix("/logs")
        if path == "/api/version":
            return 200, json.dumps({"version": "4", "ray_version": self.version, "session_name": "s"})
        if path == "/api/v0/nodes":
            node = {"node_ip": "10.0.0.1", "state": "ALIVE", "resources_total": self.resources}
            dead = {"node_ip": "10.0.0.2", "state": "DEAD", "resources_total": {}}
            return 200, json.dumps({"result": True, "data": {"result": {"total": 2, "result": [node, dead]}}})
        if method == "POST" and not name:
            wanted = json.loads(body)
            if wanted["submission_id"] in self.jobs:
                return 500, EXISTS
            self.submitted.append(wanted)
            self.add(wanted["submission_id"], "PENDING")
            if self.runs_jobs:
                self._run(wanted["submission_id"], wanted["entrypoint"])
            return 200, json.dumps({"submission_id": wanted["submission_id"]})
        if method == "GET" and not name:
            return 200, json.dumps(list(self.jobs.values()))
        if name not in self.jobs:
            return 404, f"Job {name} does not exist"
        if path.endswith("/logs"):
            return 200, json.dumps({"logs": self.logs.get(name, "")})
        if method == "DELETE":
            del self.jobs[name]
        return 200, json.dumps(self.jobs.get(name))

    def _run(self, name: str, command: str) -> None:
        """Run a job to its end."""
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        status = "FAILED" if done.returncode else "SUCCEEDED"
        self.add(name, status, driver_exit_code=done.returncode, message=done.stdout + done.stderr)

    def add(self, name: str, status: str, **fields: Any) -> None:
        """Add a job, or replace it."""
        now = time.time() * 1000
        self.jobs[name] = {
            "type": "SUBMISSION",
            "submission_id": name,
            "status": status,
            "message": None,
            "error_type": None,
            "start_time": int(now),
            "end_time": int(now) if status in {"SUCCEEDED", "FAILED", "STOPPED"} else None,
            "driver_exit_code": None,
            **fields,
        }


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    dashboard = Dashboard(token=TOKEN)
    yield dashboard
    dashboard.close()


@pytest.fixture
def notices() -> Notices:
    return Notices()


@pytest.fixture
def make_jobs(dashboard: Dashboard, tmp_path: Path, notices: Notices) -> Callable[..., RayJobs]:
    def make(**settings: Any) -> RayJobs:
        config = RayConfig(**settings)
        channel = FolderChannel(tmp_path / "trials", order_template(BENCHMARK), python=sys.executable)
        place = FolderPlace(channel)
        jobs = RayJobs(RayClient(dashboard.address, TOKEN), place, config, "e-1", notices)
        jobs.prepare(1)
        return jobs

    return make


NAME = "tw-e-1-0-0-0"


def beat(folder: Path, number: int = 1) -> None:
    """Write the sign of life of the first run."""
    (folder / "trials" / "0" / "runs" / "0-0" / "heartbeat").write_text(str(number))


def test_the_request_has_all_resources_and_the_environment(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard, tmp_path: Path
) -> None:
    (tmp_path / "env.json").write_text('{"pip": ["torch"], "env_vars": {"A": "b"}}')
    jobs = make_jobs(
        cpus_per_trial=2,
        num_gpus_per_trial=0.5,
        mem="1.5G",
        resources=("accelerator_type:A100=0.001",),
        runtime_env=str(tmp_path / "env.json"),
    )
    assert jobs.create(ORDER).outcome is CreateOutcome.CREATED
    (request,) = dashboard.submitted
    assert request.pop("entrypoint")
    assert request == {
        "submission_id": NAME,
        "entrypoint_num_cpus": 2,
        "entrypoint_num_gpus": 0.5,
        "entrypoint_memory": 3 * 2**29,
        "entrypoint_resources": {"accelerator_type:A100": 0.001},
        "runtime_env": {"pip": ["torch"], "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60", "A": "b"}},
    }


def test_the_command_becomes_the_runner_or_says_that_the_folder_is_not_there(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard, tmp_path: Path
) -> None:
    make_jobs().create(ORDER)
    command = dashboard.submitted[0]["entrypoint"]
    runner = next((tmp_path / "trials").glob("runner-*.pyz"))
    runner.write_text("import sys; print(*sys.argv[1:])")
    run = str(tmp_path / "trials" / "0" / "runs" / "0-0")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.split()[:2] == ["folder", run]
    (tmp_path / "trials").rename(tmp_path / "elsewhere")
    fast = command.replace("sleep 1", "true")
    done = subprocess.run(["sh", "-c", fast], capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert "does not see" in done.stdout
    assert shlex.quote(str(tmp_path / "trials")) in command


def test_a_lost_answer_creates_no_second_job(make_jobs: Callable[..., RayJobs], dashboard: Dashboard) -> None:
    jobs = make_jobs()
    dashboard.lost = 1
    assert jobs.create(ORDER).outcome is CreateOutcome.UNKNOWN
    assert jobs.create(ORDER).outcome is CreateOutcome.CREATED
    assert len(dashboard.submitted) == 1


def test_a_job_of_another_experiment_is_not_taken_over(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard
) -> None:
    dashboard.add(NAME, "RUNNING")
    jobs = make_jobs()
    with pytest.raises(BackendError, match=f"taken.*{NAME}"):
        jobs.create(ORDER)
    attached = JobOrder(run=Run(trial_id=0, attempt=0), config={}, is_attached=True)
    assert jobs.create(attached).outcome is CreateOutcome.CREATED


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (500, "No available agent to submit job, please try again later.", CreateOutcome.UNKNOWN),
        (503, "upstream connect error", CreateOutcome.UNKNOWN),
        (429, "Too many requests", CreateOutcome.LATER),
        (400, "Traceback (most recent call last):\nTypeError: no number", CreateOutcome.UNEXPLAINED),
        (500, EXISTS.replace("already exists", "is wrong"), CreateOutcome.UNEXPLAINED),
    ],
)
def test_refusals(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard, status: int, text: str, outcome: CreateOutcome
) -> None:
    jobs = make_jobs()
    dashboard.errors["POST"] = (status, text)
    answer = jobs.create(ORDER)
    assert answer.outcome is outcome
    assert "Traceback" not in answer.reason


def test_a_token_that_is_refused_later_ends_the_experiment(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard
) -> None:
    jobs = make_jobs()
    dashboard.token = "another"
    for request in (lambda: jobs.create(ORDER), jobs.list_jobs):
        with pytest.raises(RayError) as caught:
            request()
        assert caught.value.is_denied
        assert "RAY_AUTH_TOKEN" in caught.value.remedy


def test_other_jobs_are_not_listed(make_jobs: Callable[..., RayJobs], dashboard: Dashboard) -> None:
    for name in (NAME, "tw-e-10-0-0-0", "tw-e-1-2-0-0-0", "mine"):
        dashboard.add(name, "RUNNING")
    dashboard.jobs["driver"] = {"type": "DRIVER", "submission_id": None, "status": "RUNNING"}
    assert list(make_jobs().list_jobs()) == ["0-0-0"]


@pytest.mark.parametrize(
    ("fields", "cause", "word"),
    [
        ({"status": "STOPPED"}, FailureCause.SERVICE, "stopped"),
        ({"error_type": "JOB_SUPERVISOR_ACTOR_DIED"}, FailureCause.SERVICE, "lost its node"),
        ({"message": "Job supervisor actor died: x"}, FailureCause.SERVICE, "lost its node"),
        ({"error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"}, FailureCause.CAPACITY, "all nodes are full"),
        ({"error_type": "RUNTIME_ENV_SETUP_FAILURE", "message": "no such wheel"}, FailureCause.JOB, "wheel"),
        (
            {"error_type": "JOB_ENTRYPOINT_COMMAND_ERROR", "driver_exit_code": 127, "message": "not found"},
            FailureCause.JOB,
            "not found",
        ),
    ],
)
def test_ends_without_a_message_are_explained(
    make_jobs: Callable[..., RayJobs],
    dashboard: Dashboard,
    fields: dict[str, Any],
    cause: FailureCause,
    word: str,
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    dashboard.add(NAME, **{"status": "FAILED", **fields})
    status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
    assert status.state is JobState.FAILED
    failure = jobs.failure("0-0-0", status)
    assert failure.cause is cause
    assert word in failure.reason


@pytest.mark.parametrize(("exit_code", "flag"), [(66, "--shared_folder"), (127, "--python")])
def test_a_first_job_that_cannot_begin_names_the_flag(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard, tmp_path: Path, exit_code: int, flag: str
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    kind = "JOB_ENTRYPOINT_COMMAND_ERROR"
    dashboard.add(NAME, "FAILED", error_type=kind, driver_exit_code=exit_code, message="output")
    status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
    assert flag in jobs.failure("0-0-0", status).remedy
    claim = tmp_path / "trials" / "1" / "runs" / "0-0" / "claim"
    claim.parent.mkdir(parents=True)
    claim.touch()  # another node can run trials
    assert jobs.failure("0-0-0", status).cause is FailureCause.SERVICE


def test_a_job_that_ray_has_forgotten_ends_when_it_is_silent(
    make_jobs: Callable[..., RayJobs],
    dashboard: Dashboard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its runner may live for a moment: a second one must not begin beside it."""
    now = 1000.0
    monkeypatch.setattr("tunewright.backends.ray.job_service.time.monotonic", lambda: now)
    jobs = make_jobs()
    jobs.create(ORDER)
    beat(tmp_path)
    dashboard.jobs.clear()
    assert not jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].is_terminal
    now += 10.0
    beat(tmp_path, 2)
    assert not jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].is_terminal
    now += 14.0
    assert not jobs.describe("0-0-0").is_terminal
    now += 2.0
    status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
    assert (status.state, status.detail) == (JobState.FAILED, GONE)
    assert "restart of its head" in jobs.failure("0-0-0", status).reason


def test_a_forgotten_job_that_never_began_has_ended(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard
) -> None:
    jobs = make_jobs()
    jobs.create(ORDER)
    dashboard.jobs.clear()
    assert jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].is_terminal


def test_a_silent_job_is_stopped_and_replaced(
    make_jobs: Callable[..., RayJobs],
    dashboard: Dashboard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("tunewright.backends.ray.job_service.time.monotonic", lambda: now)
    jobs = make_jobs(silent_after=60.0)
    jobs.create(ORDER)
    dashboard.add(NAME, "RUNNING")
    beat(tmp_path)
    assert not jobs.list_jobs(wanted=["0-0-0"])["0-0-0"].is_terminal
    now += 61.0
    for _ in range(2):
        status = jobs.list_jobs(wanted=["0-0-0"])["0-0-0"]
        assert status.is_terminal
    assert "no sign of life" in jobs.failure("0-0-0", status).reason
    assert dashboard.requests.count(f"POST /api/jobs/{NAME}/stop") == 1


def test_resources_that_no_node_has_are_said_once(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard, notices: Notices
) -> None:
    jobs = make_jobs(num_gpus_per_trial=4)
    jobs.create(ORDER)
    jobs.list_jobs(wanted=["0-0-0"])
    assert not notices.lines
    dashboard.add(NAME, "PENDING", start_time=int((time.time() - 60) * 1000))
    for _ in range(2):
        jobs.list_jobs(wanted=["0-0-0"])
    (line,) = notices.lines
    assert "no node of the cluster has CPU 1, GPU 4" in line
    assert dashboard.requests.count("GET /api/v0/nodes") == 1


def test_records_of_old_jobs_are_deleted(
    make_jobs: Callable[..., RayJobs], dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunewright.backends.ray.job_service._KEPT_JOBS", 3)
    for number in range(6):
        dashboard.add(f"tw-e-1-{number}-0-0", "SUCCEEDED")
    dashboard.add("mine", "SUCCEEDED")
    dashboard.add("tw-e-1-6-0-0", "RUNNING")
    make_jobs().list_jobs(wanted=["6-0-0"])
    assert sorted(dashboard.jobs) == ["mine", *(f"tw-e-1-{number}-0-0" for number in (3, 4, 5, 6))]


@pytest.mark.parametrize(
    ("needs", "resources", "word"),
    [
        ({"CPU": 4.0}, [{"CPU": 8.0}], ""),
        ({"CPU": 4.0, "memory": 1e15}, [{"CPU": 8.0, "memory": "1 GiB"}], ""),
        ({"CPU": 4.0, "GPU": 1.0}, [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}], "CPU 4, GPU 1"),
        ({"CPU": 1.0}, [], "0 nodes"),
    ],
)
def test_one_node_must_have_all_resources_of_a_trial(
    needs: dict[str, float], resources: list[dict[str, float | str]], word: str
) -> None:
    nodes = [RayNode(node_ip="", state="ALIVE", resources_total=one) for one in resources]
    assert word in shortage(needs, nodes)
    assert bool(word) == bool(shortage(needs, nodes))


def check_error(address: str, *words: str, token: str = TOKEN) -> None:
    with pytest.raises(BackendError) as caught:
        RayClient(address, token).check()
    for word in words:
        assert word in str(caught.value)


def test_a_cluster_that_cannot_be_used_is_explained(dashboard: Dashboard) -> None:
    assert RayClient(dashboard.address, TOKEN).check() == "2.60.0"
    check_error("http://127.0.0.1:1", "ray start --head", "refused")
    check_error(dashboard.address, "RAY_AUTH_TOKEN", token="wrong")
    dashboard.version = "2.3.1"
    check_error(dashboard.address, "2.3.1", "2.9")
    dashboard.errors["GET"] = (200, "<html>hello</html>")
    check_error(dashboard.address, "not the address")
    dashboard.errors["GET"] = (404, "nothing here")
    check_error(dashboard.address, "not the address")


def test_the_token_is_sent_to_no_other_host(dashboard: Dashboard) -> None:
    other = Dashboard()
    try:
        dashboard.errors["GET"] = (302, f"{other.address}/api/version")
        check_error(dashboard.address, "redirects")
        assert not other.requests
    finally:
        other.close()


@pytest.mark.parametrize(
    ("given", "variables", "address"),
    [
        ("", {}, "http://127.0.0.1:8265"),
        ("auto", {"RAY_ADDRESS": "http://head:1"}, "http://127.0.0.1:8265"),
        ("", {"RAY_ADDRESS": "http://head:1/"}, "http://head:1"),
        ("", {"RAY_ADDRESS": "http://head:1", "RAY_API_SERVER_ADDRESS": "https://api"}, "https://api"),
        ("http://mine:8265", {"RAY_ADDRESS": "http://head:1"}, "http://mine:8265"),
    ],
)
def test_addresses(given: str, variables: dict[str, str], address: str) -> None:
    assert dashboard_address(given, variables) == address


@pytest.mark.parametrize("address", ["10.0.0.1:6379", "ray://10.0.0.1:10001"])
def test_addresses_of_other_services_are_refused(address: str) -> None:
    for given, variables in ((address, {}), ("", {"RAY_ADDRESS": address})):
        with pytest.raises(SettingsError, match=r"--address http://10\.0\.0\.1:8265"):
            dashboard_address(given, variables)


def test_tokens_are_found_where_ray_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert auth_token({}) == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("default\n")
    assert auth_token({}) == "default"
    (tmp_path / "token").write_text("file\n")
    assert auth_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}) == "file"
    assert (
        auth_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_AUTH_TOKEN": "direct"}) == "direct"
    )
    with pytest.raises(SettingsError, match="RAY_AUTH_TOKEN_PATH"):
        auth_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "nothing")})


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"cpus_per_trial": -1.0}, "cpus_per_trial"),
        ({"num_gpus_per_trial": 1.5}, "whole number"),
        ({"mem": "much"}, "no size"),
        ({"resources": ("A100",)}, "NAME=NUMBER"),
        ({"resources": ("GPU=1",)}, "NAME=NUMBER"),
        ({"shared_folder": "gs://bucket/trials"}, "needs a folder"),
        ({"shared_folder": "s3://bucket/trials", "silent_after": 30.0}, "silent_after"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        RayConfig(**settings)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"working_dir": "."}', "would be uploaded"),
        ('{"py_modules": ["s3://bucket/a.zip", "mine"]}', "would be uploaded"),
        ("{", "cannot be read"),
        ("[1]", "mapping"),
    ],
)
def test_runtime_environments_that_cannot_work_are_refused(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "env.json").write_text(text)
    with pytest.raises(SettingsError, match=word):
        RayConfig(runtime_env=str(tmp_path / "env.json")).environment()


def test_a_runtime_environment_with_packages_has_its_own_python(tmp_path: Path) -> None:
    (tmp_path / "env.toml").write_text('uv = ["torch"]')
    config = RayConfig(runtime_env=str(tmp_path / "env.toml"))
    assert config.interpreter("/own") == "python3"
    assert RayConfig().interpreter("/own") == "/own"
    assert RayConfig(python="/other").interpreter("/own") == "/other"


# --- command line


TUNE = ("tune", str(training_script.PATH), "--metric", "loss", "--backend", "ray", "--experiment_tag", "far")


@pytest.fixture
def space(tmp_path: Path) -> str:
    file = tmp_path / "space.toml"
    file.write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    return str(file)


@pytest.mark.parametrize(
    ("execution", "job", "program"),
    [("jobs", "far/0/runs/0-0", "folder"), ("workers", "far/workers/0-1-0", "folder_worker")],
)
def test_a_dry_run_shows_the_job_of_the_mode(
    space: str, capsys: pytest.CaptureFixture[str], execution: str, job: str, program: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *(*TUNE, "--space", space, "--max_num_trials", "1", "--execution", execution),
                *("--shared_folder", "/shared", "--address", "http://head:8265", "--dry_run", "1"),
            ]
        )
    assert ended.value.code == 0
    address, _, body = capsys.readouterr().out.partition("\n")
    assert address == "POST http://head:8265/api/jobs/"
    words = shlex.split(json.loads(body)["entrypoint"].rpartition("exec ")[2])
    assert words[2:4] == [program, f"/shared/{job}"]


@pytest.mark.parametrize(("execution", "mode"), [("jobs", "sagemaker"), ("workers", "worker")])
def test_a_dry_run_with_s3_names_objects_and_sends_no_credentials(
    space: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    execution: str,
    mode: str,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "private")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *(*TUNE, "--space", space, "--max_num_trials", "1", "--execution", execution),
                *("--shared_folder", "s3://bucket/ours/", "--dry_run", "1"),
            ]
        )
    assert ended.value.code == 0
    body = capsys.readouterr().out.partition("\n")[2]
    assert "private" not in body
    request = json.loads(body)
    words = shlex.split(request["entrypoint"])
    assert words[:2] == ["exec", "python3"]
    assert mode in words
    assert any(word.startswith("s3://bucket/ours/code/") for word in words)
    variables = request["runtime_env"]["env_vars"]
    assert variables["TUNEWRIGHT_S3"] == "s3://bucket/ours/far/"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_the_output_of_a_trial_is_that_of_its_jobs_in_order(dashboard: Dashboard) -> None:
    for key in ("1-0-10", "1-0-2", "1-1-0", "11-0-0"):
        dashboard.add(f"tw-e-{key}", "SUCCEEDED")
        dashboard.logs[f"tw-e-{key}"] = f"{key} "
    client = RayClient(dashboard.address, TOKEN)
    log = WholeLog(lambda: trial_output(client, "e", 1))
    assert log.new_text() == "1-0-2 1-0-10 1-1-0 "
    dashboard.logs["tw-e-1-1-0"] += "more"
    assert log.new_text() == "more"
    dashboard.token = "another"
    with pytest.raises(BackendError, match="cannot be read"):
        log.new_text()


@pytest.mark.parametrize(
    ("settings", "n_workers", "words"),
    [
        ({}, 4, "Up to 4 Ray jobs at a time on http://head:8265; their files are in the experiment's folder"),
        ({"execution": "workers"}, 2, "Up to 2 Ray jobs that take run after run, at a time"),
        ({"execution": "workers"}, 1, "Up to 1 Ray job that takes run after run, at a time"),
        (
            {"shared_folder": "/shared"},
            1,
            "Up to 1 Ray job at a time on http://head:8265; their files are below /shared",
        ),
    ],
)
def test_the_description_names_the_mode(settings: dict[str, Any], n_workers: int, words: str) -> None:
    benchmark = BENCHMARK.replace(n_workers=n_workers)
    context = ExperimentContext(benchmark=benchmark, tag="e", seed=0)
    config = RayConfig(address="http://head:8265", **settings)
    (line,) = RayPlugin().describe(config, context).lines
    assert line.startswith(words)


@pytest.mark.parametrize("flag", ["--nodes_per_trial", "--tasks_per_node"])
def test_several_nodes_are_refused_with_cause_and_remedy(
    space: str, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*TUNE, "--space", space, "--max_num_trials", "1", flag, "2"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert flag in error
    assert "on one node" in error
    assert "Ray Train" in error


def test_several_instances_are_refused_with_cause_and_remedy(tmp_path: Path) -> None:
    benchmark = BENCHMARK.replace(instance_count=2)
    with pytest.raises(SettingsError, match=r"instance_count=2.*one node.*Ray Train"):
        make_channel(benchmark, RayConfig(), tmp_path)


# --- doctor


def findings(config: RayConfig, folder: Path) -> dict[str, Finding]:
    found = list(RayPlugin().examine(config, folder))
    return {one.what: one for one in found}


def test_doctor_without_a_cluster_says_how_to_get_one(tmp_path: Path) -> None:
    found = findings(RayConfig(address="http://127.0.0.1:1"), tmp_path)
    assert list(found) == ["dashboard"]
    assert "ray start --head" in found["dashboard"].remedy


def test_doctor_runs_a_job_and_leaves_nothing(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    dashboard.runs_jobs = True
    found = findings(RayConfig(address=dashboard.address), tmp_path)
    assert not [one for one in found.values() if one.remedy]
    assert "2.60.0" in found["dashboard"].found
    assert found["nodes"].found == "1 node with 8 CPUs, 2 GPUs"
    assert "one second took" in found["job"].found
    assert sys.executable in found["Python"].found
    assert not dashboard.jobs


def test_doctor_names_resources_that_no_node_has_and_a_job_that_fails(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    dashboard.runs_jobs = True
    found = findings(
        RayConfig(address=dashboard.address, num_gpus_per_trial=4, python="/no/python"), tmp_path
    )
    assert "GPU 4" in found["nodes"].found
    assert "--num_gpus_per_trial" in found["nodes"].remedy
    assert "--python" in found["job"].remedy
