"""Tunewright: distributed hyperparameter optimisation whose trials are real training jobs."""
