"""The evidence of a rollout: every observation, verdict and decision, as JSON and as one page.

evidence = assemble(deployment, record=..., decision=..., journal=...)
path = write(evidence, folder)                   # evidence.json and evidence.html
html = page.render([first, second], title="Rehearsal")
"""

from llmops_runbooks.evidence import page
from llmops_runbooks.evidence.assemble import SCHEMA, assemble
from llmops_runbooks.evidence.files import schema, write

__all__ = ["SCHEMA", "assemble", "page", "schema", "write"]
