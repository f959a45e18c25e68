"""The serverless stack: the settings as a function, and the bundle it cannot be made without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from policies import findings

from llmops_runbooks import infrastructure_tables as tables
from llmops_runbooks import settings
from llmops_runbooks.errors import SettingsError
from llmops_runbooks.package_lambda import HANDLER
from llmops_stacks import new_app
from llmops_stacks.common import CommonStack
from llmops_stacks.data import DataStack
from llmops_stacks.foundation import Foundation
from llmops_stacks.network import NetworkStack
from llmops_stacks.serverless import ServerlessStack

from aws_cdk.assertions import Template  # isort: skip

ROOT = Path(__file__).parents[2]
BUNDLE = "dist/llm-service-lambda.zip"
Made = Callable[..., ServerlessStack]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle that holds one file."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "dist").mkdir()
    with ZipFile(folder / BUNDLE, "w") as archive:
        archive.writestr(ZipInfo("llm_service/lambda_function.py"), "def handler(*_): ...")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The stack and those below it, with other tables than those of the file."""

    def make(project: Path, **changes: Any) -> ServerlessStack:
        environment = settings.load("serverless", file=ROOT / "llmops.toml", variables={})
        environment = environment.model_copy(update=changes)
        app = new_app(str(tmp_path_factory.mktemp("assembly")))
        common = CommonStack(app, environment).common
        network = NetworkStack(app, environment, common).network
        data = DataStack(app, environment, network, common)
        below = Foundation(common, network, data, None)
        return ServerlessStack(app, environment, below, project=project)

    return make


@pytest.fixture(scope="module")
def stack(made: Made, project: Path) -> ServerlessStack:
    return made(
        project,
        function=tables.Function(keep_warm_minutes=5, provisioned=1, memory_mib=2048),
        secrets=tables.Secrets(providers=("openai",), langfuse_host="https://langfuse.example.org"),
        storage=tables.Storage(valkey=True),
        encryption=tables.Encryption(customer_key=True),
    )


@pytest.fixture(scope="module")
def template(stack: ServerlessStack) -> Template:
    return Template.from_stack(stack)


def test_no_pack_finds_anything_unanswered(stack: ServerlessStack, template: Template) -> None:
    name = stack.stack_name
    assert template
    assert [each for each in findings(stack) if f" at {name}/" in each] == []


def function(template: Template) -> dict[str, Any]:
    (found,) = template.find_resources("AWS::Lambda::Function").values()
    return dict(found["Properties"])


def test_the_settings_are_the_functions(template: Template) -> None:
    found = function(template)
    assert (found["Handler"], found["MemorySize"], found["Timeout"]) == (HANDLER, 2048, 60)
    assert found["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    template.resource_count_is("AWS::Events::Rule", 1)


def test_the_release_is_in_the_parameters(template: Template) -> None:
    assert set(template.find_parameters("*")) >= {"ReleaseId", "CorpusUri", "BundleUri"}
    variables = function(template)["Environment"]["Variables"]
    assert variables["CORPUS_URI"] == {"Ref": "CorpusUri"}
    assert variables["BUNDLE_URI"] == {"Ref": "BundleUri"}
    (version,) = template.find_resources("AWS::Lambda::Version").values()
    assert {"Ref": "ReleaseId"} in version["Properties"]["Description"]["Fn::Join"][1]


def test_who_calls_it_and_who_moves_it_is_told_where_it_is(template: Template) -> None:
    outputs = template.find_outputs("*")
    assert set(outputs) == {"ServiceUrl", "FunctionName", "Alias"}
    assert outputs["Alias"]["Value"] == "live"


def test_tokens_and_the_databases_user_are_read_while_it_runs(template: Template) -> None:
    variables = function(template)["Environment"]["Variables"]
    assert {"BEARER_TOKENS_SECRET", "DATABASE_SECRET", "SECRET_VARIABLES"} <= set(variables)
    assert not {"BEARER_TOKENS", "DATABASE_PASSWORD", "VALKEY_URL"} & set(variables)


def test_database_and_cache_let_the_function_in(template: Template) -> None:
    ingress = template.find_resources("AWS::EC2::SecurityGroupIngress").values()
    ports = {each["Properties"]["FromPort"] for each in ingress}
    assert len(ports) == 2


def test_without_the_bundle_it_says_how_to_make_it(made: Made, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        made(tmp_path)
    assert caught.value.message == (
        f"'function.bundle' of environment serverless is {BUNDLE}, and there is no such file."
    )
    assert caught.value.hint == (f"Make it: llmops package --out {BUNDLE} --architecture arm64.")


def test_a_firewall_that_nobody_could_attach_is_refused(made: Made, project: Path) -> None:
    with pytest.raises(SettingsError, match="AWS WAF cannot be associated with an HTTP API"):
        made(project, edge=tables.Edge(waf=True))
