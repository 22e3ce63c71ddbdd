"""Folders of analyses, such as natural examples: ``analysis.json`` says what one is and what is in it."""

FILE = "analysis.json"
