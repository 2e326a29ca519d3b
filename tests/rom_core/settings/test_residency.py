"""DATA_RESIDENCY: its forms, and which models stay inside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import MODELS, make_settings

from rom_core.settings import InvalidSettings
from rom_core.settings.residency import endpoint_region, leaves_residency, residency_problem

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = f"arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.{SONNET}"
OWN_PROFILE = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/a1b2c3"
FOUNDATION = f"arn:aws:bedrock:sa-east-1::foundation-model/{SONNET}"


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("sa-east-1", True),
        ("us-east-1, us-west-2", True),
        ("us", True),
        ("eu,us-gov-west-1", True),
        ("any: Ana Souza, standard clauses of Res. 19/2024, signed 2026-03-01", True),
        ("any", False),
        ("any:", False),
        ("any: Ana", False),
        ("any: , a ground", False),
        ("anywhere", False),
        ("global", False),
        ("Oregon", False),
        ("us-west", False),
    ],
)
def test_forms(text: str, usable: bool) -> None:
    """Regions, geographies, or anywhere with who decided it and why; nothing else."""
    assert (residency_problem(text) is None) is usable


@pytest.mark.parametrize(
    ("residency", "model_id", "stays"),
    [
        ("any: Ana, clauses", f"global.{SONNET}", True),
        ("any: Ana, clauses", OWN_PROFILE, True),
        ("us", f"global.{SONNET}", False),
        ("us", f"us.{SONNET}", True),
        ("us", PROFILE, True),
        ("eu", PROFILE, False),
        ("us", f"eu.{SONNET}", False),
        ("us-west-2", f"us.{SONNET}", False),
        ("us-west-2", SONNET, True),
        ("us", SONNET, True),
        ("us-east-1", SONNET, False),
        ("sa-east-1", FOUNDATION, True),
        ("us-west-2", FOUNDATION, False),
        ("us,sa-east-1", OWN_PROFILE, False),
        ("apac", f"apac.{SONNET}", True),
        ("us", f"mars.{SONNET}", False),
        ("us-west-2", FOUNDATION.replace("arn:", "ARN:"), False),
    ],
)
def test_who_stays_inside(residency: str, model_id: str, stays: bool) -> None:
    """By profile, AWS_REGION (us-west-2) for a bare id, the region of an ARN; what does not tell is outside."""
    assert (leaves_residency(residency, model_id, "us-west-2") is None) is stays


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("", "us-west-2"),
        ("local", "us-west-2"),
        ("http://127.0.0.1:4100", "us-west-2"),
        ("https://bedrock-runtime.sa-east-1.amazonaws.com", "sa-east-1"),
        ("https://Bedrock-Runtime.sa-east-1.amazonaws.com./", "sa-east-1"),
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com:443", "us-east-1"),
        ("https://bedrock-runtime.eu-west-1.api.aws", "eu-west-1"),
        ("https://bedrock-runtime.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://vpce-0a1b-2c3d.bedrock-runtime.eu-central-1.vpce.amazonaws.com", "eu-central-1"),
        ("https://vpce-0a1b-2c3d-us-east-1a.bedrock-runtime-fips.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("https://gateway.test", None),
        ("https://bedrock-runtime.us-east-1.amazonaws.com.evil.test", None),
        ("https://evil.test/bedrock-runtime.us-east-1.amazonaws.com", None),
        ("https://bedrock-runtime.us-east-1.amazonaws.com@evil.test", None),
        ("https://s3.us-east-1.amazonaws.com", None),
        ("https://x.y.bedrock-runtime.us-east-1.amazonaws.com", None),
    ],
)
def test_the_address_says_which_region_answers(endpoint: str, region: str | None) -> None:
    """By its host, whole; AWS_REGION (us-west-2) only where there is none, or this machine answers in its place."""
    assert endpoint_region(endpoint, "us-west-2") == region


def test_models_are_judged_where_the_address_is() -> None:
    """Not by AWS_REGION, and an address that does not tell is refused by name wherever bounds are set."""
    rows = json.dumps([row | {"id": f"anthropic.{number}-v1:0"} for number, row in enumerate(MODELS)])
    oregon = "https://bedrock-runtime.us-west-2.amazonaws.com"
    for address, inside in ((oregon, "us-west-2"), ("https://bedrock-runtime.sa-east-1.amazonaws.com", "sa-east-1")):
        options: dict[str, Any] = {"MODELS": rows, "AWS_REGION": "us-west-2", "BEDROCK_ENDPOINT_URL": address}
        assert make_settings(**options, DATA_RESIDENCY=inside)
        with pytest.raises(InvalidSettings, match=f"is processed in {inside} only"):
            make_settings(**options, DATA_RESIDENCY="eu")
    gateway: dict[str, Any] = {"MODELS": rows, "BEDROCK_ENDPOINT_URL": "https://gateway.test"}
    assert make_settings(**gateway, DATA_RESIDENCY="any: Ana, clauses")
    with pytest.raises(InvalidSettings, match="its host does not tell where it is") as caught:
        make_settings(**gateway, DATA_RESIDENCY="us-west-2")
    assert [problem.name for problem in caught.value.problems] == ["BEDROCK_ENDPOINT_URL"]


def test_every_living_row_must_stay_inside() -> None:
    """Clients may name any alias, so the whole table counts; a model that the service has ended goes nowhere."""
    inside = [row | {"id": f"us.{row['alias']}-v1:0"} for row in MODELS]
    assert make_settings(MODELS=json.dumps(inside), DATA_RESIDENCY="us")
    ended = inside[2] | {"id": "global.x-v1:0", "end_of_life": True}
    assert make_settings(MODELS=json.dumps([*inside[:2], ended]), DATA_RESIDENCY="us")
    outside = inside[2] | {"id": "global.x-v1:0"}
    with pytest.raises(InvalidSettings) as caught:
        make_settings(MODELS=json.dumps([*inside[:2], outside]), DATA_RESIDENCY="us")
    assert [problem.name for problem in caught.value.problems] == ["MODELS"]
    assert "anthropic.third: global.x-v1:0 is processed in any commercial region" in str(caught.value)
