"""The methods that are compared, by the names that --method takes."""

from tunewright.experiments import method

methods = {
    "RS": method("RandomSearch"),
    "OneEpoch": method("OneEpochTopK"),
    "ASHA": method("ASHA", kind="stopping"),
    "ASHA-PROM": method("ASHA", kind="promotion"),
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
