"""Metrics of a history, of a finished image, of several seeds, and statistical tests. NumPy and SciPy only."""
