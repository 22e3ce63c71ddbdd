"""Analyses of units beside photographs: (config, photographs) -> a record with arrays and pictures.

What a command and the function of its name in Python share.
"""
