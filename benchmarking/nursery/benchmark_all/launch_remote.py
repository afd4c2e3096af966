"""Compare methods on recorded tables in tuning jobs; see --help."""

try:
    from tunewright.cli.launch_remote import launch_remote
except ModuleNotFoundError as error:
    if error.name != "tunewright":
        raise
    raise SystemExit(
        f"{error}. Run with .venv/bin/python, or first: pip install -e '.[aws,emulator,benchmarks]'"
    ) from None

from baselines import methods, most_seeds
from benchmark_definitions import benchmark_definitions

if __name__ == "__main__":
    launch_remote(__file__, methods, benchmark_definitions, backend="simulated", most_seeds=most_seeds)
