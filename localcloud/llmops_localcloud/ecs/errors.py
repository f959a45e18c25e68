"""What the ECS API refuses, under the names of AWS's exceptions.

EcsError
├── ClientException
├── InvalidParameterException
├── UnsupportedFeatureException     AWS may do it, the local cloud does not
├── ServiceNotFoundException
├── ServiceNotActiveException
├── ServiceDeploymentNotFoundException
└── ConflictException
"""

from __future__ import annotations


class EcsError(Exception):
    """A refused call; `code` is the exception's name in AWS's model, `message` one sentence."""

    @property
    def code(self) -> str:
        return type(self).__name__

    @property
    def message(self) -> str:
        return str(self)


class ClientException(EcsError):
    """The caller named something that cannot be used, such as an inactive task definition."""


class InvalidParameterException(EcsError):
    """A parameter is missing, malformed or out of range."""


class UnsupportedFeatureException(EcsError):
    """AWS knows the parameter; the local cloud does not emulate it and says so."""


class ServiceNotFoundException(EcsError):
    """No service of that name in the cluster."""

    def __init__(self) -> None:
        super().__init__("Service not found.")


class ServiceNotActiveException(EcsError):
    """The service is being deleted, or is gone."""

    def __init__(self) -> None:
        super().__init__("Service was not ACTIVE.")


class ServiceDeploymentNotFoundException(EcsError):
    """No service deployment with that ARN."""

    def __init__(self) -> None:
        super().__init__("The service deployment does not exist.")


class ConflictException(EcsError):
    """The service deployment cannot be stopped any more."""
