"""From a CloudFormation type to what makes it: moto's model, ours, or a stand-in that says so."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from moto.cloudformation.parsing import generate_resource_name, get_model_list, get_model_map
from moto.core.common_models import CloudFormationModel
from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource

from llmops_localcloud.cloudformation.attributes import EXTRA
from llmops_localcloud.cloudformation.errors import ValidationError
from llmops_localcloud.cloudformation.partial import missing
from llmops_localcloud.resources.base import Made

NOT_EMULATED = "not emulated by the local cloud"
# Nested stacks of moto would live outside these stacks, its event sources run functions in Docker
# before a message is sent, and its records answer nobody and need a zone of its own; a stand-in
# says so instead.
EXCLUDED = {
    "AWS::CloudFormation::Stack",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Route53::RecordSet",
}
NOBODY = ("127.0.0.1", "9")
"""The address of what a stand-in does not have: the discard port, where a connection is refused."""
NOTHING_TO_DO = {
    "AWS::CDK::Metadata",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::CloudFormation::WaitCondition",
}


@dataclass
class StandIn:
    """What a resource of a type nobody emulates is here: a name, and made-up attributes."""

    physical_resource_id: str
    arn: str

    def get_cfn_attribute(self, name: str) -> str:
        """What fits where such an attribute is used: an ARN, an address, a port or the name."""
        last = name.rsplit(".", 1)[-1]
        if last.endswith(("Arn", "ARN")):
            return self.arn
        if last.endswith(("Port", "Address")):
            return NOBODY[last.endswith("Port")]
        if last.lower().endswith(("url", "endpoint")):
            return f"http://{':'.join(NOBODY)}/{self.physical_resource_id}"
        return self.physical_resource_id


@dataclass(frozen=True)
class Home:
    """The stack resource a model is made for."""

    account: str
    region: str
    stack_id: str
    stack_name: str
    logical_id: str
    kind: str


@cache
def _classes() -> dict[str, Any]:
    """The class of each type; one from outside moto goes before moto's own."""
    found = CloudFormationModel.__subclasses__()
    found.sort(key=lambda cls: not cls.__module__.startswith("moto."))
    return {cls.cloudformation_type(): cls for cls in found}


def register_models() -> None:
    """Look for classes again; to be called after the last extension is installed."""
    _classes.cache_clear()
    get_model_list.cache_clear()
    get_model_map.cache_clear()


def model_class(kind: str) -> Any:
    """The class that makes a type, or None."""
    return None if kind in EXCLUDED else _classes().get(kind)


def emulated(kind: str) -> bool:
    """Whether something is really made for a type."""
    return kind in NOTHING_TO_DO or model_class(kind) is not None


def not_done(kind: str, properties: Mapping[str, Any]) -> list[str]:
    """What nobody emulates of a resource: its type, or parts of it as `type: what`."""
    return missing(kind, properties) if emulated(kind) else [kind]


def remark(kind: str, properties: Mapping[str, Any]) -> str | None:
    """What a resource's event says of it."""
    if not emulated(kind):
        return NOT_EMULATED
    parts = [part.split(": ", 1)[1] for part in missing(kind, properties)]
    return f"{NOT_EMULATED}: {', '.join(parts)}" if parts else None


def given_name(home: Home, properties: Mapping[str, Any]) -> str | None:
    """The name the template gives the resource, if its type has one and it does."""
    cls = model_class(home.kind)
    key = cls.cloudformation_name_type() if cls else None
    given = properties.get(key) if key else None
    return str(given) if given else None


def resource_name(home: Home, properties: Mapping[str, Any]) -> str:
    """The name the template gives, or one that CloudFormation would make up."""
    return given_name(home, properties) or str(
        generate_resource_name(home.kind, home.stack_name, home.logical_id)
    )


def create(home: Home, name: str, properties: Mapping[str, Any]) -> Any:
    """Make the resource. Whatever the emulation raises goes through."""
    cls = model_class(home.kind)
    if cls is None:
        return _stand_in(home, name)
    model = cls.create_from_cloudformation_json(
        name,
        _json(home, properties),
        home.account,
        home.region,
        LogicalId=home.logical_id,
        StackId=home.stack_id,
        ResourceType=home.kind,
    )
    return _adopted(home, model)


def update(home: Home, model: Any, name: str, properties: Mapping[str, Any]) -> Any:
    """Change the resource in place or as its model sees fit; None if its model cannot."""
    cls = model_class(home.kind)
    if cls is None:
        return model
    if _missing(cls, "update_from_cloudformation_json"):
        return None
    changed = cls.update_from_cloudformation_json(
        original_resource=model,
        new_resource_name=name,
        cloudformation_json=_json(home, properties),
        account_id=home.account,
        region_name=home.region,
    )
    return _adopted(home, model if changed is None else changed)


def replaceable(model: Any) -> bool:
    """Whether a change that needs a new resource makes one; moto's and the other models see to that
    themselves in their updates."""
    return isinstance(model, Made)


def retag(home: Home, model: Any, properties: Mapping[str, Any]) -> None:
    """Give an EC2 resource of moto's the tags of its properties; others keep theirs."""
    if isinstance(model, TaggedEC2Resource):
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        ec2_backends[home.account][home.region].create_tags([reference(model)], tags)


def delete(home: Home, model: Any, physical_id: str, properties: Mapping[str, Any]) -> None:
    """Remove the resource. Whatever the emulation raises goes through."""
    cls = model_class(home.kind)
    if cls is None:
        return
    own = getattr(model, "delete", None)
    if own is not None and len(inspect.signature(own).parameters) == 2:
        own(home.account, home.region)
    elif not _missing(cls, "delete_from_cloudformation_json"):
        cls.delete_from_cloudformation_json(
            physical_id, _json(home, properties), home.account, home.region
        )


def reference(model: Any) -> Any:
    """What `Ref` gives: the physical ID; moto's models without one are handed on as they are."""
    physical = getattr(model, "physical_resource_id", None)
    return model if physical is None else physical


def attribute(home: Home, model: Any, name: str) -> Any:
    """What `Fn::GetAtt` gives. Raises ValidationError if there is no such attribute."""
    extra = EXTRA.get((home.kind, name))
    if extra is not None:
        return extra(model, home.account, home.region)
    try:
        value = model.get_cfn_attribute(name)
    except ServiceException:
        raise
    except Exception as error:  # moto signals a missing attribute in many ways
        raise _no_attribute(home, name) from error
    if value is None:
        raise _no_attribute(home, name)
    return value


def _no_attribute(home: Home, name: str) -> ValidationError:
    return ValidationError(
        f"Template error: resource {home.logical_id} does not support attribute type {name} in "
        "Fn::GetAtt"
    )


def _stand_in(home: Home, name: str) -> StandIn:
    service = home.kind.split("::")[1].lower() if "::" in home.kind else "custom"
    return StandIn(name, f"arn:aws:{service}:{home.region}:{home.account}:{name}")


def _json(home: Home, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"Type": home.kind, "Properties": dict(properties)}


def _missing(cls: Any, method: str) -> bool:
    function = getattr(cls, method, None)
    return function is None or getattr(function, "__isabstractmethod__", False)


def _adopted(home: Home, model: Any) -> Any:
    if isinstance(model, CloudFormationModel):
        model.cf_resource_type = home.kind  # type: ignore[attr-defined, unused-ignore]
        model.logical_resource_id = home.logical_id  # type: ignore[attr-defined, unused-ignore]
    if isinstance(model, TaggedEC2Resource):
        tags = {
            "aws:cloudformation:stack-name": home.stack_name,
            "aws:cloudformation:stack-id": home.stack_id,
            "aws:cloudformation:logical-id": home.logical_id,
        }
        ec2_backends[home.account][home.region].create_tags([reference(model)], tags)
    return model
