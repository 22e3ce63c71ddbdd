"""Metrics of a history, an image or several seeds, and statistical tests. NumPy and SciPy only."""
