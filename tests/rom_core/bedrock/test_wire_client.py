"""The boto3 client behind the wire: no retries of its own, and no surprises from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from bedrock_support import Connect, asking, make_attempt
from botocore.exceptions import EndpointConnectionError
from support import make_settings

from local_bedrock import LocalBedrock, fault
from rom_core.bedrock.client import aws_session, make_client
from rom_core.errors import ConfigurationError, ModelConnectionError, ModelServerError, ModelThrottled, RomError


@pytest.mark.parametrize(
    ("what", "error"), [("429", ModelThrottled), ("500", ModelServerError), ("reset", ModelConnectionError)]
)
@pytest.mark.parametrize("mode", ["standard", "adaptive", "legacy"])
def test_botocore_does_not_retry(
    bedrock_local: LocalBedrock,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    what: str,
    error: type[RomError],
) -> None:
    """One call is one request, whatever the environment says about attempts."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    bedrock_local.set_always(fault(what))
    wire = connect(bedrock_local.url)
    with pytest.raises(error):
        wire.converse(make_attempt(), asking())
    assert len(bedrock_local.requests) == 1
    assert wire.client.meta.config.retries == {"total_max_attempts": 1, "mode": "standard"}


def test_the_environment_of_a_developer_does_not_break_a_local_endpoint(
    bedrock_local: LocalBedrock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bearer token is refused over http, a proxy is asked even for 127.0.0.1: neither is used there, nor sent."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bearer")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert connect(bedrock_local.url).converse(make_attempt(), asking("[[say=um]]")).text == "um"
    assert "bearer" not in bedrock_local.requests[0].headers["authorization"].lower()


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"])
def test_only_our_own_setting_says_where_conversations_go(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore would follow these to any address, over plain http and signed with real credentials."""
    monkeypatch.setenv(name, "http://192.0.2.1:9")
    address = make_client(make_settings(), None).meta.endpoint_url
    assert address == "https://bedrock-runtime.us-west-2.amazonaws.com"


@pytest.mark.parametrize("service", ["sts", "bedrock", "bedrock-runtime", "sso"])
def test_no_client_of_ours_follows_an_address_of_the_environment(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a variable, not by a profile's file, and not the clients that botocore makes by itself."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = us-west-2\nendpoint_url = http://192.0.2.1:9\n", "utf-8")
    for name in ("AWS_ENDPOINT_URL", f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    client = aws_session().client(service, region_name="us-west-2")
    assert client.meta.endpoint_url.startswith("https://")
    assert client.meta.endpoint_url.endswith(".us-west-2.amazonaws.com")


def test_a_token_is_traded_for_credentials_at_aws_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of OpenID Connect goes over the wire as it is, to whoever listens at that address."""
    token = tmp_path / "token"
    token.write_text("the-token", "utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/rom")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    asked: list[str] = []

    def instead_of_sending(_self: Any, request: Any) -> Any:
        asked.append(request.url)
        raise EndpointConnectionError(endpoint_url=request.url)

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", instead_of_sending)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:9")
    with pytest.raises(EndpointConnectionError):
        aws_session().get_credentials().get_frozen_credentials()
    assert {urlsplit(url).hostname for url in asked} == {"sts.us-west-2.amazonaws.com"}


def test_timeouts_and_connections_are_those_of_the_settings() -> None:
    """Also the defaults: botocore's own are a minute to connect and ten connections for all threads."""
    others = make_settings(BEDROCK_CONNECT_TIMEOUT_SECONDS=2, BEDROCK_READ_TIMEOUT_SECONDS=30, HTTP_THREADS=40)
    for settings, connect, read, connections in ((make_settings(), 5, 60, 64), (others, 2, 30, 80)):
        client = make_client(settings, "http://127.0.0.1:9")
        config = client.meta.config
        client.close()
        assert (config.connect_timeout, config.read_timeout) == (connect, read)
        assert config.max_pool_connections == connections


def test_a_client_that_would_retry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If botocore ever takes the option in another way, the process says so at its start, not at its bill."""
    made = boto3.Session().client("bedrock-runtime", region_name="us-west-2")
    monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: made)
    with pytest.raises(ConfigurationError, match="retry"):
        make_client(make_settings(), None)
    made.close()


@pytest.mark.parametrize(
    ("environ", "endpoint"), [({"AWS_PROFILE": "nonesuch"}, None), ({}, "no-scheme"), ({}, "http://[broken")]
)
def test_a_client_that_cannot_be_made_is_a_mistake_in_the_configuration(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], endpoint: str | None
) -> None:
    """An unknown profile or an endpoint that is no URL stops the start with a reason."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="no client for Bedrock"):
        make_client(make_settings(), endpoint)
