"""The methods that are compared; those that this version has not are left out, and a line says so."""

from tunewright.experiments import MethodSpec

methods = {
    "RS": MethodSpec(name="RandomSearch"),
    "OneEpoch": MethodSpec(name="OneEpochTopK"),
    "ASHA": MethodSpec(name="ASHA"),
    "MOBSTER-JOINT": MethodSpec(name="MOBSTER", settings={"model": "joint"}),
    "MOBSTER-INDEP": MethodSpec(name="MOBSTER", settings={"model": "independent"}),
    "HYPERTUNE-INDEP": MethodSpec(name="HyperTune", settings={"model": "independent"}),
    "HYPERTUNE-JOINT": MethodSpec(name="HyperTune", settings={"model": "joint"}),
    "SYNCHB": MethodSpec(name="SyncHyperband"),
    "BOHB": MethodSpec(name="BOHB"),
}
