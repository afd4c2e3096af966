"""The methods that are compared; those that this version has not are left out, and a line says so."""

from tunewright.experiments import MethodSpec

methods = {
    "RS": MethodSpec(name="RandomSearch"),
    "OneEpoch": MethodSpec(name="OneEpochTopK"),
    "TPE": MethodSpec(name="KDE"),
    "REA": MethodSpec(name="REA"),
    "GP": MethodSpec(name="BayesianOptimization"),
    "BORE": MethodSpec(name="BORE"),
    "MSR": MethodSpec(name="MedianStopping"),
    "ASHA": MethodSpec(name="ASHA"),
    "BOHB": MethodSpec(name="BOHB"),
    "MOB": MethodSpec(name="MOBSTER"),
    "RUSH": MethodSpec(name="RUSH"),
    "ZS": MethodSpec(name="ZeroShot"),
    "ASHA-BB": MethodSpec(name="BoundingBox"),
    "ASHA-CTS": MethodSpec(name="ASHACTS"),
}
