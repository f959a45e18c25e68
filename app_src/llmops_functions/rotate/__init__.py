"""Rotation: Secrets Manager calls a function of this package to replace a secret's value."""
