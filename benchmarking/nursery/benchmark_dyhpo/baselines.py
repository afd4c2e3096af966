"""The methods that are compared; those that this version has not are left out, and a line says so."""

from tunewright.experiments import MethodSpec

methods = {
    "RS": MethodSpec(name="RandomSearch"),
    "OneEpoch": MethodSpec(name="OneEpochTopK"),
    "BO": MethodSpec(name="BayesianOptimization"),
    "ASHA": MethodSpec(name="ASHA", settings={"kind": "promotion"}),
    "MOBSTER": MethodSpec(name="MOBSTER"),
    "HYPERTUNE": MethodSpec(name="HyperTune"),
    "DYHPO": MethodSpec(name="DyHPO"),
}
