"""Compare all methods on all grounds in simulated time; see --help. The whole plan: --num_seeds 20 --resume 1."""

try:
    from tunewright.cli.hpo_main import main
except ModuleNotFoundError as error:
    if error.name != "tunewright":
        raise
    raise SystemExit(f"{error}. Run with .venv/bin/python, or first: pip install -e '.[analysis]'") from None

from baselines import methods, most_seeds
from benchmark_definitions import benchmark_definitions

if __name__ == "__main__":
    main(methods, benchmark_definitions, backend="simulated", most_seeds=most_seeds)
