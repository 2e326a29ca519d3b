"""Real AWS clients against the fixture `bedrock_local`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_bedrock import LocalBedrock

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


class Client:
    """A boto3 client without retries, with the calls that the tests make."""

    def __init__(self, session: boto3.session.Session, url: str, read_timeout: float = 10) -> None:
        self.boto: Any = session.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-west-2",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=read_timeout, connect_timeout=5, max_pool_connections=32
            ),
        )

    def converse(self, text: str = "Olá", model: str = SONNET, **more: Any) -> dict[str, Any]:
        """One user message to Converse."""
        answer: dict[str, Any] = self.boto.converse(modelId=model, messages=[says(text)], **more)
        return answer

    def stream(self, text: str = "Olá", model: str = SONNET, **more: Any) -> list[dict[str, Any]]:
        """One user message to ConverseStream, all events of the answer."""
        return list(self.events(text, model, **more))

    def events(self, text: str = "Olá", model: str = SONNET, **more: Any) -> Iterator[dict[str, Any]]:
        """The events one by one; the stream is closed with the generator."""
        stream = self.boto.converse_stream(modelId=model, messages=[says(text)], **more)["stream"]
        try:
            yield from stream
        finally:
            stream.close()


def says(text: str) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": [{"text": text}]}


@pytest.fixture(scope="session")
def aws_session() -> boto3.session.Session:
    """One session for all clients: loading the service's description is the dear part of a client."""
    return boto3.session.Session()


@pytest.fixture
def connect(bedrock_local: LocalBedrock, aws_session: boto3.session.Session) -> Iterator[Callable[..., Client]]:
    """Make a client of the fixture's server; all are closed at the end."""
    clients: list[Client] = []

    def make(read_timeout: float = 10) -> Client:
        clients.append(Client(aws_session, bedrock_local.url, read_timeout))
        return clients[-1]

    yield make
    for client in clients:
        client.boto.close()


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    """One client of the fixture's server."""
    return connect()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait, 30 s at most, until a condition that another thread brings about holds."""

    def wait(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < until, "it never came about"
            time.sleep(0.002)

    return wait
