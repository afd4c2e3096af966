"""What holds for every test: no AWS account, a home of its own, one BLAS thread, nothing left running."""

from __future__ import annotations

import ctypes
import functools
import gc
import itertools
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import psutil
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.constants_ast import Constants

if TYPE_CHECKING:
    from tunewright.benchmarks import RealBenchmarkDefinition

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is imported: model-based results are promised for one thread

for _name in [name for name in os.environ if name.startswith(("AWS_", "SM_", "TUNEWRIGHT_"))]:
    del os.environ[_name]
os.environ.pop(
    "PYTHONDONTWRITEBYTECODE", None
)  # else each process that a test starts compiles all it imports
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # no look at the instance's metadata address
os.environ["AWS_ENDPOINT_URL_PRICING"] = (
    "http://127.0.0.1:1"  # nobody answers there: no look at AWS's price list
)
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

_ROOT = Path(__file__).resolve().parents[1]

_BUSY_FILES = 8
"""Files between two of integration tests: fewer than there are, so that no process has one left at the end."""
gc.disable()  # until the tests are collected: nearly half of the time of that went into looking for garbage


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After each file of integration tests, which take long and mostly wait, come files that keep a core busy."""
    files = dict.fromkeys(item.path for item in items)
    waiting = [path for path in files if "integration" in path.parts]
    busy = [path for path in files if "integration" not in path.parts]
    places = {path: (number // _BUSY_FILES, 1) for number, path in enumerate(busy)}
    places |= {path: (number, 0) for number, path in enumerate(waiting)}
    items.sort(key=lambda item: places[item.path])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave modules and collected tests, some million objects, out of every later search for garbage."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # seldom: tests make many objects, and few of them are garbage in cycles
    gc.enable()


settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")  # a busy machine is no failure, and a failure comes again
# Hypothesis draws constants of those of our modules that are imported: then the tests before decide on a test's data.
pytest.MonkeyPatch().setattr("hypothesis.internal.conjecture.providers._get_local_constants", Constants)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A path for each test that has no folder of its own: most of them write nothing, and making a folder costs time."""
    base = tmp_path_factory.mktemp("homes")
    return (base / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def tunewright_home(
    request: pytest.FixtureRequest, _homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Experiments, tables and endpoints of this test lie in this folder, which is in ``tmp_path`` if the test has that."""
    is_below = "tmp_path" in request.fixturenames
    home: Path = request.getfixturevalue("tmp_path") / "tunewright_home" if is_below else next(_homes)
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def _account_of_the_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests with real endpoints run on the kind of account that the caller chose; fakes stand for the default one."""
    if "integration" not in request.node.path.parts:
        monkeypatch.delenv("SAGEMAKER_EMULATOR_PRESET", raising=False)


@pytest.fixture
def run_example() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a file of ``examples/`` by name, as a user would, to its good end."""

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, f"examples/{name}.py"]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


_TOY_SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
for epoch in range(1, given.epochs + 1):
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "score": given.x * epoch}), flush=True)
"""


@pytest.fixture
def toy(tmp_path: Path) -> RealBenchmarkDefinition:
    """A benchmark whose trials take a moment; imported late, since most tests need none."""
    from tunewright.benchmarks import RealBenchmarkDefinition
    from tunewright.metric import Goal, Metric
    from tunewright.space import Float, SearchSpace

    script = tmp_path / "toy.py"
    script.write_text(_TOY_SCRIPT)
    return RealBenchmarkDefinition(
        name="toy",
        script=str(script),
        space=SearchSpace({"x": Float(0.0, 1.0), "epochs": 2}),
        metrics=(Metric("score", Goal.MAXIMIZE),),
        n_workers=2,
        resource_attr="epoch",
        max_resource_attr="epochs",
    )


class StartProcess(Protocol):
    """Starts a process as ``subprocess.Popen`` does."""

    def __call__(self, command: Sequence[str], **settings: Any) -> subprocess.Popen[Any]: ...


@pytest.fixture
def start_process(tunewright_home: Path) -> Iterator[StartProcess]:
    """Starts processes and reaps them at the end of the test, whatever it did."""
    with ExitStack() as reaped:

        def start(command: Sequence[str], **settings: Any) -> subprocess.Popen[Any]:
            process = reaped.enter_context(subprocess.Popen(command, **settings))
            reaped.callback(process.kill)  # called before the context waits for the process
            return process

        yield start


class _StartedProcesses:
    """Every process that this interpreter starts with ``subprocess``, for as long as somebody refers to it."""

    def __init__(self) -> None:
        self._alive: weakref.WeakSet[subprocess.Popen[Any]] = weakref.WeakSet()
        started = self._alive
        original = subprocess.Popen.__init__

        @functools.wraps(original)
        def recorded(process: subprocess.Popen[Any], *args: Any, **settings: Any) -> None:
            original(process, *args, **settings)
            started.add(process)

        pytest.MonkeyPatch().setattr(subprocess.Popen, "__init__", recorded)

    def forget(self) -> None:
        """Leave the processes of fixtures that outlive a test to those fixtures."""
        self._alive.clear()

    def not_waited_for(self) -> list[str]:
        """The command of each process whose end nobody collected; each is killed, collected and forgotten."""
        left = [process for process in self._alive if process.returncode is None]
        for process in left:
            process.kill()
            process.wait()
        self.forget()
        return [str(process.args) for process in left]


_started = _StartedProcesses()
_LIBC = ctypes.CDLL(None)
_PR_GET_CHILD_SUBREAPER = 37


def _adopts_orphans() -> bool:
    """Whether this process becomes the parent of orphans, as a runner does, which kills all its children at its end."""
    found = ctypes.c_int()
    return (
        sys.platform == "linux"
        and _LIBC.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0) == 0
        and found.value != 0
    )


@pytest.fixture(autouse=True)
def _every_process_is_waited_for() -> Iterator[None]:
    """Fail the test that leaves a process unreaped: else the garbage collector blames a later, innocent one."""
    _started.forget()
    yield
    left = _started.not_waited_for()
    assert not left, f"the test started processes and did not wait for their end: {left}"
    assert not _adopts_orphans(), "the test ran a runner in this process: it kills processes of other tests"


@pytest.fixture(autouse=True)
def _no_leftovers(tunewright_home: Path) -> Iterator[None]:
    """End processes that a test left behind, detached ones too: they carry this test's home in their environment."""
    yield
    if not tunewright_home.exists():
        return
    mark = str(tunewright_home)
    left = [process for process in psutil.process_iter() if _home_of(process) == mark]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5)


def _home_of(process: psutil.Process) -> str | None:
    """The experiment home in a process's environment; None for this process and those that cannot be read."""
    if process.pid == os.getpid():
        return None
    try:
        return process.environ().get("TUNEWRIGHT_HOME")
    except (psutil.Error, OSError):
        return None


@pytest.fixture
def script_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Put an experiment folder on the import path, as for its scripts; its modules, whose names others have too, are forgotten."""
    kept: dict[str, ModuleType | None] = {}

    def enter(folder: Path) -> None:
        monkeypatch.syspath_prepend(folder)
        for path in folder.glob("*.py"):
            kept.setdefault(path.stem, sys.modules.pop(path.stem, None))

    yield enter
    for name, module in kept.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module
