"""Surrogate models on plain arrays, independent of trials, configurations and History."""
