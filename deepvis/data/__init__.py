"""Data: photographs, found in folders, known by their content, decoded in the background."""

from deepvis.data.batches import Batch, batches
from deepvis.data.photographs import Photographs, photographs, stamp

__all__ = ["Batch", "Photographs", "batches", "photographs", "stamp"]
