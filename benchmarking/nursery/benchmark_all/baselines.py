"""All methods of the comparison, and how many seeds each gets: methods whose decisions take long get fewer."""

from tunewright.experiments import method

_CHEAP = {
    "RS": method("RandomSearch"),
    "OneEpoch": method("OneEpochTopK"),
    "ASHA": method("ASHA", kind="stopping"),
    "ASHA-PROM": method("ASHA", kind="promotion"),
    "PASHA": method("PASHA"),
    "SyncHyperband": method("SyncHyperband"),
    "DEHB": method("DEHB"),
    "MedianStopping": method("MedianStopping"),
    "REA": method("REA", population_size=20, sample_size=5),
    "KDE": method("KDE"),
    "BOHB": method("BOHB"),
    "SyncBOHB": method("SyncBOHB"),
    "BO": method("BayesianOptimization"),
    "BORE": method("BORE"),
}
"""Less than 2 CPU seconds a run on the network of LCBench."""
_MIDDLE = {
    "auto": method("auto"),
    "HyperTune": method("HyperTune"),
    "HyperTune-JOINT": method("HyperTune", model="joint"),
    "MOBSTER": method("MOBSTER"),
    "MOBSTER-INDEP": method("MOBSTER", model="independent"),
    "SyncMOBSTER": method("SyncMOBSTER"),
    "ASHABORE": method("ASHABORE"),
    "CQR": method("CQR"),
    "FreezeThaw": method("FreezeThaw"),
}
"""2 to 10 CPU seconds."""
_COSTLY = {
    "ASHACQR": method("ASHACQR"),
    "DyHPO": method("DyHPO"),
}
"""About 20 CPU seconds."""

methods = _CHEAP | _MIDDLE | _COSTLY

most_seeds = dict.fromkeys(_CHEAP, 30) | dict.fromkeys(_MIDDLE, 15) | dict.fromkeys(_COSTLY, 10)
"""Highest number of seeds of each method, whatever ``--num_seeds`` says."""
