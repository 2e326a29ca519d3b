"""The IAM policies name exactly what this code calls, for exactly the models that are configured."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from rom_core import hookspecs
from rom_core.ops.aws_policy import ACTIONS, doctor_policy, main, policies, service_policy
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import load_settings

ROOT = Path(__file__).parents[3]
ACCOUNT = "123456789012"
PROFILE = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
SERVICES = ("bedrock-runtime", "bedrock", "sts")


def actions(policy: dict[str, Any]) -> set[str]:
    """Every action that a policy allows."""
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_files_are_those_of_the_configured_models(capsys: pytest.CaptureFixture[str]) -> None:
    """ops/aws is what the command prints: a new model, region or operation shows there in the same change."""
    settings = load_settings(Catalogue.installed(hookspecs).settings, root=ROOT, environ={"ROM_ENV": "production"})
    for name, text in policies(settings).items():
        assert (ROOT / "ops/aws" / name).read_text() == text, "python -m rom_core.ops.aws_policy"
    assert main([ACCOUNT]) == 0
    assert "service-policy.json" in capsys.readouterr().out
    assert main(["me"]) == 2


def test_every_operation_that_the_code_calls_is_in_a_policy_and_no_other() -> None:
    """Read off the source: any method of a client of these services that is called anywhere in the product."""
    operations: dict[str, str] = {}
    for service in SERVICES:
        client = boto3.client(service, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x")
        operations |= dict.fromkeys(client.meta.method_to_api_mapping, service)
    called = set()
    for package in ("rom_core", "plugins"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                # A client is called so wherever one is held.
                if isinstance(node, ast.Attribute) and "client" in ast.unparse(node.value).lower():
                    called |= {node.attr} & set(operations)
    assert called == set(ACTIONS)
    serving, asking = service_policy([PROFILE], "us-west-2", ACCOUNT), doctor_policy([PROFILE], "us-west-2", ACCOUNT)
    assert actions(serving) == {"bedrock:InvokeModelWithResponseStream", "bedrock:CountTokens"}
    assert actions(asking) == {action for action in ACTIONS.values() if action}


def test_a_profile_opens_its_models_by_itself_alone() -> None:
    """The profile, and the model behind it wherever it may run, on condition that the profile was asked."""
    for profile, places in (
        (PROFILE, ["us-west-2", ""]),
        ("us.anthropic.claude-x", ["us-*", "ca-*"]),
        ("eu.anthropic.claude-x", ["eu-*"]),
    ):
        first, second, counting = service_policy([profile, profile], "us-west-2", ACCOUNT)["Statement"]
        arn = f"arn:aws:bedrock:us-west-2:{ACCOUNT}:inference-profile/{profile}"
        assert first["Resource"] == [arn]
        model = profile.partition(".")[2]
        assert second["Resource"] == [f"arn:aws:bedrock:{place}::foundation-model/{model}" for place in places]
        assert second["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": arn}}
        assert counting["Resource"] == [f"arn:aws:bedrock:us-west-2::foundation-model/{model}"]


def test_a_model_without_a_profile_and_an_arn_stand_as_they_are() -> None:
    """No condition: there is no profile."""
    arn = f"arn:aws:bedrock:us-west-2:{ACCOUNT}:application-inference-profile/abc"
    plain, own, counting = service_policy(["anthropic.claude-x", arn], "us-west-2", ACCOUNT)["Statement"]
    assert plain["Resource"] == ["arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-x"]
    assert own["Resource"] == [arn]
    assert (counting["Action"], counting["Resource"]) == (["bedrock:CountTokens"], plain["Resource"])
    assert "Condition" not in plain
    assert "Condition" not in own


def test_no_statement_is_wider_than_a_model() -> None:
    """No action and no resource ends in a star."""
    for path in (ROOT / "ops/aws").glob("*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            assert statement["Effect"] == "Allow"
            assert not [word for word in (*statement["Action"], *statement["Resource"]) if word.endswith("*")]
