"""The methods that are compared, by the names that --method takes; see: tunewright methods."""

from tunewright.experiments import method

methods = {
    "RS": method("RandomSearch"),
    "ASHA": method("ASHA", kind="stopping"),
}
