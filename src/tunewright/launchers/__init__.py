"""Old import paths of :mod:`tunewright.cli.hpo_main` and :mod:`tunewright.cli.launch_remote`.

Experiment folders that ``tunewright init`` of version 0.1 wrote import them.
"""
