"""What a service stands on, however it is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_constructs import Network
from llmops_stacks.common import Common
from llmops_stacks.data import DataStack

if TYPE_CHECKING:
    from llmops_stacks.rotation import RotationStack


@dataclass(frozen=True)
class Foundation:
    """The stacks below a service; `rotation` is None where secrets change by hand alone."""

    common: Common
    network: Network
    data: DataStack
    rotation: RotationStack | None
