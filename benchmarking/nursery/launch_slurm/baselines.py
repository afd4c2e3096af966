"""The methods that are compared, by the names that --method takes."""

from tunewright.experiments import method

methods = {
    "RS": method("RandomSearch"),
    "ASHA": method("ASHA", kind="promotion"),
    "SyncHyperband": method("SyncHyperband"),
    "SyncBOHB": method("SyncBOHB"),
    "SyncMOBSTER": method("SyncMOBSTER"),
    "DEHB": method("DEHB"),
    "PASHA": method("PASHA"),
    "MedianStopping": method("MedianStopping"),
    "REA": method("REA", population_size=20, sample_size=5),
    "PBT": method("PBT", kept=["n_units", "n_units_1", "n_units_2"]),
    "BORE": method("BORE"),
    "CQR": method("CQR"),
    "ASHABORE": method("ASHABORE", kind="promotion"),
    "ASHACQR": method("ASHACQR", kind="promotion"),
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
