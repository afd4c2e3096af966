"""Measure Tunewright beside Syne Tune 0.13.0 in one run and write the figures into ``docs/performance.md``.

``python perf/measure.py --peer FOLDER`` (the interpreter of Tunewright; FOLDER is an environment with Syne Tune
0.13.0). Both sides do the same work in turn, several times; of each figure the smallest is kept, as whatever else the
machine does can only add to it. All times are CPU time, so that ratios hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
STORED = HERE / "measured.json"
COMPARED = ("random", "asha_stopping", "asha_promotion", "simulated_promotion")
OWN = ("simulated_all_reports", "runner")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    shown: str


def figures(python: Path, script: str, task: str) -> dict[str, float]:
    """What a side measures of itself in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    command = [str(python), str(HERE / script), task]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def cpu_seconds(*command: str | Path) -> float:
    """User and system seconds of a command and its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def startup(peer: Path) -> dict[str, float]:
    """CPU seconds from nothing to an imported package, and to the help of the command line."""
    program = Path(sys.executable).with_name("tunewright")
    return {
        "python": cpu_seconds(sys.executable, "-c", "pass"),
        "import": cpu_seconds(sys.executable, "-c", "import tunewright"),
        "import_tuner": cpu_seconds(sys.executable, "-c", "import tunewright; tunewright.Tuner"),
        "help": cpu_seconds(program, "--help"),
        "import_peer": cpu_seconds(peer, "-c", "import syne_tune"),
        "import_peer_tuner": cpu_seconds(peer, "-c", "from syne_tune import Tuner"),
    }


def smallest(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each figure the smallest; of rates and ratios the median."""
    rates = {"events_per_second", "last_over_first"}
    names = samples[0]
    return {
        name: (statistics.median if name in rates else min)(sample[name] for sample in samples)
        for name in names
    }


def measure(peer: Path, repeats: int) -> dict[str, dict[str, float]]:
    """All figures by task; the peer's under ``peer.TASK``."""
    own = Path(sys.executable)
    samples: dict[str, list[dict[str, float]]] = {}
    for number in range(repeats):
        print(f"Round {number + 1} of {repeats}", flush=True)
        for task in COMPARED:
            samples.setdefault(task, []).append(figures(own, "ours.py", task))
            samples.setdefault(f"peer.{task}", []).append(figures(peer, "peer.py", task))
        for task in OWN:
            samples.setdefault(task, []).append(figures(own, "ours.py", task))
        samples.setdefault("startup", []).append(startup(peer))
    return {task: smallest(found) for task, found in samples.items()}


def compared(name: str, ours: float, theirs: float, *, unit: str) -> Row:
    """A line with both figures and their ratio."""
    return Row(name, f"{ours:.3g} {unit} | {theirs:.3g} {unit} | {ours / theirs:.2f}")


def own(name: str, shown: str) -> Row:
    """A line about something that the peer has not."""
    return Row(name, f"{shown} | | ")


def rows(found: dict[str, dict[str, float]]) -> list[Row]:
    """The table of the performance page."""
    kinds = {
        "random": "RandomSearch",
        "asha_stopping": "ASHA (stopping)",
        "asha_promotion": "ASHA (promotion)",
    }
    table: list[Row] = []
    for task, method in kinds.items():
        ours, theirs = found[task], found[f"peer.{task}"]
        table.append(compared(f"{method}: one suggestion", ours["suggest"], theirs["suggest"], unit="ms"))
        table.append(
            compared(
                f"{method}: one suggestion, journal included",
                ours["suggest+journal"],
                theirs["suggest"],
                unit="ms",
            )
        )
    for task in ("asha_stopping", "asha_promotion"):
        ours, theirs, method = found[task], found[f"peer.{task}"], kinds[task]
        table.append(compared(f"{method}: one report", ours["report"], theirs["report"], unit="ms"))
        table.append(
            compared(
                f"{method}: one report, journal included", ours["report+journal"], theirs["report"], unit="ms"
            )
        )
    start, promotion = found["startup"], found["simulated_promotion"]
    table += [
        compared("Import of the package", start["import"], start["import_peer"], unit="s"),
        compared("Import of the Tuner", start["import_tuner"], start["import_peer_tuner"], unit="s"),
        own("`tunewright --help`", f"{start['help']:.3g} s"),
        own("Runner in a job, its start to the script's first line", f"{found['runner']['seconds']:.3g} s"),
        compared(
            "Simulated ASHA (promotion), per report, all included",
            promotion["ms_per_result"],
            found["peer.simulated_promotion"]["ms_per_result"],
            unit="ms",
        ),
    ]
    for task, what in (
        ("simulated_all_reports", "stopping, all report 9 times"),
        ("simulated_promotion", "promotion"),
    ):
        done = found[task]
        table.append(
            own(
                f"10,000 simulated trials, ASHA ({what}): {int(done['results']):,} reports",
                f"{done['events_per_second']:,.0f} events/s, last thousand trials / first: "
                f"{done['last_over_first']:.2f}",
            )
        )
    return table


def write(found: dict[str, dict[str, float]], command: str) -> None:
    """Store the figures and put the table between the marks of the page."""
    table = rows(found)
    machine = {"python": platform.python_version(), "processor": processor(), "cpus": os.cpu_count()}
    stored = {
        "command": command,
        "machine": machine,
        "figures": found,
        "rows": [asdict(row) for row in table],
    }
    STORED.write_text(json.dumps(stored, indent=2) + "\n")
    lines = ["| what | Tunewright | Syne Tune 0.13.0 | ratio |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.shown} |" for row in table]
    lines += ["", f"Python {machine['python']}, {machine['cpus']} CPUs ({machine['processor']}); `{command}`"]
    text = "\n".join(lines)
    page = PAGE.read_text()
    marked = re.compile(r"(?<=<!-- measured -->\n).*?(?=\n<!-- end -->)", flags=re.DOTALL)
    PAGE.write_text(marked.sub(lambda _: text, page))
    print(text)


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = (
        re.findall(r"^model name\s*: (.+)$", info.read_text(), flags=re.MULTILINE) if info.exists() else []
    )
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="environment with Syne Tune 0.13.0")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.peer / "bin" / "python", options.repeats)
    write(found, f"python perf/measure.py --peer PEER --repeats {options.repeats}")


if __name__ == "__main__":
    main()
