"""A CloudFormation type from a few functions, in the form moto looks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.common_models import CloudFormationModel

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a resource is made, and the name the template or CloudFormation gives it."""

    name: str
    account: str
    region: str


@dataclass
class Made:
    """A resource that was made: what Ref gives, and what GetAtt gives."""

    physical_resource_id: str
    attributes: dict[str, Any] = field(default_factory=dict)

    def get_cfn_attribute(self, name: str) -> Any:
        """Raises KeyError for an attribute the type does not have."""
        return self.attributes[name]


Create = Callable[[Place, Properties], Made]
Change = Callable[[Place, Made, Properties], Made]
Delete = Callable[[Place, Properties], None]


def add_type(
    kind: str,
    create: Create,
    *,
    update: Change | None = None,
    delete: Delete | None = None,
    name_property: str = "",
) -> None:
    """Add a type. Without `update` a change makes it anew; without `delete` nothing is removed.
    `delete` gets the physical ID as the place's name."""

    def created(
        _: Any, /, name: str, template: Properties, account: str, region: str, **__: Any
    ) -> Made:
        return create(Place(name, account, region), template["Properties"])

    def updated(
        _: Any,
        /,
        original_resource: Made,
        new_resource_name: str,
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
    ) -> Made:
        place = Place(new_resource_name, account_id, region_name)
        assert update is not None
        return update(place, original_resource, cloudformation_json["Properties"])

    def deleted(_: Any, /, name: str, template: Properties, account: str, region: str) -> None:
        if delete is not None:
            delete(Place(name, account, region), template["Properties"])

    members: dict[str, Any] = {
        "__module__": __name__,
        "cloudformation_type": staticmethod(lambda: kind),
        "cloudformation_name_type": staticmethod(lambda: name_property),
        "create_from_cloudformation_json": classmethod(created),
        "delete_from_cloudformation_json": classmethod(deleted),
    }
    if update is not None:
        members["update_from_cloudformation_json"] = classmethod(updated)
    # moto finds a type among the living subclasses of this class.
    TYPES.append(type(kind.replace("::", ""), (CloudFormationModel,), members))


TYPES: list[type] = []
"""Keeps the classes alive."""
