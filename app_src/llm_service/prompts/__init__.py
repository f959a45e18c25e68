"""The prompts' old address: they are part of the bundle (`llm_service.bundle`)."""

from __future__ import annotations

from llm_service.bundle.errors import BundleError as PromptError
from llm_service.bundle.prompt import Prompt, load

__all__ = ["Prompt", "PromptError", "load"]
