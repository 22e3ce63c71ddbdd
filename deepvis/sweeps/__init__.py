"""Sweeps: jobs, their groups, and how they are run, recorded, resumed and summed up."""
