"""Ascent: gradient ascent on images, one compiled step for a batch, and the families that a step is made of."""
