"""Core: errors, files written whole or not at all, pictures, names. Imports nothing else of deepvis."""
