from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.images import ImageError, ImageStore

REPOSITORY = "app"
Push = Callable[[bytes], str]


@pytest.fixture(scope="module")
def ecr(cloud: Any) -> Any:
    client = cloud.client("ecr")
    client.create_repository(repositoryName=REPOSITORY)
    return client


@pytest.fixture
def push(ecr: Any, digest: Callable[[bytes], str]) -> Push:
    def push(blob: bytes) -> str:
        upload = ecr.initiate_layer_upload(repositoryName=REPOSITORY)["uploadId"]
        half = len(blob) // 2
        for first, last in ((0, half - 1), (half, len(blob) - 1)):
            ecr.upload_layer_part(
                repositoryName=REPOSITORY, uploadId=upload, partFirstByte=first,
                partLastByte=last, layerPartBlob=blob[first : last + 1],
            )  # fmt: skip
        done = ecr.complete_layer_upload(
            repositoryName=REPOSITORY, uploadId=upload, layerDigests=[digest(blob)]
        )
        return str(done["layerDigest"])

    return push


def test_a_pushed_image_has_the_digest_of_its_manifest(
    ecr: Any, push: Push, make_layer: Any, make_image: Any
) -> None:
    layer = make_layer({"app/a.py": "1"})
    config, manifest = make_image(layer, ["python", "-m", "a"])
    push(layer), push(config)
    put = ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag="1.0.0")
    expected = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    assert put["image"]["imageId"] == {"imageDigest": expected, "imageTag": "1.0.0"}
    got = ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": expected}])
    assert json.loads(got["images"][0]["imageManifest"]) == json.loads(manifest)
    described = ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1.0.0"}])
    assert described["imageDetails"][0]["imageDigest"] == expected


def test_a_pushed_layer_is_available_and_can_be_downloaded(
    ecr: Any, push: Push, make_layer: Any
) -> None:
    layer = make_layer({"app/b.py": "2"})
    name = push(layer)
    found = ecr.batch_check_layer_availability(repositoryName=REPOSITORY, layerDigests=[name])
    assert found["layers"][0]["layerAvailability"] == "AVAILABLE"
    url = ecr.get_download_url_for_layer(repositoryName=REPOSITORY, layerDigest=name)
    with urllib.request.urlopen(url["downloadUrl"], timeout=5) as answer:
        assert answer.read() == layer


def test_bytes_of_another_digest_are_refused(ecr: Any, digest: Any) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=REPOSITORY)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=REPOSITORY, uploadId=upload, partFirstByte=0, partLastByte=2,
        layerPartBlob=b"abc",
    )  # fmt: skip
    with pytest.raises(ClientError, match="InvalidLayerException"):
        ecr.complete_layer_upload(
            repositoryName=REPOSITORY, uploadId=upload, layerDigests=[digest(b"abd")]
        )


def test_an_image_without_its_layers_is_refused(ecr: Any, make_layer: Any, make_image: Any) -> None:
    _, manifest = make_image(make_layer({"app/never.py": "pushed"}), ["python"])
    with pytest.raises(ClientError, match="LayersNotFoundException"):
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest)


def test_an_image_of_another_digest_is_refused(
    ecr: Any, push: Push, make_layer: Any, make_image: Any
) -> None:
    layer = make_layer({"app/c.py": "3"})
    config, manifest = make_image(layer, ["python"])
    push(layer), push(config)
    with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
        ecr.put_image(
            repositoryName=REPOSITORY, imageManifest=manifest, imageDigest="sha256:" + "0" * 64
        )


def test_a_snapshot_has_the_upper_layer_s_files_and_cannot_be_written(
    tmp_path: Path, make_layer: Any, make_image: Any, digest: Any
) -> None:
    store = ImageStore(tmp_path)
    lower = make_layer({"app/kept.py": "kept", "app/gone.py": "old", "app/changed.py": "old"})
    upper = make_layer({"app/changed.py": "new", "app/.wh.gone.py": ""})
    config, manifest = make_image(lower, ["python"])
    table = json.loads(manifest)
    table["layers"].append({**table["layers"][0], "digest": digest(upper)})
    for blob in (lower, upper, config):
        store.put_blob(blob)
    snapshot = store.snapshot("sha256:" + "1" * 64, json.dumps(table))
    app = snapshot.root / "app"
    assert sorted(p.name for p in app.iterdir()) == ["changed.py", "kept.py"]
    assert (app / "changed.py").read_text() == "new"
    assert (app / "changed.py").stat().st_mode & 0o222 == 0
    assert app.stat().st_mode & 0o222 == 0


def test_a_layer_that_reaches_outside_is_refused(
    tmp_path: Path, make_layer: Any, make_image: Any
) -> None:
    store = ImageStore(tmp_path / "store")
    layer = make_layer({"../../../outside.py": "x"})
    config, manifest = make_image(layer, ["python"])
    store.put_blob(layer), store.put_blob(config)
    with pytest.raises(ImageError, match="CannotPullContainerError"):
        store.snapshot("sha256:" + "2" * 64, manifest)
    assert not list(tmp_path.rglob("outside.py"))


def test_a_damaged_blob_is_noticed(tmp_path: Path, make_layer: Any, make_image: Any) -> None:
    store = ImageStore(tmp_path)
    layer = make_layer({"app/a.py": "1"})
    config, manifest = make_image(layer, ["python"])
    store.put_blob(config)
    damaged = tmp_path / "blobs" / store.put_blob(layer).replace(":", "-")
    damaged.write_bytes(b"something else")
    with pytest.raises(ImageError, match="damaged"):
        store.snapshot("sha256:" + "3" * 64, manifest)
