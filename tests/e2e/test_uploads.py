"""Files as people send them: forms, on a real server process, against the local Bedrock."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents_support import pdf
from e2e.serving import BARE, RomServer, serving

from local_bedrock import LocalBedrock


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """One server; a failure of the model shows as it is."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **BARE) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(bedrock: LocalBedrock) -> None:
    bedrock.reset()


def curl(*arguments: str) -> Any:
    """What curl prints, as JSON."""
    command = ["curl", "-sS", "--max-time", "60", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_curl_sends_a_pdf(server: RomServer, bedrock: LocalBedrock, tmp_path: Path) -> None:
    """`curl -F`, with a file of more than MAX_BODY_BYTES."""
    path = tmp_path / "Petição inicial.pdf"
    path.write_bytes(pdf() + b"\0" * 3_000_000)
    answer = curl(f"{server.url}/api/chat", "-F", "message=Resuma.", "-F", f"attachments=@{path}")
    assert answer["stop_reason"] == "end_turn", answer
    (request,) = bedrock.requests
    document, question = request.body["messages"][-1]["content"]
    assert (document["document"]["name"], document["document"]["format"]) == ("Peticao inicial", "pdf")
    assert question == {"text": "Resuma."}
