"""The methods that are compared; those that this version has not are left out, and a line says so."""

from tunewright.experiments import MethodSpec

methods = {
    "RS": MethodSpec(name="RandomSearch"),
    "OneEpoch": MethodSpec(name="OneEpochTopK"),
    "ASHA": MethodSpec(name="ASHA", settings={"kind": "promotion"}),
    "ASHA-STOP": MethodSpec(name="ASHA", settings={"kind": "stopping"}),
    "SYNCHB": MethodSpec(name="SyncHyperband"),
    "DEHB": MethodSpec(name="DEHB"),
    "BOHB": MethodSpec(name="BOHB"),
    "SYNCMOBSTER": MethodSpec(name="SyncMOBSTER"),
}
