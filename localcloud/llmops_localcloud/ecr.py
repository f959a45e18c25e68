"""ECR with real images: layers kept by digest, manifests checked, digests as the registry has them.

moto counts the bytes of a layer and forgets them, and makes a manifest's digest up.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.models import ecr_backends
from moto.ecr.responses import ECRResponse

from llmops_localcloud.extension import replace_response
from llmops_localcloud.images import ImageError, ImageStore, Snapshot

IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<repository>[^@:]+)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))?"
)


def install(store: ImageStore) -> None:
    """Make moto's ECR keep what it is given in the store."""
    response = type("LocalEcr", (_Response,), {"store": store})
    replace_response("ecr", ECRResponse, response)


def snapshot(store: ImageStore, uri: str) -> Snapshot:
    """The unpacked image of `account.dkr.ecr.region.amazonaws.com/repository@sha256:...`.

    Raises ImageError with ECS's CannotPullContainerError text.
    """
    match = IMAGE.fullmatch(uri)
    if match is None:
        raise ImageError(
            f"CannotPullContainerError: {uri} is not an image of this account's registry"
        )
    repository = ecr_backends[match["account"]][match["region"]].repositories.get(
        match["repository"]
    )
    tag = match["tag"] or "latest"
    for image in repository.images if repository else []:
        named = match["digest"] == image.get_image_digest() if match["digest"] else False
        if named or (not match["digest"] and tag in image.image_tags):
            return store.snapshot(image.get_image_digest(), image.image_manifest)
    raise ImageError(f"CannotPullContainerError: pull image manifest: {uri}: not found")


class _Response(ECRResponse):
    store: ImageStore

    def complete_layer_upload(self) -> ActionResult:
        """Checks the digests the client names against the bytes it sent."""
        name = self._get_param("repositoryName")
        repository = self.ecr_backend._get_repository(name, self._get_param("registryId"))
        upload = repository.uploads.get(self._get_param("uploadId"))
        if upload is not None:
            content = bytes(upload.layer_parts)
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            if not content:
                raise EcrError("EmptyUploadException", "The upload holds no layer part.")
            if digest not in self._get_param("layerDigests"):
                raise EcrError(
                    "InvalidLayerException",
                    f"The layer's digest is {digest}, not "
                    f"{', '.join(self._get_param('layerDigests'))}.",
                )
            self.store.put_blob(content)
        return super().complete_layer_upload()

    def put_image(self) -> ActionResult:
        """Checks that the manifest is whole, and gives it the digest of its own bytes."""
        name = self._get_param("repositoryName")
        repository = self.ecr_backend._get_repository(name, self._get_param("registryId"))
        text = self._get_param("imageManifest")
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        claimed = self._get_param("imageDigest")
        if claimed and claimed != digest:
            raise EcrError(
                "ImageDigestDoesNotMatchException",
                f"The manifest's digest is {digest}, not {claimed}.",
            )
        self._check_layers(name, repository, text)
        tag = self._get_param("imageTag")
        for image in repository.images:
            if image.get_image_digest() == digest and tag in (None, *image.image_tags):
                raise EcrError(
                    "ImageAlreadyExistsException",
                    f"Image with digest '{digest}' and tag '{tag}' already exists in the "
                    f"repository with name '{name}' in registry with id "
                    f"'{repository.registry_id}'",
                )
        media_type = self._get_param("imageManifestMediaType") or json.loads(text).get(
            "mediaType", "application/vnd.oci.image.manifest.v1+json"
        )
        image = self.ecr_backend.put_image(name, text, tag, media_type, digest)
        return ActionResult({"image": image})

    def get_download_url_for_layer(self) -> ActionResult:  # type: ignore[override]
        """A layer of the repository, as a page of this daemon."""
        digest = self._get_param("layerDigest")
        if not self.store.has_blob(digest):
            raise EcrError("LayersNotFoundException", f"There is no layer {digest}.")
        url = f"http://{self.headers['host']}/_llmops/blobs/{digest}"
        return ActionResult({"downloadUrl": url, "layerDigest": digest})

    def _check_layers(self, name: str, repository: Any, text: str) -> None:
        try:
            manifest = json.loads(text)
            parts = [manifest["config"], *manifest["layers"]]
            digests = [part["digest"] for part in parts]
        except (ValueError, KeyError, TypeError) as error:
            raise EcrError(
                "InvalidParameterException",
                "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'an image "
                "manifest has config and layers, each with its digest'",
            ) from error
        missing = [digest for digest in digests if digest not in repository.layers]
        if missing:
            raise EcrError(
                "LayersNotFoundException",
                f"Image requires layers {', '.join(missing)} that were not found in the "
                f"repository with name '{name}'.",
            )


class EcrError(ServiceException):
    """One of ECR's errors, by its code."""
