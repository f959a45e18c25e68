"""AWS::SQS::Queue and QueuePolicy, AWS::SNS::Topic, TopicPolicy and Subscription.

moto's own queue is named by an address on AWS, of which nothing here answers; its topic is made
anew, without its subscriptions, for any change. A subscription that would send a message to
somebody outside, by mail or by HTTP to another machine, is kept in the stack and not made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llmops_localcloud.cloudformation.partial import add_partial
from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client

QUEUE_ATTRIBUTES = {
    "ContentBasedDeduplication", "DeduplicationScope", "DelaySeconds", "FifoQueue",
    "FifoThroughputLimit", "KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "MaximumMessageSize",
    "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "RedriveAllowPolicy",
    "RedrivePolicy", "SqsManagedSseEnabled", "VisibilityTimeout",
}  # fmt: skip
TOPIC_ATTRIBUTES = {"DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig"}
SUBSCRIPTION_ATTRIBUTES = {
    "DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy",
}  # fmt: skip
INSIDE = ("sqs", "lambda")
HERE = ("127.0.0.1", "localhost")


def _texts(properties: Properties, names: set[str]) -> dict[str, str]:
    """Attributes as the APIs take them: every value a text, objects as JSON."""
    return {name: _text(value) for name, value in properties.items() if name in names}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}


def _queue(place: Place, properties: Properties) -> Made:
    sqs = client("sqs", place)
    attributes = _texts(properties, QUEUE_ATTRIBUTES)
    name = place.name[:80]
    made = sqs.create_queue(QueueName=name, Attributes=attributes, tags=_tags(properties))
    url, arn = made["QueueUrl"], f"arn:aws:sqs:{place.region}:{place.account}:{name}"
    return Made(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


def _changed_queue(place: Place, made: Made, properties: Properties) -> Made:
    sqs, url = client("sqs", place), made.physical_resource_id
    attributes = _texts(properties, QUEUE_ATTRIBUTES - {"FifoQueue"})
    if attributes:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return made


def _delete_queue(place: Place, _: Properties) -> None:
    client("sqs", place).delete_queue(QueueUrl=place.name)


def _queue_policy(place: Place, properties: Properties) -> Made:
    policy = json.dumps(properties["PolicyDocument"])
    for url in properties["Queues"]:
        client("sqs", place).set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return Made(place.name, {"Id": place.name})


def _topic(place: Place, properties: Properties) -> Made:
    arn = client("sns", place).create_topic(
        Name=place.name,
        Attributes=_texts(properties, TOPIC_ATTRIBUTES),
        Tags=properties.get("Tags", []),
    )["TopicArn"]
    for each in properties.get("Subscription", []):
        _subscription(place, {**each, "TopicArn": arn})
    return Made(arn, {"TopicArn": arn, "TopicName": place.name})


def _changed_topic(place: Place, made: Made, properties: Properties) -> Made:
    for name, value in _texts(properties, TOPIC_ATTRIBUTES).items():
        client("sns", place).set_topic_attributes(
            TopicArn=made.physical_resource_id, AttributeName=name, AttributeValue=value
        )
    return made


def _delete_topic(place: Place, _: Properties) -> None:
    client("sns", place).delete_topic(TopicArn=place.name)


def _topic_policy(place: Place, properties: Properties) -> Made:
    policy = json.dumps(properties["PolicyDocument"])
    for arn in properties["Topics"]:
        client("sns", place).set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=policy
        )
    return Made(place.name, {"Id": place.name})


def _unmade(properties: Properties) -> list[str]:
    """The protocol, if a message would go to somebody outside."""
    protocol, endpoint = properties["Protocol"], str(properties.get("Endpoint", ""))
    here = protocol in ("http", "https") and urlsplit(endpoint).hostname in HERE
    return [] if protocol in INSIDE or here else [protocol]


def _subscription(place: Place, properties: Properties) -> Made:
    topic = properties["TopicArn"]
    if _unmade(properties):
        return Made(f"{topic}:{place.name}")
    arn = client("sns", place).subscribe(
        TopicArn=topic,
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        Attributes=_texts(properties, SUBSCRIPTION_ATTRIBUTES),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Made(arn, {"Arn": arn})


def _delete_subscription(place: Place, properties: Properties) -> None:
    if not _unmade(properties):
        client("sns", place).unsubscribe(SubscriptionArn=place.name)


add_type(
    "AWS::SQS::Queue",
    _queue,
    update=_changed_queue,
    delete=_delete_queue,
    name_property="QueueName",
)
add_type("AWS::SQS::QueuePolicy", _queue_policy)
add_type(
    "AWS::SNS::Topic",
    _topic,
    update=_changed_topic,
    delete=_delete_topic,
    name_property="TopicName",
)
add_type("AWS::SNS::TopicPolicy", _topic_policy)
add_type("AWS::SNS::Subscription", _subscription, delete=_delete_subscription)
add_partial(
    "AWS::SNS::Subscription",
    lambda properties: [f"protocol {each}" for each in _unmade(properties)],
)
