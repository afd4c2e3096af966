"""The commands scripts/check, scripts/test, scripts/demo and scripts/docs; standard library only.

Each sets up its own environment first: uv (installed into ``.tools`` if it is missing) brings ``.venv`` to the versions
in ``uv.lock``. A stamp of the lock in the environment makes the second time quick.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
COVERAGE_FLOOR = 95
"""Per cent of lines and branches that the tests must reach; a little below what they do, as killed children count not."""

MEMORY_FOR_TESTS = 4 * 2**30
"""Free bytes of a file system in memory from which on tests use it."""

STRICT = {"SAGEMAKER_EMULATOR_PRESET": "strict"}
"""Variables that make embedded endpoints accounts whose permissions are checked."""
STRICT_TESTS = (
    "tests/integration",
    "-k",
    "account or first_errors or jobs_of_users or policies or remote or sagemaker or several_instances or syne_tune or verify",
)
"""Tests of the SageMaker backend with real endpoints."""


class SetupError(Exception):
    """The environment cannot be made; the text says why."""


@dataclass(frozen=True)
class Step:
    """One command with the name under which it is reported."""

    name: str
    command: Sequence[str]


MANY_STALE = 100
"""Test files without current bytecode from which on one process compiles them before several collect them."""


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    step: Step
    exit_code: int
    output: str
    seconds: float


@dataclass(frozen=True)
class Round:
    """One run of the suite in a random order."""

    seed: int
    counts: dict[str, int]
    seconds: float
    passed: bool


def say(text: str) -> None:
    """Print a line at once, so that it stands before what the next command prints."""
    print(text, flush=True)


# ---------------------------------------------------------------------------------------------------------------
# Environment


def find_uv() -> str:
    """The uv to use; installed into ``.tools`` where there is none."""
    own = ROOT / ".tools" / "bin" / "uv"
    if own.exists():
        return str(own)
    if found := shutil.which("uv"):
        return found
    say("Installing uv into .tools ...")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
    if (
        subprocess.run([*pip, "--target", str(ROOT / ".tools"), "uv>=0.9"], check=False).returncode
        or not own.exists()
    ):
        raise SetupError(
            "uv could not be installed with pip (see above). Install uv, or pip for this Python."
        )
    return str(own)


def version_of(python: str) -> str | None:
    """``"3.11"`` for an interpreter that works, None for one that does not."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def environment(wanted: str | None, *, group: str = "dev") -> Path:
    """The folder of an environment that is complete.

    Parameters
    ----------
    wanted
        Interpreter (name or path) that gets an environment of its own, ``.venv-X.Y``; None: ``.venv``.
    group
        Dependency group; one other than ``dev`` has an environment of its own, ``.venv-GROUP``.
    """
    python = shutil.which(wanted) if wanted else sys.executable
    version = version_of(python) if python else None
    if python is None or version is None:
        raise SetupError(f"There is no Python interpreter {wanted!r} on the PATH that works.")
    parts = [".venv", *([group] if group != "dev" else []), *([version] if wanted else [])]
    venv = ROOT / "-".join(parts)
    version = version_of(str(venv / "bin" / "python")) or version
    digest = hashlib.sha256(version.encode())
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    stamp = venv / ".complete"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return venv
    say(f"Setting up {venv.name} with Python {version} (minutes the first time) ...")
    command = [find_uv(), "sync", "--locked", "--all-extras", "--compile-bytecode", "--quiet"]
    for extra in ("mlflow", "wandb"):  # tested in environments of their own
        command += ["--no-extra", extra]
    command += ["--no-default-groups", "--group", group]
    if not (venv / "bin" / "python").exists():
        command += ["--python", python]
    settings = {"UV_PROJECT_ENVIRONMENT": str(venv), "UV_PYTHON_DOWNLOADS": "never"}
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | settings
    if subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode:
        raise SetupError(f"uv could not set up {venv.name} (see above).")
    stamp.write_text(digest.hexdigest())
    return venv


def torch_environment() -> str:
    """Make ``.venv-torch``, with whose Python and packages the tests run scripts that need PyTorch."""
    files = sorted((ROOT / "src" / "tunewright" / "benchmarks" / "scripts").glob("*/requirements.txt"))
    return pip_environment("torch", files)


def client_environments() -> str:
    """Make an environment for each file of tests/conformance/environments: SageMaker's clients, BoTorch, packages of scripts."""
    files = sorted((ROOT / "tests" / "conformance" / "environments").glob("*.txt"))
    return "; ".join(filter(None, (pip_environment(f"conformance-{file.stem}", [file]) for file in files)))


def system_programs() -> str:
    """Install Chromium and Slurm from Debian's packages where they are missing; why not, if that is impossible.

    Slurm's daemons do not begin to run by that: there is no slurm.conf for them.
    """
    packages: list[str] = []
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        packages.append("chromium")
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch", "munged")):
        packages += ["slurmctld", "slurmd", "slurm-client", "munge"]
    if not packages:
        return ""
    if os.geteuid() or not shutil.which("apt-get"):
        return f"{', '.join(packages)} are missing, and only root can install them with apt-get"
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip()[-400:] or f"{command[1]} failed"
    return ""


def pip_environment(name: str, files: Sequence[Path]) -> str:
    """Make ``.venv-NAME`` with pip from files of requirements; kept until these change.

    Returns
    -------
    str
        Why it cannot be made, so that the tests which need it are skipped; empty where it is complete.
    """
    venv = ROOT / f".venv-{name}"
    python = shutil.which("python3.11") or sys.executable  # not that of --python: one environment serves all
    digest = hashlib.sha256(str(version_of(python)).encode())
    for file in files:
        digest.update(file.read_bytes())
    stamp = venv / ".complete"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return ""
    say(f"Setting up {venv.name} (minutes the first time) ...")
    wanted = [argument for file in files for argument in ("-r", str(file))]
    program = str(venv / "bin" / "python")
    steps = (
        [python, "-m", "venv", "--clear", str(venv)],
        [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
    )
    for command in steps:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            return f"{' '.join(command[:4])} failed: {done.stdout.strip()[-500:]}"
    stamp.write_text(digest.hexdigest())
    return ""


# ---------------------------------------------------------------------------------------------------------------
# Checks and tests


def fast_steps(tool: Path) -> list[Step]:
    """The checks that need no more than seconds; ``tool`` is the folder of the environment's programs."""
    places = ["src", "tests", "scripts", "perf", "examples", "benchmarking"]
    present = [place for place in places if (ROOT / place).exists()]
    return [
        Step("types", types_command(tool)),
        Step("import layers", [str(tool / "lint-imports"), "--no-cache"]),
        Step("lint", [str(tool / "ruff"), "check", *present]),
        Step("format", [str(tool / "ruff"), "format", "--check", *present]),
    ]


def types_command(tool: Path) -> list[str]:
    """The check of the types by the environment's Python and its packages, whose stubs may need its version."""
    python = str(tool / "python")
    command = [str(tool / "basedpyright"), "--level", "error", "--pythonpath", python]
    version = version_of(python)
    return [*command, "--pythonversion", version] if version else command


def types_stamp(tool: Path) -> tuple[Path, str]:
    """The file that says for which sources the types were right, and the digest of those here.

    The digest covers all that decides the verdict: the sources, the settings, and the installed packages.
    """
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + (ROOT / "uv.lock").read_bytes())
    for path in sorted((ROOT / "src").rglob("*.py*")):
        if path.suffix in {".py", ".pyi"}:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    for folder in sorted((tool.parent / "lib").glob("python*/site-packages")):
        digest.update("\n".join(sorted(path.name for path in folder.glob("*.dist-info"))).encode())
    return tool.parent / ".types", digest.hexdigest()


def budget_step(tool: Path) -> Step:
    """The check of the rules in ``tests/test_budgets.py``, which is among the tests as well."""
    return Step("budgets", [str(tool / "pytest"), "-q", "--no-header", "tests/test_budgets.py"])


def run_captured(step: Step) -> Outcome:
    """Run a step and keep what it prints."""
    start = time.monotonic()
    done = subprocess.run(
        step.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Outcome(step, done.returncode, done.stdout, time.monotonic() - start)


def run_checks(steps: Sequence[Step], tool: Path) -> list[Outcome]:
    """Run checks side by side; that of the types, which takes a minute of a core, only if something has changed."""
    stamp, digest = types_stamp(tool)

    def run(step: Step) -> Outcome:
        if step.name != "types":
            return run_captured(step)
        if stamp.exists() and stamp.read_text() == digest:
            return Outcome(replace(step, name="types, as before"), 0, "", 0.0)
        outcome = run_captured(step)
        if outcome.exit_code == 0:
            stamp.write_text(digest)
        return outcome

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(run, steps))


def show_checks(outcomes: Sequence[Outcome]) -> bool:
    """Print the checks, with the output of those that failed; True when all passed."""
    say("\nChecks")
    failed = [outcome for outcome in outcomes if outcome.exit_code]
    for outcome in failed:
        say(f"\n---- {outcome.step.name}: {' '.join(outcome.step.command)}\n{outcome.output.rstrip()}")
    for outcome in outcomes:
        say(f"  {'FAILED' if outcome.exit_code else 'passed'}  {outcome.step.name} ({outcome.seconds:.0f} s)")
    return not failed


def run_tests(
    tool: Path,
    arguments: Sequence[str],
    *,
    is_full: bool,
    seed: int | None = None,
    results: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> bool:
    """Run the tests in parallel; with all that ``--full`` adds, coverage is measured, which takes half as long again.

    Parameters
    ----------
    seed
        Seed of the order of modules and of the tests in each; None: the order of the files.
    results
        File for the outcomes in JUnit's format.
    variables
        Further environment variables.
    """
    n_processes = 2 * (os.cpu_count() or 1)  # many tests wait for processes of their own
    command = [str(tool / "pytest"), "-q", "-n", str(n_processes), "--dist", "loadfile"]
    command += ["--no-loadscope-reorder", *arguments]  # tests/conftest.py puts the longest first
    if not arguments and is_full:
        command += ["--cov", "--cov-report", "term:skip-covered", f"--cov-fail-under={COVERAGE_FLOOR}"]
    elif not arguments:
        command += ["--ignore", "tests/conformance"]
    if seed is not None:
        command += ["--random-order-bucket", "module", f"--random-order-seed={seed}"]
    if results is not None:
        command += [f"--junit-xml={results}"]
    if not arguments:
        compile_tests(tool)
    shown = "".join(f"{name}={value} " for name, value in (variables or {}).items())
    say(f"\nTests: {shown}{' '.join(command[1:])}")
    environment = {**folders_in_memory(), **os.environ, **(variables or {})}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def compile_tests(tool: Path) -> None:
    """Collect the tests in one process where the bytecode of many is missing: else each parallel one compiles them all."""
    version = (version_of(str(tool / "python")) or "").replace(".", "")
    n_stale = 0
    for path in (ROOT / "tests").rglob("test_*.py"):
        compiled = path.parent.joinpath("__pycache__").glob(f"{path.stem}.cpython-{version}-pytest-*.pyc")
        newest = max((one.stat().st_mtime for one in compiled), default=0.0)
        n_stale += newest < path.stat().st_mtime
    if n_stale >= MANY_STALE:
        command = [str(tool / "pytest"), "-q", "--collect-only", "--ignore", "tests/conformance"]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def folders_in_memory() -> dict[str, str]:
    """Variables that put the folders of tests on a file system in memory, where there is a large one.

    Tests write, flush and delete some ten thousand small files, 0.3 GB in all; a disk takes milliseconds for each.
    """
    place = "/dev/shm"
    try:
        state = os.statvfs(place)
    except OSError:
        return {}
    is_large = state.f_bavail * state.f_frsize >= MEMORY_FOR_TESTS
    runs_programs = not state.f_flag & os.ST_NOEXEC
    return (
        {"PYTEST_DEBUG_TEMPROOT": place} if is_large and runs_programs and os.access(place, os.W_OK) else {}
    )


def run_rounds(
    tool: Path, arguments: Sequence[str], *, is_full: bool, n_rounds: int, seed: int, is_stressed: bool
) -> bool:
    """Run the tests several times, each time in another order, and print a table; True when all rounds passed."""
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory() as folder, busy_cores(os.cpu_count() or 1 if is_stressed else 0):
        for number in range(n_rounds):
            results = Path(folder) / f"{number}.xml"
            start = time.monotonic()
            passed = run_tests(tool, arguments, is_full=is_full, seed=seed + number, results=results)
            rounds.append(Round(seed + number, counts_of(results), time.monotonic() - start, passed))
    say(
        f"\n{'round':>5}  {'seed':>10}  {'passed':>6}  {'failed':>6}  {'errors':>6}  {'skipped':>7}  {'time':>6}"
    )
    for number, one in enumerate(rounds, 1):
        columns = [f"{one.counts[name]:>{len(name)}}" for name in ("passed", "failed", "errors", "skipped")]
        remedy = "" if one.passed else f"  again: scripts/test --seed {one.seed}"
        say(f"{number:>5}  {one.seed:>10}  {'  '.join(columns)}  {one.seconds:>4.0f} s{remedy}")
    return all(one.passed for one in rounds)


def counts_of(results: Path) -> dict[str, int]:
    """Numbers of tests in a file in JUnit's format: passed, failed, errors, skipped."""
    if not results.exists():
        return {"passed": 0, "failed": 0, "errors": 1, "skipped": 0}
    suites = ElementTree.parse(results).getroot().iter("testsuite")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites:
        for name in totals:
            totals[name] += int(suite.get(name, 0))
    wrong = totals["failures"] + totals["errors"]
    return {
        "passed": totals["tests"] - wrong - totals["skipped"],
        "failed": totals["failures"],
        "errors": totals["errors"],
        "skipped": totals["skipped"],
    }


BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10**6))"


@contextmanager
def busy_cores(n_cores: int) -> Iterator[None]:
    """Keep cores busy with processes that do nothing useful; they end with the block, and with this process."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n_cores)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


# ---------------------------------------------------------------------------------------------------------------
# Commands


def check(arguments: Sequence[str]) -> int:
    """``scripts/check``."""
    options = parser("scripts/check").parse_args(arguments)
    tool = environment(options.python) / "bin"
    passed = show_checks(run_checks([*fast_steps(tool), budget_step(tool)], tool))
    say("All checks passed." if passed else "Some checks FAILED; their output is above.")
    return 0 if passed else 1


def test(arguments: Sequence[str]) -> int:
    """``scripts/test``."""
    command = parser("scripts/test")
    command.add_argument(
        "--full",
        action="store_true",
        help="also test against SageMaker's SDKs, command line and toolkit, BoTorch, LightGBM and XGBoost, test the SageMaker "
        "backend on an account that checks permissions, and require coverage",
    )
    command.add_argument(
        "--repeat", type=int, default=0, metavar="N", help="run the tests N times, in random orders"
    )
    command.add_argument("--seed", type=int, help="order of the first round; default: drawn, and printed")
    command.add_argument(
        "--stress", action="store_true", help="keep all cores busy with other work meanwhile"
    )
    options, rest = command.parse_known_args(arguments)
    n_rounds = options.repeat or int(options.stress or options.seed is not None)
    start = time.monotonic()
    tool = environment(options.python) / "bin"
    with ThreadPoolExecutor() as pool:  # the network is slower than the checks
        is_wanted = not rest or any("benchmarks_torch" in argument for argument in rest)
        extra = {
            "the scripts that need PyTorch": pool.submit(torch_environment) if is_wanted else None,
            "what only other programs can show": pool.submit(client_environments) if options.full else None,
            "the pages of the dashboard, and a Slurm cluster": pool.submit(system_programs)
            if options.full
            else None,
        }
        missing = {what: made.result() for what, made in extra.items() if made}
    passed: dict[str, bool] = {}
    with ThreadPoolExecutor(
        max_workers=1
    ) as pool:  # side by side: the check of the types keeps one core busy, alone
        steps = [*fast_steps(tool), budget_step(tool)] if rest else fast_steps(tool)
        checks = pool.submit(run_checks, steps, tool)
        if n_rounds:
            seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
            passed["tests"] = run_rounds(
                tool, rest, is_full=options.full, n_rounds=n_rounds, seed=seed, is_stressed=options.stress
            )
        else:
            passed["tests"] = run_tests(tool, rest, is_full=options.full)
            if options.full and not rest:
                passed["tests on a strict account"] = run_tests(
                    tool, STRICT_TESTS, is_full=True, variables=STRICT
                )
        passed = {"checks": show_checks(checks.result()), **passed}
    for what, reason in missing.items():
        if reason:
            say(f"\nNot tested: {what}, as their environment could not be made: {reason}")
    failed = [part for part, good in passed.items() if not good]
    verdict = (
        f"FAILED: {' and '.join(failed)}; their output is above" if failed else "All checks and tests passed"
    )
    say(f"\n{verdict} ({time.monotonic() - start:.0f} s).")
    return 1 if failed else 0


def demo(arguments: Sequence[str]) -> int:
    """``scripts/demo``."""
    tool = environment(None) / "bin"
    say(
        "The main job: ASHA tunes the network mlp_digits for about 75 seconds. Each trial is a SageMaker training job,\n"
        "run on this machine by the embedded endpoint; finished jobs leave their instance warm for the next one."
    )
    launcher = ROOT / "benchmarking" / "nursery" / "launch_sagemaker" / "hpo_main.py"
    command = [str(tool / "python"), str(launcher), "--endpoint", "embedded", "--experiment_tag", "demo"]
    command += ["--benchmark", "mlp_digits", "--method", "ASHA", "--num_seeds", "1", "--warm_pool", "1"]
    command += ["--max_wallclock_time", "75", *arguments]
    if exit_code := shown(command):
        return exit_code
    listed = subprocess.run(
        [str(tool / "tunewright"), "list", "--format", "json"], capture_output=True, check=True
    )
    newest = json.loads(listed.stdout)[-1]["experiment"]
    return shown([str(tool / "tunewright"), "show", newest])


def docs(arguments: Sequence[str]) -> int:
    """``scripts/docs``."""
    command = argparse.ArgumentParser(prog="scripts/docs", allow_abbrev=False)
    command.add_argument("--python", help="another interpreter, such as python3.13")
    command.add_argument("--fresh", action="store_true", help="run all tutorials again")
    command.add_argument(
        "--tags", action="store_true", help="also the site of each tag v*, below build/docs/versions"
    )
    options = command.parse_args(arguments)
    tool = environment(options.python, group="docs") / "bin"
    pages = ROOT / "build" / "docs"
    if options.fresh:
        for made in (
            pages,
            ROOT / "docs" / "methods" / "figures",
            ROOT / "docs" / "tutorials",
            ROOT / "docs" / "reference" / "generated",
        ):
            shutil.rmtree(made, ignore_errors=True)
    start = time.monotonic()
    if options.tags and (exit_code := tagged_sites(pages / "versions")):
        return exit_code
    exit_code = shown([str(tool / "sphinx-build"), "-n", "-W", "--keep-going", "-q", "docs", str(pages)])
    if exit_code:
        say(f"The site could not be built; the warnings above are errors ({time.monotonic() - start:.0f} s).")
    else:
        say(f"Open {pages / 'index.html'} ({time.monotonic() - start:.0f} s).")
    return exit_code


def tagged_sites(folder: Path) -> int:
    """Build the site of each tag that has one, by its own ``scripts/docs`` in a checkout of its own; return the first exit code that is not 0."""
    listed = subprocess.run(
        ["git", "tag", "--list", "v*"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for tag in listed.stdout.split():
        if (folder / tag / "index.html").exists():
            continue
        with tempfile.TemporaryDirectory() as checkout:
            subprocess.run(["git", "worktree", "add", "--detach", checkout, tag], cwd=ROOT, check=True)
            try:
                command = Path(checkout) / "scripts" / "docs"
                if not command.exists():
                    say(f"{tag} has no site")
                    continue
                if exit_code := shown([str(command)]):
                    return exit_code
                shutil.copytree(Path(checkout) / "build" / "docs", folder / tag)
            finally:
                subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=ROOT, check=True)
    return 0


def shown(command: Sequence[str]) -> int:
    """Show a command, run it and return its exit code."""
    say(f"$ {' '.join(command)}\n")
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def parser(program: str) -> argparse.ArgumentParser:
    """The options that the checks and the tests share."""
    result = argparse.ArgumentParser(
        prog=program, description="Further arguments go to pytest.", allow_abbrev=False
    )
    result.add_argument(
        "--python", help="another interpreter, such as python3.13; it gets its own .venv-3.13"
    )
    return result


def main() -> int:
    """Run the command that the first argument names."""
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # else each of some thousand processes compiles all it imports
    commands = {"check": check, "test": test, "demo": demo, "docs": docs}
    try:
        return commands[sys.argv[1]](sys.argv[2:])
    except SetupError as error:
        say(f"Cannot start: {error}")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
