"""While a tool of a third party runs, and does not look at anything: the stream lives, and a client may leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.limiting import active
from e2e.serving import RomServer, serving, until

from local_bedrock import LocalBedrock
from rom_core.runtime import RESERVED_THREADS

# As pip would install it. The tool neither looks at its cancel token nor can be interrupted.
THIRD_PARTY = """
import time

from rom_core.markers import hookimpl
from rom_core.tools import Tool

class Slow:
    @hookimpl
    def rom_tools(self):
        return [Tool("search", "searches", {"type": "object"}, lambda value, context: time.sleep(value["seconds"]))]
"""


def question(seconds: float) -> str:
    """A message that makes the tool take so long."""
    return f'[[tool=search]] [[input={{"seconds": {seconds}}}]] procure'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RomServer]:
    """A server with the tool and with one place."""
    site: Path = tmp_path_factory.mktemp("site")
    (site / "slowly.py").write_text(THIRD_PARTY)
    info = site / "slowly-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slowly\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rom.plugins]\nslowly = slowly:Slow\n")
    one_place = {
        "HTTP_THREADS": RESERVED_THREADS + 1,
        "MAX_CONCURRENT_REQUESTS": 1,
        "MAX_QUEUE_SIZE": 0,
        "BOTTLENECK_LIMITER_ENABLED": "false",
    }
    with (
        LocalBedrock() as bedrock,
        serving(
            BEDROCK_ENDPOINT_URL=bedrock.url,
            PYTHONPATH=site,
            SLOWLY_ENABLED="true",
            SSE_HEARTBEAT_SECONDS=0.2,
            **one_place,
        ) as running,
    ):
        yield running


def test_heartbeats_while_a_tool_runs(server: RomServer) -> None:
    """A proxy between us sees a comment though nobody says anything, and the answer comes whole after it."""
    stream = server.stream(question(2))
    names = []
    for name, _ in stream.events():
        if name == "tool_result":
            assert stream.comments >= 1
        names.append(name)
    assert names[:3] == ["start", "tool_call", "tool_result"]
    assert names[-1] == "done"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_while_a_tool_runs_frees_the_place(server: RomServer, streamed: bool) -> None:
    """The only place is free at once, not when the tool returns."""
    assert active(server, 0)
    stream = server.stream(question(600), stream=streamed)
    assert active(server, 1), "it came before those who ask now"
    assert until(lambda: server.chat("oi").json().get("code") == "overloaded")
    if streamed:
        assert [name for _, (name, _) in zip(range(2), stream.events(), strict=False)]
    stream.close()
    assert until(lambda: server.chat("oi").status_code == 200)
