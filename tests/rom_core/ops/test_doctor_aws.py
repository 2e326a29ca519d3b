"""What `rom doctor` finds by asking a service that answers as AWS does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from doctor_support import ENDED, NOW, SONNET, found, settings_for

from local_bedrock import LocalBedrock
from rom_core.bedrock.client import make_client
from rom_core.ops.doctor import FAIL, OK, WARN, Aws, examine
from rom_core.settings import Settings


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LocalBedrock]:
    """A Bedrock that validates as AWS does."""
    with LocalBedrock() as local:
        yield local


@pytest.fixture(scope="module")
def clients(bedrock: LocalBedrock) -> Iterator[dict[str, Any]]:
    """Clients by service; that of bedrock-runtime speaks to the local Bedrock."""
    session = boto3.Session("local", "local", region_name="us-west-2")
    made = {"bedrock-runtime": make_client(settings_for(), bedrock.url)}
    made |= {service: session.client(service) for service in ("sts", "bedrock")}
    yield made
    for client in made.values():
        client.close()


class Service:
    """Clients for `Aws`, whose next answers a test gives; bedrock-runtime is asked really until it is stubbed."""

    def __init__(self, clients: dict[str, Any]) -> None:
        self._clients = clients
        self._stubs: dict[str, Stubber] = {}

    def _stub(self, service: str) -> Stubber:
        if service not in self._stubs:
            self._stubs[service] = Stubber(self._clients[service])
            self._stubs[service].activate()
        return self._stubs[service]

    def answers(self, service: str, operation: str, response: dict[str, Any]) -> None:
        """The next answer."""
        self._stub(service).add_response(operation, response)

    def fails(self, service: str, operation: str, code: str) -> None:
        """The next answer is this error."""
        self._stub(service).add_client_error(operation, code)

    def close(self) -> None:
        """Everything that was foretold was asked for; what follows is not stubbed."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()
            stub.deactivate()

    def aws(self, settings: Settings, *, credentials: bool = True) -> Aws:
        """The checks."""
        return Aws(
            settings, self._clients.__getitem__, SimpleNamespace(method="env") if credentials else None, lambda: NOW
        )


@pytest.fixture
def service(clients: dict[str, Any]) -> Iterator[Service]:
    """A service for one test."""
    made = Service(clients)
    yield made
    made.close()


IDENTITY = {"Account": "1", "UserId": "u", "Arn": "arn:aws:iam::1:user/ana"}


def life(**cycle: Any) -> dict[str, Any]:
    """An answer of GetFoundationModel."""
    return {
        "modelDetails": {
            "modelArn": "arn:aws:bedrock:us-west-2::foundation-model/a.b",
            "modelId": "a.b",
            "modelLifecycle": cycle,
        }
    }


def test_all_is_well(service: Service) -> None:
    """Credentials that AWS knows, an active model, and a stream that is allowed: no tokens were bought."""
    service.answers("sts", "get_caller_identity", IDENTITY)
    service.answers("bedrock", "get_foundation_model", life(status="ACTIVE"))
    made = list(service.aws(settings_for()).findings({}))
    assert found(made) == [("credentials", OK), ("streaming", OK)]
    assert "arn:aws:iam::1:user/ana" in made[0].text


def test_without_credentials_nothing_is_asked(service: Service) -> None:
    """One finding, which says how to get some; a bearer token makes the question pointless."""
    assert found(service.aws(settings_for(), credentials=False).findings({})) == [("credentials", FAIL)]
    service.answers("bedrock", "get_foundation_model", life(status="ACTIVE"))
    with_token = service.aws(settings_for(), credentials=False).findings({"AWS_BEARER_TOKEN_BEDROCK": "x"})
    assert found(with_token) == [("streaming", OK)]


def test_credentials_that_aws_refuses(service: Service) -> None:
    """The code is told, and how to sign in."""
    service.fails("sts", "get_caller_identity", "ExpiredToken")
    finding = service.aws(settings_for()).identity()
    assert (finding.status, "ExpiredToken" in finding.text) == (FAIL, True)


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (
            lambda s: s.answers("bedrock", "get_foundation_model", life(status="LEGACY", endOfLifeTime=NOW)),
            "2026-11-24",
        ),
        (lambda s: s.fails("bedrock", "get_foundation_model", "ResourceNotFoundException"), "has no model anthropic."),
        (lambda s: s.fails("bedrock", "get_foundation_model", "AccessDeniedException"), "unknown"),
    ],
)
def test_the_life_cycle_of_a_model(service: Service, prepare: Callable[[Service], None], text: str) -> None:
    """Legacy, unknown to the region, or not to be seen: a warning each, since another check decides."""
    prepare(service)
    settings = settings_for()
    (finding,) = service.aws(settings).life_cycle(settings.models["first"])
    assert (finding.status, text in finding.text) == (WARN, True)


@pytest.mark.parametrize(
    ("model_id", "status", "text"),
    [
        (SONNET, OK, "allowed"),
        (ENDED, FAIL, "no longer served"),
        (SONNET.removeprefix("global."), FAIL, "plain model id"),
        ("nobody.made-this-v1:0", FAIL, "there is no model"),
    ],
)
def test_whether_a_model_is_routed(service: Service, model_id: str, status: str, text: str) -> None:
    """A request that must be refused as invalid tells it, for nothing."""
    settings = settings_for(model_id)
    finding = service.aws(settings).streaming(settings.models["first"])
    assert (finding.status, text in finding.text) == (status, True)


def test_a_model_that_stands_by_is_asked_too(service: Service) -> None:
    """That it is not routed is a warning while FALLBACK_ENABLED is off, a failure when it is on."""
    for fallback, status in ((False, WARN), (True, FAIL)):
        for _ in range(2):
            service.answers("bedrock", "get_foundation_model", life(status="ACTIVE"))
        findings = service.aws(settings_for(fallback=fallback)).findings({"AWS_BEARER_TOKEN_BEDROCK": "x"})
        streaming = [finding for finding in findings if finding.about == "streaming"]
        assert [finding.status for finding in streaming] == [OK, status]
        assert ("FALLBACK_ENABLED is off" in streaming[1].text) is not fallback


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        ("AccessDeniedException", FAIL, "access denied"),
        ("UnrecognizedClientException", FAIL, "credentials are refused"),
        ("ThrottlingException", WARN, "ThrottlingException"),
    ],
)
def test_why_a_stream_is_not_to_be_had(service: Service, code: str, status: str, text: str) -> None:
    """No permission fails; a busy service is asked again later."""
    service.fails("bedrock-runtime", "converse_stream", code)
    settings = settings_for()
    finding = service.aws(settings).streaming(settings.models["first"])
    assert (finding.status, text in finding.text) == (status, True)
    assert finding.todo


def test_a_service_that_cannot_be_reached() -> None:
    """The network is named as what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    settings = settings_for()
    client = make_client(settings, url)
    finding = Aws(settings, lambda _: client, None, lambda: NOW).streaming(settings.models["first"])
    client.close()
    assert (finding.status, "EndpointConnectionError" in finding.text) == (FAIL, True)
    assert "network" in finding.todo


@pytest.mark.parametrize(
    ("date", "findings"),
    [
        ("Tue, 24 Nov 2026 12:00:10 GMT", [("clock", OK)]),
        ("Tue, 24 Nov 2026 11:58:00 GMT", [("clock", WARN)]),
        ("Tue, 24 Nov 2026 12:06:00 GMT", [("clock", FAIL)]),
        ("yesterday", []),
        (None, []),
    ],
)
def test_the_clock(service: Service, date: str | None, findings: list[tuple[str, str]]) -> None:
    """AWS tells its time with every answer and takes no signature that is five minutes off."""
    headers = {} if date is None else {"date": date}
    service.answers("sts", "get_caller_identity", IDENTITY | {"ResponseMetadata": {"HTTPHeaders": headers}})
    aws = service.aws(settings_for())
    aws.identity()
    assert found(aws.clock()) == findings


def test_aws_is_not_asked_when_requests_go_elsewhere() -> None:
    """The bundled local Bedrock needs no credentials."""
    findings = examine(settings_for(BEDROCK_ENDPOINT_URL="local"), {})
    assert {finding.about for finding in findings} == {"endpoint", "data"}


def test_a_profile_that_there_is_not_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS_PROFILE that no file knows is told, not raised."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    findings = list(examine(settings_for(), {}))
    assert (findings[-1].about, findings[-1].status) == ("credentials", FAIL)
    assert "nobody" in findings[-1].text
