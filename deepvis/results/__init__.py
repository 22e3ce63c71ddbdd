"""Results: the folder of a finished job, and the manifest of a sweep."""
