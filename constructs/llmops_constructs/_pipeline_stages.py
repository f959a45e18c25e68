"""The stages of a pipeline, as CloudFormation has them.

The action types and their configurations are those of "CodePipeline action structure reference".
"""

from __future__ import annotations

from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_sns as sns

CfnPipeline = codepipeline.CfnPipeline
SOURCE = "Source"


def source(
    connection_arn: str, repository: str, branch: str
) -> codepipeline.CfnPipeline.StageDeclarationProperty:
    """A commit of the branch, as soon as it is pushed."""
    configuration = {
        "ConnectionArn": connection_arn,
        "FullRepositoryId": repository,
        "BranchName": branch,
        "DetectChanges": "true",
        "OutputArtifactFormat": "CODE_ZIP",
    }
    return _stage(SOURCE, "Source", "CodeStarSourceConnection", configuration, outputs=[SOURCE])


def build(name: str, project: str) -> codepipeline.CfnPipeline.StageDeclarationProperty:
    """A CodeBuild project run on the source."""
    return _stage(name, "Build", "CodeBuild", {"ProjectName": project}, inputs=[SOURCE])


def approval(
    environment: str, topic: sns.ITopic | None
) -> codepipeline.CfnPipeline.StageDeclarationProperty:
    """A person's word; the topic's subscribers hear that it is waited for."""
    configuration = {"CustomData": f"Deploy #{{SourceVariables.CommitId}} to {environment}?"}
    if topic:
        configuration["NotificationArn"] = topic.topic_arn
    return _stage(f"Approve-{environment}", "Approval", "Manual", configuration)


def _stage(
    name: str,
    category: str,
    provider: str,
    configuration: dict[str, str],
    *,
    inputs: list[str] | None = None,
    outputs: list[str] | None = None,
) -> codepipeline.CfnPipeline.StageDeclarationProperty:
    """A stage with one action of AWS's own."""
    action = CfnPipeline.ActionDeclarationProperty(
        name=name,
        action_type_id=CfnPipeline.ActionTypeIdProperty(
            category=category, owner="AWS", provider=provider, version="1"
        ),
        configuration=configuration,
        input_artifacts=[CfnPipeline.InputArtifactProperty(name=each) for each in inputs or ()],
        output_artifacts=[CfnPipeline.OutputArtifactProperty(name=each) for each in outputs or ()],
        namespace="SourceVariables" if outputs else None,
    )
    return CfnPipeline.StageDeclarationProperty(name=name, actions=[action])
