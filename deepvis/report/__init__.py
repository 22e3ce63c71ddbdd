"""The report of a sweep or of several: comparison, effects, conclusions, figures and the page."""
