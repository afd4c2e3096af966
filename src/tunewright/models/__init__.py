"""Surrogate models on plain arrays: they know no trial, no configuration and no history."""
