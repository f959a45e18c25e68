"""AWS::SecretsManager::Secret, SecretTargetAttachment, ResourcePolicy and RotationSchedule."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from moto.rds.models import rds_backends
from moto.secretsmanager.models import secretsmanager_backends

from llmops_localcloud.resources.base import Made, Place, Properties, add_type

# GenerateSecretString's character types, by the property that leaves one out.
TYPES = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
}
DEFAULT_LENGTH = 32


def _backend(place: Place) -> Any:
    return secretsmanager_backends[place.account][place.region]


def _secret(place: Place, properties: Properties) -> Made:
    backend = _backend(place)
    backend.create_secret(
        name=place.name,
        secret_string=_first_value(properties),
        secret_binary=None,
        description=properties.get("Description"),
        tags=properties.get("Tags", []),
        kms_key_id=properties.get("KmsKeyId"),
        client_request_token=None,
        replica_regions=[],
        force_overwrite=False,
    )
    arn = backend.describe_secret(place.name).arn
    return Made(arn, {"Id": arn})


def _first_value(properties: Properties) -> str:
    if "SecretString" in properties:
        return str(properties["SecretString"])
    wanted = properties.get("GenerateSecretString")
    return "" if wanted is None else _generated(wanted)


def _generated(wanted: Properties) -> str:
    password = random_password(wanted)
    if "SecretStringTemplate" not in wanted:
        return password
    table = json.loads(wanted["SecretStringTemplate"])
    return json.dumps({**table, wanted["GenerateStringKey"]: password})


def random_password(wanted: Properties) -> str:
    """A password as GenerateSecretString describes it, from the system's randomness."""
    excluded = set(wanted.get("ExcludeCharacters", ""))
    types = [
        [letter for letter in letters if letter not in excluded]
        for exclusion, letters in TYPES.items()
        if not _flag(wanted.get(exclusion, False))
    ]
    if _flag(wanted.get("IncludeSpace", False)):
        types.append([" "])
    letters = [letter for kind in types for letter in kind]
    if not letters:
        raise ValueError("GenerateSecretString excludes every character")
    length = int(wanted.get("PasswordLength", DEFAULT_LENGTH))
    each = types if _flag(wanted.get("RequireEachIncludedType", True)) else []
    chosen = [secrets.choice(kind) for kind in each if kind]
    chosen += [secrets.choice(letters) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _flag(value: Any) -> bool:
    return str(value).lower() == "true"


def _changed_secret(place: Place, made: Made, properties: Properties) -> Made:
    """A generated value stays: AWS makes a new one only if GenerateSecretString changes, and then
    too keeps the old one for a change of anything else."""
    backend = _backend(place)
    secret = backend.describe_secret(made.physical_resource_id)
    secret.description = properties.get("Description")
    secret.tags = properties.get("Tags", [])
    if "SecretString" in properties:
        backend.put_secret_value(
            made.physical_resource_id, properties["SecretString"], None, None, ["AWSCURRENT"]
        )
    return made


def _delete_secret(place: Place, _: Properties) -> None:
    _backend(place).delete_secret(place.name, None, True)


def _attachment(place: Place, properties: Properties) -> Made:
    """Writes where the database is into the secret, as the attachment does on AWS."""
    secret_id = properties["SecretId"]
    if properties["TargetType"] == "AWS::RDS::DBInstance":
        databases = rds_backends[place.account][place.region]
        instance = databases.describe_db_instances(properties["TargetId"])[0]
        backend = _backend(place)
        text = backend.get_secret_value(secret_id, "", "AWSCURRENT")["SecretString"]
        where = {
            "engine": instance.engine,
            "host": instance.address,
            "port": instance.port,
            "dbname": instance.db_name,
            "dbInstanceIdentifier": instance.db_instance_identifier,
        }
        backend.put_secret_value(
            secret_id, json.dumps({**json.loads(text), **where}), None, None, ["AWSCURRENT"]
        )
    return Made(secret_id, {"Id": secret_id})


def _policy(place: Place, properties: Properties) -> Made:
    secret_id = properties["SecretId"]
    _backend(place).put_resource_policy(secret_id, json.dumps(properties["ResourcePolicy"]))
    return Made(secret_id, {"Id": secret_id})


def _delete_policy(place: Place, properties: Properties) -> None:
    _backend(place).delete_resource_policy(properties["SecretId"])


def _rotation(place: Place, properties: Properties) -> Made:
    """The schedule is kept on the secret, and the function is called at once: with all steps, or
    with the test of the current value where RotateImmediatelyOnUpdate is false. Nothing rotates by
    the clock."""
    secret_id = properties["SecretId"]
    rules = properties.get("RotationRules", {})
    _backend(place).rotate_secret(
        secret_id=secret_id,
        rotation_lambda_arn=properties.get("RotationLambdaARN"),
        rotation_rules={"AutomaticallyAfterDays": int(rules.get("AutomaticallyAfterDays", 0))},
        rotate_immediately=_flag(properties.get("RotateImmediatelyOnUpdate", True)),
    )
    return Made(secret_id, {"Id": secret_id})


def _delete_rotation(place: Place, _: Properties) -> None:
    """The secret keeps its value; the physical ID is the secret's."""
    secret = _backend(place).secrets.get(place.name)
    if secret is not None:
        secret.rotation_enabled = False


add_type(
    "AWS::SecretsManager::Secret",
    _secret,
    update=_changed_secret,
    delete=_delete_secret,
    name_property="Name",
)
add_type("AWS::SecretsManager::SecretTargetAttachment", _attachment)
add_type("AWS::SecretsManager::ResourcePolicy", _policy, delete=_delete_policy)
add_type("AWS::SecretsManager::RotationSchedule", _rotation, delete=_delete_rotation)
