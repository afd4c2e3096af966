"""Backends: where the runs of trials happen."""
