"""Searchers: one file per way to choose the next configuration."""
