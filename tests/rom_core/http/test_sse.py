"""One event is one line of data, whatever a reader takes for the end of a line."""

from __future__ import annotations

import json

import pytest
from falcon import testing
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_runtime, says

from rom_core.http.app import create_app
from rom_core.http.sse import sse_event

LINE_ENDS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"


@given(st.text(st.sampled_from("a\\" + LINE_ENDS) | st.characters(codec="utf-8")))
@settings(deadline=None)
def test_no_text_breaks_the_line(text: str) -> None:
    """Whatever the text, `splitlines` finds the lines of the format, and the data is the same text."""
    lines = sse_event({"text": text, text: 1}, "delta").decode().splitlines()
    assert [lines[0], lines[2:]] == ["event: delta", [""]]
    assert json.loads(lines[1].removeprefix("data: ")) == {"text": text, text: 1}
    assert len(sse_event(text).decode().splitlines()) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"message": "oi", "stream": True}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "oi"}], "stream": True}),
    ],
)
def test_both_dialects_write_events_so(path: str, body: dict[str, object]) -> None:
    """A reader that splits at every line end reads the whole answer."""
    said = "um\u2028dois\u2029três\x85quatro"
    runtime, _ = make_runtime(says(said))
    answer = testing.TestClient(create_app(runtime)).simulate_post(path, json=body)
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    values = [json.loads(line) for line in data]
    if path == "/api/chat":
        text = "".join(value.get("text", "") for value in values)
    else:
        text = "".join(value["choices"][0]["delta"].get("content", "") for value in values)
    assert text == said
