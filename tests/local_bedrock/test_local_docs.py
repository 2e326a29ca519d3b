"""docs/local_bedrock.md says what the code does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

from local_bedrock import directives, fault, reply

PAGE = Path(__file__).parents[2] / "docs" / "local_bedrock.md"


def test_the_page_lists_the_directives_as_the_code_does() -> None:
    """The list in the page is the one in the module's docstring, word for word."""
    assert directives.__doc__ is not None
    listed = directives.__doc__.split("\n\n", 2)[2].strip()
    assert f"```\n{listed}\n```" in PAGE.read_text(encoding="utf-8")


def test_the_example_of_the_page_holds(bedrock_local: Any) -> None:
    """Two scripted behaviours, taken in order, each by one request."""
    bedrock_local.script(fault(429, retry_after=1), reply("olá"))
    client = boto3.Session().client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=bedrock_local.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    answer = client.converse(
        modelId="global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        messages=[{"role": "user", "content": [{"text": "oi"}]}],
    )
    client.close()
    assert answer["output"]["message"]["content"] == [{"text": "olá"}]
    assert len(bedrock_local.requests) == 2
