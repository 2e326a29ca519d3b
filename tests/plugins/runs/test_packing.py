"""The request of a run comes back from the store as it was."""

from __future__ import annotations

from plugins.runs import packing
from rom_core.documents.quotes import Source, Sources
from rom_core.structured import read_format
from rom_core.turn_values import ChatRequest, ClientTools

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


def test_a_request_comes_back_with_everything_in_it() -> None:
    """Messages with files, the client's tools, the form of the answer, and the texts that citations are checked in."""
    block = {"document": {"name": "a", "format": "pdf", "source": {"bytes": b"%PDF" * 1000}}}
    request = ChatRequest(
        messages=({"role": "user", "content": [block, {"text": "olá"}]},),
        conversation_id="conv_1",
        stored="begin",
        needs=("conversations", "runs"),
        client_tools=ClientTools(({"toolSpec": {"name": "t"}},), {"tool": {"name": "t"}}, parallel=False),
        response_format=read_format({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}),
        citations=True,
        sources=Sources([("a", Source(0, "a.pdf", pages=("Primeira página.",)))]),
        warnings=({"code": "c", "text": "t"},),
        user="maria",
        temperature=0.5,
        key_name="ana",
        background=True,
    )
    body, files = packing.packed(request)
    back = packing.unpacked(body, files.__getitem__)
    for name in ("messages", "client_tools", "warnings", "needs", "user", "temperature", "stored", "background"):
        assert getattr(back, name) == getattr(request, name), name
    assert list(files.values()) == [b"%PDF" * 1000]
    assert back.response_format is not None
    assert back.response_format.problems({"x": "no"})
    assert not back.response_format.problems({"x": 1})
    citation = {"title": "a", "sourceContent": [{"text": "Primeira página"}], "location": {"documentPage": {}}}
    assert request.sources is not None
    assert back.sources is not None
    assert back.sources.check(citation) == request.sources.check(citation)
    assert back.sources.check(citation).block is not None
