"""Run what the command line asks for; see --help."""

from baselines import methods
from benchmark_definitions import benchmark_definitions

from tunewright.launchers.hpo_main_local import main

if __name__ == "__main__":
    main(methods, benchmark_definitions)
