"""A platform team's own container behind everything the constructs have, in one short file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "full_stack.py"


def test_all_around_a_container_takes_less_than_forty_lines(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 40 and "llmops_runbooks" not in text
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env={"PATH": "/nowhere", "CDK_OUTDIR": str(tmp_path), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    resources = json.loads((tmp_path / "answers.template.json").read_text())["Resources"]
    kinds = Counter(resource["Type"] for resource in resources.values())
    for kind in (
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CertificateManager::Certificate",
        "AWS::CloudWatch::Alarm",
        "AWS::ECS::Service",
        "AWS::RDS::DBCluster",
        "AWS::Route53::RecordSet",
        "AWS::SNS::Subscription",
        "AWS::WAFv2::WebACLAssociation",
    ):
        assert kinds[kind], kind
    listeners = [
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::ElasticLoadBalancingV2::Listener"
    ]
    assert {each["Protocol"] for each in listeners} == {"HTTP", "HTTPS"}
    alarms = [r for r in resources.values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert all(alarm["Properties"].get("AlarmActions") for alarm in alarms)
