"""The benchmark of methods: images of each for the same units, measured alike, compared unit by unit."""
