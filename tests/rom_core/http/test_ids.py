"""Ids that a client chose are marked as such wherever they are logged."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from falcon import testing
from structlog.testing import capture_logs
from support import make_runtime, says

from rom_core.http.app import create_app
from rom_core.markers import hookimpl

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Lines:
    """Writes a line at the end of a turn, as a plugin does that observes."""

    @hookimpl
    def rom_event(self, event: Any) -> None:
        if event.name == "turn.finished":
            structlog.get_logger("rom.test").info("seen")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("headers", "marks"),
    [
        ({}, {}),
        ({"traceparent": PARENT}, {"trace_id_from": "client"}),
        ({"X-Request-Id": "mine"}, {"request_id_from": "client"}),
        ({"traceparent": PARENT, "X-Request-Id": "mine"}, {"trace_id_from": "client", "request_id_from": "client"}),
        ({"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01", "X-Request-Id": "not one"}, {}),
    ],
)
def test_an_id_of_the_client_is_marked(headers: dict[str, str], marks: dict[str, str], streamed: bool) -> None:
    """In the lines of the request and of its turn, whatever thread writes them; what we minted is not."""
    runtime, _ = make_runtime(says("sim"), plugins={"lines": Lines()})
    client = testing.TestClient(create_app(runtime))
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = client.simulate_post("/api/chat", json={"message": "oi", "stream": streamed}, headers=headers)
    assert answer.status_code == 200
    (line,) = [line for line in logs if line["event"] == "seen"]
    assert {name: value for name, value in line.items() if name.endswith("_from")} == marks
    assert (line["trace_id"] == TRACE) == ("trace_id_from" in marks)
