"""What a release can change without changing code: its features and their prompts.

    features/<name>.json              how one kind of question is answered (feature.schema.json)
    prompts/<name>/<version>.md       what the models of it are told

The files in this folder are the packaged bundle, which answers where BUNDLE_URI names no other.
"""

from __future__ import annotations

from llm_service.bundle.assign import Assignment, assign, subject_of
from llm_service.bundle.bundle import Bundle
from llm_service.bundle.errors import BundleError, BundleUnreachable
from llm_service.bundle.feature import CachePolicy, Changes, Experiment, Feature, Variant
from llm_service.bundle.prompt import Prompt
from llm_service.bundle.source import load

__all__ = [
    "Assignment",
    "Bundle",
    "BundleError",
    "BundleUnreachable",
    "CachePolicy",
    "Changes",
    "Experiment",
    "Feature",
    "Prompt",
    "Variant",
    "assign",
    "load",
    "subject_of",
]
