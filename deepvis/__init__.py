"""deepvis: what the filters of a convolutional network look for, tracked and compared."""

__version__ = "0.3.0"

from deepvis.frames import results as results
