"""Records the outputs and pictures of the tutorials that the site build cannot run: ``docs/recordings/NAME.json`` and ``NAME*``.

    python scripts/record_tutorials.py slurm_cluster
    python scripts/record_tutorials.py ray_cluster --programs RAY_ENVIRONMENT/bin
    python scripts/record_tutorials.py sagemaker_account --programs AWS_ENVIRONMENT/bin
    python scripts/record_tutorials.py dashboard_tour

Each command runs in a home of its own. A recording has the commands as they ran with all they printed, the date and the
versions. The paths of that home and of this checkout are written as ``~``; a recording with another path of this machine is
refused.

Slurm needs root and the packages slurmctld, slurmd, slurm-client and munge; Ray and the AWS command line (awscli) each an
environment, given by ``--programs``; the dashboard Chromium.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.conformance.ray.cluster import Cluster as RayCluster  # noqa: E402 - of this checkout
from tests.conformance.slurm.cluster import Cluster as SlurmCluster  # noqa: E402

from tunewright import __version__  # noqa: E402

RECORDINGS = ROOT / "docs" / "recordings"
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FIGURE = "from tunewright.experiments import load_outcome; from tunewright.storage import find_experiment; "
FIGURE += "load_outcome(find_experiment('@last')).plot_workers().savefig({!r}, dpi=150)"
PATIENCE = 600.0
"""Seconds for one command."""


class Recorder:
    """A home with a copy of the tutorial, in which commands run and are written down.

    Parameters
    ----------
    name
        Of the tutorial.
    home
        Folder that is ``~`` for all commands.
    programs
        Folder of further programs.
    """

    def __init__(self, name: str, home: Path, programs: Path | None) -> None:
        self.name = name
        self.home = home
        self.versions = {"Tunewright": __version__, "Python": platform.python_version()}
        self.variables: dict[str, str] = {}
        """Of all further commands."""
        self._programs = programs
        self._steps: dict[str, list[dict[str, str]]] = {}
        (home / "examples").mkdir()
        shutil.copy(ROOT / "examples" / f"{name}.py", home / "examples")

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a command: of this process only the ones that programs need."""
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        first = [Path(sys.executable).parent, *([self._programs] if self._programs else [])]
        path = os.pathsep.join([*map(str, first), kept["PATH"]])
        fixed = {"HOME": str(self.home), "COLUMNS": "100", "PYTHONUNBUFFERED": "1", "USER": getpass.getuser()}
        return {**kept, **fixed, "PATH": path, **self.variables}

    def run(self, step: str, command: str) -> str:
        """Run a command to its end, and record it with its output."""
        with self.started(step, command) as (process, _):
            process.wait(PATIENCE)
        entry = self._steps[step][-1]
        print(f"$ {command}\n{entry['output']}\n", flush=True)
        return entry["output"]

    @contextmanager
    def started(self, step: str, command: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """Start a command; recorded is all that it has printed at the end of the block, where it must have ended."""
        entry = {
            "command": f"{command.removeprefix('exec ')} &" if command.startswith("exec ") else command,
            "output": "",
        }
        self._steps.setdefault(step, []).append(entry)
        file = self.home / "output"
        if file.exists():
            file = self.home / "output_beside"
        with file.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", command], cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield process, file
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            entry["output"] = self._cleaned(file.read_text(errors="replace"))
            file.unlink()

    def quiet(self, *command: str | Path) -> str:
        """Run a command that is not recorded; its output."""
        return subprocess.run(
            [str(part) for part in command], cwd=self.home, env=self.environment, capture_output=True, text=True, check=True
        ).stdout  # fmt: skip

    def draw_workers(self, ending: str = "") -> None:
        """Save the timeline of the newest experiment's workers."""
        self.quiet(sys.executable, "-c", FIGURE.format(str(RECORDINGS / f"{self.name}{ending}.png")))

    def until(self, condition: Callable[[], object], error: str) -> None:
        """Wait until a function returns something true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(error)
            time.sleep(0.2)

    def n_results(self, tag: str, place: int) -> int:
        """Results of an experiment of a tag, by its place in the order of their beginnings; 0 if there is none yet."""
        journals = sorted((self.home / "tunewright" / "experiments" / tag).glob("*/journal.jsonl"))
        return journals[place].read_text().count('"decision"') if len(journals) > place else 0

    def write(self) -> None:
        """Store the recording."""
        text = json.dumps(
            {
                "recorded": datetime.now(UTC).date().isoformat(),
                "versions": self.versions,
                "processors": os.cpu_count(),
                "is_shared": os.getloadavg()[2] > 2 * (os.cpu_count() or 1),
                "steps": self._steps,
            },
            indent=1,
        )
        for word in (str(ROOT), str(Path.home()), socket.gethostname()):
            if word in text and len(word) > 3:
                place = text.index(word)
                raise ValueError(
                    f"The recording has a name of this machine: {text[place - 200 : place + 200]}"
                )
        (RECORDINGS / f"{self.name}.json").write_text(text + "\n")

    def _cleaned(self, output: str) -> str:
        text = (
            re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace(str(self.home), "~").replace(str(ROOT), "~")
        )
        text = re.sub(r"[^\n]*\r(?!\n)", "", text)  # lines that were written over
        return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def record_slurm(recorder: Recorder) -> None:
    """A cluster of two nodes: check, experiment, and an experiment whose tuner is killed."""
    script = "python examples/slurm_cluster.py"
    folder = recorder.home / "cluster"
    folder.mkdir()
    cluster = SlurmCluster(folder)
    queue = 'squeue --format "%.5i %.60j %.9T %.6M"'
    try:
        cluster.start()
        recorder.variables["SLURM_CONF"] = str(cluster.conf)
        recorder.versions["Slurm"] = recorder.quiet("sinfo", "--version").split()[1]
        recorder.run("doctor", "sinfo")
        recorder.run("doctor", "tunewright doctor --backend slurm --mem 100M | sed -n '/^Backend/,$p'")
        with recorder.started("run", script) as (process, _):
            recorder.until(lambda: recorder.n_results("slurm-cluster", 0) > 5, "no results")
            recorder.run("queue", queue)
            process.wait(PATIENCE)
        recorder.run("run", "tunewright show @last")
        recorder.draw_workers()
        with recorder.started("killed", f"exec {script}") as (process, _):
            recorder.until(lambda: recorder.n_results("slurm-cluster", 1) > 5, "no results")
            recorder.run("killed", f"kill -9 {process.pid}")
            process.wait(PATIENCE)
        recorder.run("killed", queue)
        recorder.run("killed", "tunewright resume @last")
    finally:
        cluster.close()


def record_ray(recorder: Recorder) -> None:
    """A cluster of one node: check, an experiment in jobs mode, the same in workers mode."""
    assert recorder._programs is not None, "--programs: the folder of the program ray"
    with tempfile.TemporaryDirectory(prefix="tw-ray-", ignore_cleanup_errors=True) as folder:
        cluster = RayCluster(recorder._programs, Path(folder))
        try:
            recorder.variables |= cluster.environment
            recorder.versions["Ray"] = recorder.quiet(recorder._programs / "ray", "--version").split()[-1]
            recorder.run("doctor", "tunewright doctor --backend ray | sed -n '/^Backend/,$p'")
            recorder.run("jobs", "python examples/ray_cluster.py")
            recorder.draw_workers("_jobs")
            recorder.run("workers", "python examples/ray_cluster.py workers")
            recorder.draw_workers("_workers")
        finally:
            cluster.close()


TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def record_account(recorder: Recorder) -> None:
    """A strict endpoint: role, user, quotas, verify, and an experiment with the user's rights."""
    (recorder.home / "trust.json").write_text(json.dumps(TRUST, indent=2) + "\n")
    recorder.versions["AWS command line"] = recorder.quiet("aws", "--version").split()[0].partition("/")[2]
    with recorder.started("endpoint", "exec sagemaker-emulator serve --dir emulator --preset strict") as (
        server,
        file,
    ):
        recorder.until(lambda: "AWS_SECRET_ACCESS_KEY" in file.read_text(), "the server does not start")
        time.sleep(1)
        recorder.variables |= dict(re.findall(r"(AWS_\w+)=(\S+)", file.read_text()))
        policy = "tunewright sagemaker policy"
        role, user = "tunewright-trial", "anna"
        recorder.run("role", "cat trust.json")
        recorder.run(
            "role",
            f"aws iam create-role --role-name {role} --assume-role-policy-document file://trust.json --output text",
        )
        recorder.run("role", f"{policy} --for trial --endpoint auto > trial.json")
        recorder.run(
            "role",
            f"aws iam put-role-policy --role-name {role} --policy-name tunewright --policy-document file://trial.json",
        )
        recorder.run("trial_policy", "cat trial.json")
        recorder.run("user", f"{policy} --for user --role {role} --endpoint auto > user.json")
        recorder.run("user", f"aws iam create-user --user-name {user} --output text")
        recorder.run(
            "user",
            f"aws iam put-user-policy --user-name {user} --policy-name tunewright --policy-document file://user.json",
        )
        command = f"aws iam create-access-key --user-name {user} --query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text > key"
        recorder.run("user", command)
        recorder.run(
            "user", 'export AWS_ACCESS_KEY_ID="$(cut -f 1 key)" AWS_SECRET_ACCESS_KEY="$(cut -f 2 key)"'
        )
        key, secret = (recorder.home / "key").read_text().split()
        recorder.variables |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        recorder.run("user", "aws sts get-caller-identity --output text")
        recorder.run("user_policy", "cat user.json")
        recorder.run(
            "quotas",
            "tunewright sagemaker quotas --instance_type ml.c5.xlarge --n_workers 2 --warm_pool 1 --endpoint auto",
        )
        recorder.run("verify", f"tunewright sagemaker verify --role {role} --yes")
        recorder.run("run", "python examples/sagemaker_account.py")
        recorder.draw_workers()
        recorder.run("cleanup", "tunewright sagemaker cleanup --dry_run")
        recorder.run("cleanup", "tunewright sagemaker purge sagemaker-account --yes")
        server.terminate()
        server.wait(60)


def record_dashboard(recorder: Recorder) -> None:
    """An experiment, and screenshots of its views, light and dark."""
    printed = recorder.run("run", "python examples/dashboard_tour.py")
    best = printed.rpartition("Best(trial_id=")[2].partition(",")[0]
    name = next(iter((recorder.home / "tunewright" / "experiments" / "dashboard-tour").iterdir())).name
    with (
        recorder.started("serve", "exec tunewright dashboard --no_browser --port 8080") as (server, file),
        sync_playwright() as playwright,
    ):
        recorder.until(lambda: "http" in file.read_text(), "the server does not start")
        address = next(word for word in file.read_text().split() if word.startswith("http"))
        path = next(path for path in BROWSERS if Path(path).exists())
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        recorder.versions["Chromium"] = browser.version
        for scheme in ("light", "dark"):
            take_pictures(recorder.name, browser, address, f"#/e/dashboard-tour/{name}", best, scheme)
        browser.close()
        server.terminate()
        server.wait(60)


VIEWS = {
    "overview": ("overview", 900),
    "trials": ("trials?q=lr%3C0.05%20value%3E0.8", 620),
    "trial": ("trials/{best}", 900),
    "curves": ("curves", 860),
    "parallel": ("parallel", 760),
}
"""Picture -> address below that of the experiment, height in pixels."""


def take_pictures(name: str, browser: Browser, address: str, place: str, best: str, scheme: str) -> None:
    """Take the pictures of all views."""
    page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(address)
    expect(page.locator("body")).to_contain_text("Live", timeout=30_000)
    for view, (below, height) in VIEWS.items():
        page.set_viewport_size({"width": 1200, "height": height})
        page.evaluate("address => { location.hash = address }", f"{place}/{below.format(best=best)}")
        expect(page.locator("main")).not_to_contain_text(
            re.compile("Estimating\u2026|Loading\u2026"), timeout=30_000
        )
        page.wait_for_timeout(1500)  # charts are drawn in steps
        shot = RECORDINGS / f"{name}_{view}_{scheme}.webp"
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            page.screenshot(path=file.name)
            with Image.open(file.name) as image:
                image.save(shot, quality=80, method=6)
                if (view, scheme) == ("overview", "light"):
                    image.resize((600, 450)).convert("P", palette=Image.Palette.ADAPTIVE).save(
                        RECORDINGS / f"{name}.png"
                    )
    page.close()


RECORD: Mapping[str, Callable[[Recorder], None]] = {
    "slurm_cluster": record_slurm,
    "ray_cluster": record_ray,
    "sagemaker_account": record_account,
    "dashboard_tour": record_dashboard,
}


def main() -> None:
    """Record one tutorial."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(RECORD))
    parser.add_argument(
        "--programs", type=Path, help="folder of the programs of Ray, or of the AWS command line"
    )
    options = parser.parse_args()
    RECORDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tw-home-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)
        recorder = Recorder(options.name, Path(home), options.programs and options.programs.absolute())
        RECORD[options.name](recorder)
        recorder.write()


if __name__ == "__main__":
    main()
