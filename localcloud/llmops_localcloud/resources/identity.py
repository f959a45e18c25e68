"""AWS::IAM::OIDCProvider and AWS::CertificateManager::Certificate: named by their ARNs, and that
is all that comes of them here."""

from __future__ import annotations

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client

NO_THUMBPRINT = "0" * 40
"""AWS finds the thumbprint of a provider itself; moto wants one."""


def _provider(place: Place, properties: Properties) -> Made:
    arn = client("iam", place).create_open_id_connect_provider(
        Url=properties["Url"],
        ClientIDList=properties.get("ClientIdList", []),
        ThumbprintList=properties.get("ThumbprintList") or [NO_THUMBPRINT],
        Tags=properties.get("Tags", []),
    )["OpenIDConnectProviderArn"]
    return Made(arn, {"Arn": arn})


def _delete_provider(place: Place, _: Properties) -> None:
    client("iam", place).delete_open_id_connect_provider(OpenIDConnectProviderArn=place.name)


def _certificate(place: Place, properties: Properties) -> Made:
    """Issued at once: nobody asks the name's owner."""
    names = properties.get("SubjectAlternativeNames")
    arn = client("acm", place).request_certificate(
        DomainName=properties["DomainName"],
        ValidationMethod=properties.get("ValidationMethod", "DNS"),
        **({"SubjectAlternativeNames": names} if names else {}),
    )["CertificateArn"]
    return Made(arn)


def _delete_certificate(place: Place, _: Properties) -> None:
    client("acm", place).delete_certificate(CertificateArn=place.name)


add_type("AWS::IAM::OIDCProvider", _provider, delete=_delete_provider)
add_type("AWS::CertificateManager::Certificate", _certificate, delete=_delete_certificate)
