"""Gaussian processes with analytic gradients, on NumPy and LAPACK."""
