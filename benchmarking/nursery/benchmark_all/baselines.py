"""All methods of the comparison, by the CPU time of a run on a task of LCBench's network.

Not here: PBT and PB2, which change configurations during training, and recorded curves have one configuration each; methods
that learn from earlier experiments or from the user's priors; grid search.
"""

from plan import PLAN

from tunewright.experiments import method

CHEAP = {
    "RS": method("RandomSearch"),
    "OneEpoch": method("OneEpochTopK"),
    "ASHA": method("ASHA", kind="stopping"),
    "ASHA-PROM": method("ASHA", kind="promotion"),
    "PASHA": method("PASHA"),
    "SyncHyperband": method("SyncHyperband"),
    "DEHB": method("DEHB"),
    "MedianStopping": method("MedianStopping"),
    "REA": method("REA"),
    "CMA-ES": method("CMAES"),
    "KDE": method("KDE"),
    "TPE": method("TPE"),
    "BOHB": method("BOHB"),
    "SyncBOHB": method("SyncBOHB"),
    "BO": method("BayesianOptimization"),
    "BORE": method("BORE"),
}
"""Less than 2 CPU seconds."""
MIDDLE = {
    "auto": method("auto"),
    "HyperTune": method("HyperTune"),
    "HyperTune-JOINT": method("HyperTune", model="joint"),
    "MOBSTER": method("MOBSTER"),
    "MOBSTER-INDEP": method("MOBSTER", model="independent"),
    "SyncMOBSTER": method("SyncMOBSTER"),
    "ASHABORE": method("ASHABORE"),
    "CQR": method("CQR"),
    "FreezeThaw": method("FreezeThaw"),
    "TuRBO": method("TuRBO"),
    "RandomForestBO": method("RandomForestBO"),
}
"""2 to 10 CPU seconds."""
COSTLY = {
    "ASHACQR": method("ASHACQR"),
    "DyHPO": method("DyHPO"),
}
"""About 20 CPU seconds."""
SEVERAL = {
    "RS": method("RandomSearch"),
    "MOASHA": method("MOASHA"),
    "NSGA2": method("NSGA2"),
    "MOREA": method("MOREA"),
    "EHVI": method("EHVI"),
    "MOBO-RS": method("RandomScalarization"),
}
"""Methods for several objectives; MOASHA needs learning curves."""
WITHOUT_RUNGS = ("RS", "REA", "CMA-ES", "KDE", "TPE", "BO", "BORE", "auto", "CQR", "TuRBO", "RandomForestBO")
"""Methods for trials that report once."""

methods = CHEAP | MIDDLE | COSTLY


def cost_of(label: str) -> str:
    """Entry of the plan's seeds: the method's own, or that of its cost."""
    if label in PLAN.seeds:
        return label
    return "costly" if label in COSTLY else "middle" if label in MIDDLE else "cheap"


most_seeds = {label: PLAN.seeds[cost_of(label)] for label in methods}
"""Number of seeds of each method, whatever ``--num_seeds`` says."""
