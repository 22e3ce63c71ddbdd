"""Tracking: where jobs are compared; MLflow is imported here alone."""
