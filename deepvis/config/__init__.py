"""Config: what a job may say, its types and knobs, and how it is composed."""
