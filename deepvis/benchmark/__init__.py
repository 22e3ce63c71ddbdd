"""The benchmark of methods: the images of each for the same units, measured alike and compared unit by unit."""
