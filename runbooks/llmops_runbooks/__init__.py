"""Procedures an operator runs: one verb, one file, each a story with its undo in sight."""
