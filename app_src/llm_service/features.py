"""The bundle that a process answers with, and what its release's configuration lays over it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from llm_service.bundle import Bundle, load
from llm_service.chat.admitting import EMBEDDED
from llm_service.settings import Settings

CONFIGURED = "configured"
"""The provider at PROVIDER_URL."""
ATTEMPTS = 5
"""Tries to read a bundle on S3: a task's credentials may come later than the task."""


def bundle_of(settings: Settings) -> Bundle:
    """The bundle of the settings, with their changes to its default feature.

    Raises BundleError.
    """
    found = load(settings.bundle, attempts=ATTEMPTS).overridden(
        prompt=settings.prompt, passages=settings.passages, sentences=settings.sentences
    )
    return _through_a_model(found, settings.provider_model) if settings.provider_url else found


def _through_a_model(bundle: Bundle, model: str) -> Bundle:
    """The bundle whose default feature asks the model at PROVIDER_URL first, in place of the
    embedded answerer, whose answer goes along as a draft."""
    feature = bundle.feature()
    models = (
        f"{CONFIGURED}/{model}",
        *(each for each in feature.models if each.partition("/")[0] != EMBEDDED),
    )
    changed = msgspec.structs.replace(feature, models=models, prediction=True)
    return replace(bundle, features={**bundle.features, bundle.default: changed})
