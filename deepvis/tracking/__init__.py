"""Tracking: where jobs are compared. MLflow is imported in this package only."""
