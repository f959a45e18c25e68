"""`Registry` on ECR's own API: no Docker, no registry protocol."""

from __future__ import annotations

import json
import urllib.request
from urllib.error import URLError

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.errors import CloudError
from llmops_runbooks.image import digest as image_digest
from llmops_runbooks.ports import RemoteImage

MEDIA_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
]
LARGEST_PART = 20_971_520
"""Bytes; ECR's model bounds `layerPartBlob` to it."""
TAKEN = frozenset({"ImageAlreadyExistsException", "ImageTagAlreadyExistsException"})
DOWNLOAD_SECONDS = 60


class EcrRegistry:
    """One repository."""

    def __init__(self, clients: Clients, repository: str) -> None:
        self._clients = clients
        self.name = repository

    def image(self, *, tag: str = "", digest: str = "") -> RemoteImage | None:
        answer = self._clients.call(
            "ecr",
            "batch_get_image",
            repositoryName=self.name,
            imageIds=[{"imageTag": tag} if tag else {"imageDigest": digest}],
            acceptedMediaTypes=MEDIA_TYPES,
        )
        for each in answer["images"]:
            return RemoteImage(each["imageId"]["imageDigest"], json.loads(each["imageManifest"]))
        return None

    def blob(self, digest: str) -> bytes:
        answer = self._clients.call(
            "ecr", "get_download_url_for_layer", repositoryName=self.name, layerDigest=digest
        )
        try:
            with urllib.request.urlopen(  # noqa: S310 (AWS's own presigned address)
                answer["downloadUrl"], timeout=DOWNLOAD_SECONDS
            ) as response:
                content: bytes = response.read()
        except URLError as error:
            raise CloudError(
                f"{digest} of {self.name} cannot be downloaded: {error.reason}."
            ) from error
        return content

    def put_blob(self, digest: str, content: bytes) -> None:
        if self._has(digest):
            return
        upload = self._clients.call("ecr", "initiate_layer_upload", repositoryName=self.name)
        size = min(int(upload.get("partSize") or LARGEST_PART), LARGEST_PART)
        for first in range(0, len(content), size):
            part = content[first : first + size]
            self._clients.call(
                "ecr",
                "upload_layer_part",
                repositoryName=self.name,
                uploadId=upload["uploadId"],
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
        self._complete(upload["uploadId"], digest)

    def put_image(self, manifest: bytes, media_type: str, tag: str) -> bool:
        try:
            self._clients.call(
                "ecr",
                "put_image",
                repositoryName=self.name,
                imageManifest=manifest.decode(),
                imageManifestMediaType=media_type,
                imageDigest=image_digest(manifest),
                imageTag=tag,
            )
        except Refused as error:
            if error.code not in TAKEN:
                raise
            found = self.image(tag=tag)
            return found is not None and found.digest == image_digest(manifest)
        return True

    def _has(self, digest: str) -> bool:
        answer = self._clients.call(
            "ecr",
            "batch_check_layer_availability",
            repositoryName=self.name,
            layerDigests=[digest],
        )
        return any(each.get("layerAvailability") == "AVAILABLE" for each in answer["layers"])

    def _complete(self, upload: str, digest: str) -> None:
        try:
            self._clients.call(
                "ecr",
                "complete_layer_upload",
                repositoryName=self.name,
                uploadId=upload,
                layerDigests=[digest],
            )
        except Refused as error:
            if error.code != "LayerAlreadyExistsException":
                raise
