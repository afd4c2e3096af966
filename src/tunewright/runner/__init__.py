"""What runs a user's script, here and inside a job: standard library only, Python >= 3.9, built as a zipapp.

The modules import each other relatively and nothing else of ours, because the zipapp holds them as a package of
their own. :mod:`order` says what to run, :mod:`channel` how the world hears of it, :mod:`supervisor` does it.
"""
