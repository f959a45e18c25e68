"""The release that runs, as parameters of a stack: `deploy` passes what serves."""

from __future__ import annotations

import aws_cdk as cdk


class ReleaseParameters:
    """The parameters of a stack that runs a release; a change of the template never moves it."""

    def __init__(self, stack: cdk.Stack) -> None:
        self._stack = stack
        self.release_id = self._parameter(
            "ReleaseId", "The release that runs: <version>-<8 hex digits>", r"\S+-[0-9a-f]{8}"
        )
        self.corpus_uri = self._parameter(
            "CorpusUri", "The corpus of that release", r"s3://\S+/corpus/\S+"
        )
        self.bundle_uri = self._parameter(
            "BundleUri",
            "Features and prompts of that release; empty: those packaged in its image",
            r"(s3://\S+/bundles/\S+)?",
            default="",
        )
        self.configuration = self._parameter(
            "ReleaseConfiguration",
            "The configuration of that release, a JSON object",
            r"\{.*\}",
            default="{}",
        )

    def image_uri(self) -> str:
        """One more parameter, for whoever runs the release's image."""
        return self._parameter(
            "ImageUri",
            "The image of the release that runs, by digest",
            r"\S+@sha256:[0-9a-f]{64}",
        )

    def variables(self) -> dict[str, str]:
        """What a container that runs the release is told."""
        return {
            "RELEASE": self.release_id,
            "RELEASE_CONFIGURATION": self.configuration,
            "CORPUS_URI": self.corpus_uri,
            "BUNDLE_URI": self.bundle_uri,
        }

    def _parameter(
        self, name: str, description: str, pattern: str, default: str | None = None
    ) -> str:
        parameter = cdk.CfnParameter(
            self._stack,
            name,
            type="String",
            description=description,
            allowed_pattern=f"^{pattern}$",
            default=default,
        )
        return parameter.value_as_string
