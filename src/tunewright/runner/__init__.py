"""The program that runs a user's script, here and inside a job: standard library only, Python >= 3.9, built as a zipapp.

The modules import each other relatively and nothing else of ours, because the zipapp holds them as a package of
their own. :mod:`contract` has the names that callers use, :mod:`run_order` describes a run, :mod:`channel` connects it to its backend,
:mod:`supervisor` runs it.
"""
