"""The version of deepvis: part of what identifies a job."""

__version__ = "0.5.0"
