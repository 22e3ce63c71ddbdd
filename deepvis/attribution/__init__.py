"""Attribution: which pixels of an image a unit of a network responds to. `methods` declares the family."""
