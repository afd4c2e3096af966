"""The methods that are compared, by the names that --method takes: all of them tune several metrics."""

from tunewright.experiments import method

methods = {
    "RS": method("RandomSearch"),
    "MOREA": method("MOREA", population_size=10, sample_size=5),
    "NSGA2": method("NSGA2", population_size=10),
    "MOBO-RS": method("RandomScalarization"),
    "LSOBO": method("RandomScalarization", scalarization="linear", weights=[1, 1]),
    "EHVI": method("EHVI"),
    "MOASHA": method("MOASHA"),
    "MOASHA-LIN": method("MOASHA", ranking="linear"),
}
