"""The methods that are compared, by the names that --method takes; without it the default methods are."""

from tunewright.experiments import method

methods = {
    "RS": method("RandomSearch"),
    "OneEpoch": method("OneEpochTopK"),
    "ASHA": method("ASHA", kind="stopping"),
    "ASHA-PROM": method("ASHA", kind="promotion"),
    "SyncHyperband": method("SyncHyperband"),
    "SyncBOHB": method("SyncBOHB"),
    "SyncMOBSTER": method("SyncMOBSTER"),
    "DEHB": method("DEHB"),
    "PASHA": method("PASHA"),
    "MedianStopping": method("MedianStopping"),
    "REA": method("REA", population_size=20, sample_size=5),
    "BORE": method("BORE"),
    "CQR": method("CQR"),
    "ASHABORE": method("ASHABORE", kind="stopping"),
    "ASHACQR": method("ASHACQR", kind="stopping"),
    "BO": method("BayesianOptimization"),
    "KDE": method("KDE"),
    "BOHB": method("BOHB"),
    "MOBSTER": method("MOBSTER"),
    "MOBSTER-INDEP": method("MOBSTER", model="independent"),
    "HyperTune": method("HyperTune"),
    "HyperTune-JOINT": method("HyperTune", model="joint"),
    "FreezeThaw": method("FreezeThaw"),
    "DyHPO": method("DyHPO"),
    "auto": method("auto"),
}

default_methods = (
    "RS",
    "OneEpoch",
    "ASHA",
    "ASHA-PROM",
    "BO",
    "KDE",
    "BOHB",
    "MOBSTER-INDEP",
)  # the quick ones
