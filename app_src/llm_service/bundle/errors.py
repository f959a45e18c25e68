"""What can be wrong with a bundle; in a file of its own, so that every part can raise it."""

from __future__ import annotations


class BundleError(Exception):
    """One sentence: which file of the bundle, which key, what is allowed, what to do."""


class BundleUnreachable(BundleError):
    """The bundle could not be fetched; the same address may answer a moment later."""
