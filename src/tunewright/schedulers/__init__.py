"""Schedulers: one file per way to decide which trial runs, and for how long."""
