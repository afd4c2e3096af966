"""Tune a benchmark with jobs of a Slurm cluster, from this machine; see --help."""

try:
    from tunewright.cli.hpo_main import main
except ModuleNotFoundError as error:
    if error.name != "tunewright":
        raise
    raise SystemExit(
        f"{error}. Run with .venv/bin/python, or first: pip install -e '.[benchmarks]'"
    ) from None

from baselines import methods
from benchmark_definitions import benchmark_definitions

if __name__ == "__main__":
    main(methods, benchmark_definitions, backend="slurm")
