"""Tune a benchmark with jobs of a Ray cluster, from a job per method and seed; see --help."""

try:
    from tunewright.cli.launch_remote import launch_remote
except ModuleNotFoundError as error:
    if error.name != "tunewright":
        raise
    raise SystemExit(
        f"{error}. Run with .venv/bin/python, or first: pip install -e '.[benchmarks]'"
    ) from None

from baselines import methods
from benchmark_definitions import benchmark_definitions

if __name__ == "__main__":
    launch_remote(__file__, methods, benchmark_definitions, backend="ray")
