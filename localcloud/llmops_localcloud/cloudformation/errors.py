"""CloudFormation's errors, in its own words."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """The request or the template is wrong."""

    code = "ValidationError"


class AlreadyExists(ServiceException):
    """A stack or change set of that name exists."""

    code = "AlreadyExistsException"


class ChangeSetNotFound(ServiceException):
    """No such change set."""

    code = "ChangeSetNotFound"


class InvalidChangeSetStatus(ServiceException):
    """The change set cannot be executed in its state."""

    code = "InvalidChangeSetStatus"


class InsufficientCapabilities(ServiceException):
    """The template makes IAM resources and the caller did not allow it."""

    code = "InsufficientCapabilitiesException"


def no_such_stack(name: str) -> ValidationError:
    """What AWS answers about a stack it does not know."""
    return ValidationError(f"Stack with id {name} does not exist")
