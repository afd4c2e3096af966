"""Launchers: ``main`` of the ``hpo_main.py`` scripts, one module per backend."""
