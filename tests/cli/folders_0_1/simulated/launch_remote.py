"""Run what the command line asks for in tuning jobs, one per method and seed; see --help."""

from baselines import methods
from benchmark_definitions import benchmark_definitions

from tunewright.launchers.launch_remote_simulated import launch_remote

if __name__ == "__main__":
    launch_remote(__file__, methods, benchmark_definitions)
