"""What end-to-end tests have in common."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from e2e.serving import BARE, KEY, RomServer, Stream, serving

from local_bedrock import LocalBedrock


@pytest.fixture(autouse=True)
def _no_stream_stays_open() -> Iterator[None]:
    """A socket that is left to the garbage collector warns in whatever test runs then."""
    yield
    Stream.close_all()


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LocalBedrock]:
    """A local Bedrock in this process: it refuses what Bedrock refuses, and tests see what reached it."""
    with LocalBedrock() as local:
        yield local


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, bedrock: LocalBedrock) -> Iterator[RomServer]:
    """A server for all tests of a module, with its `SERVER_SETTINGS`; where it has none, with BARE."""
    settings = getattr(request.module, "SERVER_SETTINGS", BARE)
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def openai_client(server: RomServer) -> Iterator[openai.OpenAI]:
    """The official client of OpenAI, as anybody would make it."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client(server: RomServer) -> Iterator[anthropic.Anthropic]:
    """The official client of Anthropic, as anybody would make it."""
    with anthropic.Anthropic(base_url=server.url, api_key=KEY) as client:
        yield client
