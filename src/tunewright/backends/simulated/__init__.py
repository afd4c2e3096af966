"""Trials as Python functions on a simulated clock."""
