"""Functions that AWS calls: the gate of a rollout."""
