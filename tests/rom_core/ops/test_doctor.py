"""What `rom doctor` finds by itself, without asking anybody."""

from __future__ import annotations

from typing import Any

import pytest
from doctor_support import ARN, ENDED, SONNET, found, settings_for

from rom_core.ops.doctor import FAIL, OK, WARN, here
from rom_core.ops.doctor.residency import check_data_path


def test_the_kill_switch_and_another_endpoint_are_told() -> None:
    """Off means 503; `local` is fine; another URL may not be meant; AWS with the switch on is nothing to tell."""
    assert found(here.check_switch(settings_for())) == []
    assert found(here.check_switch(settings_for(BEDROCK_ENABLED=False))) == [("switch", WARN)]
    assert found(here.check_switch(settings_for(BEDROCK_ENDPOINT_URL="local"))) == [("endpoint", OK)]
    assert found(here.check_switch(settings_for(BEDROCK_ENDPOINT_URL="https://x:1"))) == [("endpoint", WARN)]


@pytest.mark.parametrize(
    ("environ", "findings"),
    [
        ({}, []),
        ({"HTTPS_PROXY": "http://user:hidden@proxy:1"}, [("proxy", WARN)]),
        ({"https_proxy": "http://user:hidden@proxy:1", "HTTP_PROXY": ""}, [("proxy", WARN)]),
        ({"AWS_ENDPOINT_URL": "http://hidden"}, [("endpoint", WARN)]),
        ({"AWS_BEARER_TOKEN_BEDROCK": ""}, [("bearer", FAIL)]),
        ({"AWS_BEARER_TOKEN_BEDROCK": "hidden"}, [("bearer", WARN)]),
    ],
)
def test_traps_of_the_environment(environ: dict[str, str], findings: list[tuple[str, str]]) -> None:
    """Each is named with what to do, and no value of a variable is shown."""
    made = list(here.check_environment(environ))
    assert found(made) == findings
    assert all(finding.todo for finding in made)
    assert "hidden" not in str(made)


def test_a_dead_model_is_a_warning_while_a_living_one_stands_behind_it() -> None:
    """A chain of the dead alone fails; with the fallback switched off, its models are no part of the chain."""
    assert found(here.check_end_of_life(settings_for())) == []
    assert found(here.check_end_of_life(settings_for(end_of_life=True, fallback=True))) == [("models", WARN)]
    assert found(here.check_end_of_life(settings_for(end_of_life=True, fallback=False))) == [("models", FAIL)]


@pytest.mark.parametrize(
    ("model_id", "region", "findings", "place"),
    [
        (SONNET, "us-west-2", [("data", WARN)], "in any commercial region"),
        (SONNET, "sa-east-1", [("data", WARN)], "in any commercial region"),
        (ENDED, "us-east-1", [("data", WARN)], "in the United States"),
        (ENDED, "sa-east-1", [("region", FAIL), ("data", WARN)], "cannot be called"),
        ("anthropic.claude-v1:0", "us-east-1", [("data", WARN)], "in us-east-1 only"),
        ("anthropic.claude-v1:0", "sa-east-1", [("data", OK)], "in Brazil"),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/{ENDED}", "us-east-1", [("data", WARN)], "United States"),
        (f"{ARN}::foundation-model/anthropic.claude-v1:0", "sa-east-1", [("data", OK)], "in Brazil"),
        (f"{ARN}:1:inference-profile/xx.anthropic.claude-v1:0", "sa-east-1", [("data", WARN)], "is not known"),
        (f"{ARN}:1:application-inference-profile/us.x", "sa-east-1", [("data", WARN)], "is not known"),
        (f"{ARN}:1:provisioned-model/abc", "sa-east-1", [("data", WARN)], "is not known"),
        ("xx.anthropic.claude-v1:0", "sa-east-1", [("data", WARN)], "is not known"),
        ("zai.glm-4.7", "sa-east-1", [("data", OK)], "in Brazil"),
        ("a-name", "sa-east-1", [("data", WARN)], "is not known"),
    ],
)
def test_where_data_goes(model_id: str, region: str, findings: list[tuple[str, str]], place: str) -> None:
    """Only a plain model in sa-east-1 stays in Brazil, and an id that does not tell is never taken for one.

    A profile must be called from its own geography.
    """
    made = list(check_data_path(settings_for(model_id, AWS_REGION=region)))
    assert found(made) == findings
    assert place in made[0].text
    assert all("LGPD" in finding.todo for finding in made if (finding.about, finding.status) == ("data", WARN))


def test_what_the_fallback_would_add_is_a_warning_before_it_is_switched_on() -> None:
    """Its models are looked at while it is off; what is wrong with them fails only once they are used."""
    profile = {"max_tokens": 10, "prompt_caching": True, "price_input": 1.0, "price_output": 1.0}
    models = [
        profile | {"alias": "first", "id": "anthropic.claude-v1:0"},
        profile | {"alias": "second", "id": ENDED},
        profile | {"alias": "third", "id": SONNET, "end_of_life": True},
    ]
    values: dict[str, Any] = {"MODELS": models, "MODEL_FALLBACKS": ["second", "third"], "AWS_REGION": "sa-east-1"}
    off = settings_for(fallback=False, **values)
    assert found(check_data_path(off)) == [("region", WARN), ("data", OK), ("data", WARN)]
    assert found(check_data_path(settings_for(fallback=True, **values)))[0] == ("region", FAIL)
    (ended,) = here.check_end_of_life(off)
    assert (ended.status, "FALLBACK_ENABLED is off" in ended.text) == (WARN, True)


def test_the_local_bedrock_sends_nothing_anywhere() -> None:
    """It is told where data would go on AWS, not that it goes there."""
    (local,) = check_data_path(settings_for(BEDROCK_ENDPOINT_URL="local"))
    assert "nothing leaves this machine" in local.text
    assert "would be processed in any commercial region" in local.text
    (here_only,) = check_data_path(settings_for(BEDROCK_ENDPOINT_URL="http://127.0.0.1:4100"))
    assert "goes to BEDROCK_ENDPOINT_URL, on this machine" in here_only.text


def test_the_address_says_where_data_go() -> None:
    """A region of AWS by its host, before AWS_REGION; what does not tell is nobody's promise."""
    (elsewhere,) = check_data_path(settings_for(BEDROCK_ENDPOINT_URL="https://x:1"))
    assert "does not tell where what is sent is processed" in elsewhere.text
    brazil = settings_for(
        BEDROCK_ENDPOINT_URL="https://bedrock-runtime.sa-east-1.amazonaws.com", DATA_RESIDENCY="any: Ana, clauses"
    )
    assert found(here.check_switch(brazil)) == [("endpoint", OK)]
    region = [finding for finding in check_data_path(brazil) if finding.about == "region"]
    assert "is in sa-east-1, AWS_REGION is us-west-2" in region[0].text


def test_an_unknown_region_is_told() -> None:
    """Whatever boto3 does not know is probably a slip."""
    assert found(here.check_region(settings_for(AWS_REGION="us-west-2"), ["us-west-2"])) == [("region", OK)]
    assert found(here.check_region(settings_for(AWS_REGION="us-wset-2"), ["us-west-2"])) == [("region", WARN)]


def test_the_decision_about_residency_is_shown() -> None:
    """Who decided that data may go anywhere, and why, is what an auditor asks for first."""
    first = next(check_data_path(settings_for(DATA_RESIDENCY="any: Ana Souza, standard clauses")))
    assert (first.about, first.status) == ("residency", OK)
    assert "Ana Souza, standard clauses" in first.text
