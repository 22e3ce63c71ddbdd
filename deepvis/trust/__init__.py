"""Whether a picture of a unit can be believed: what is compared with natural images, and how it is told."""
