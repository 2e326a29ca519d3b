"""A broken stream that is begun again: only for clients that agreed, and never with doubled text."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from e2e.serving import RomServer, Stream, serving

from local_bedrock import LocalBedrock

TEXT = "um dois três quatro cinco seis sete oito nove dez"
ORDER = f"[[say={TEXT}]]"


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """Retries without waiting, and no circuit that opens over the faults that are ordered."""
    settings = {"BEDROCK_ENDPOINT_URL": bedrock.url, "RETRY_BACKOFF_SECONDS": "[0]", "CIRCUIT_BREAKER_ENABLED": False}
    with serving(**settings, RETRY_BUDGET_PERCENT=0) as running:
        yield running


@pytest.fixture(autouse=True)
def _forgetful(bedrock: LocalBedrock) -> None:
    """What other tests ordered is forgotten."""
    bedrock.reset()


def read(stream: Stream) -> tuple[str, str, dict[str, Any], list[dict[str, Any]]]:
    """What a client that follows the rules holds at the end: its text, how the stream ended and with what, restarts."""
    text, restarts = "", []
    try:
        for name, data in stream.events():
            if name == "delta":
                text += data["text"]
            elif name == "restart":
                text = text[: data["length"]]
                restarts.append(data)
            elif name in ("done", "error"):
                return text, name, data, restarts
    finally:
        stream.close()
    raise AssertionError("the stream was cut")


def test_a_broken_answer_is_taken_back_and_begun_again(server: RomServer, bedrock: LocalBedrock) -> None:
    """The client is told why, and what stays; it ends with one whole answer."""
    bedrock.script(f"[[fault=cut]] [[after=3]] {ORDER}")
    text, ended, done, restarts = read(server.stream(f"{ORDER} diga", restart=True))
    assert (text, ended, done["reply"]) == (TEXT, "done", TEXT)
    assert restarts == [{"reason": "upstream_unavailable", "length": 0}]
    assert len(server.events("answer.restarted")) == 1


def test_without_the_clients_word_nothing_changes(server: RomServer, bedrock: LocalBedrock) -> None:
    """The stream ends with an error, and one request was made."""
    for asked in ({}, {"restart": False}):
        bedrock.reset()
        bedrock.script(f"[[fault=cut]] [[after=3]] {ORDER}")
        text, ended, _, restarts = read(server.stream(f"{ORDER} diga", **asked))
        assert (ended, restarts, len(bedrock.requests)) == ("error", [], 1)
        assert text
        assert TEXT.startswith(text.strip())


def test_text_of_earlier_iterations_stays(server: RomServer, bedrock: LocalBedrock) -> None:
    """Only what the broken call said is taken back; a tool that has run does not run again."""
    loop = '[[tools=1]] [[tool=prazo_processual]] [[input={"dias": 5}]]'
    bedrock.script(loop, f"[[fault=cut]] [[after=4]] {ORDER}", ORDER)
    text, ended, done, restarts = read(server.stream("calcule", restart=True))
    assert (ended, text, len(done["tool_calls"])) == ("done", done["reply"], 1)
    assert text.endswith(TEXT)
    assert text.count("três") == 1
    assert [each["length"] for each in restarts] == [len(text.removesuffix(TEXT).rstrip("\n"))]


def test_another_model_may_take_over_after_text_was_shown(server: RomServer, bedrock: LocalBedrock) -> None:
    """A model that always breaks off is given up within the budget; the answer says that it is another's."""
    bedrock.set_always(f"[[fault=cut]] [[after=3]] [[model=sonnet]] {ORDER}")
    text, ended, done, restarts = read(server.stream(f"{ORDER} diga", restart=True))
    bedrock.set_always(None)
    assert (text, ended, done["degraded"]) == (TEXT, "done", True)
    assert "haiku" in done["model"]
    assert len(restarts) >= 4


def test_the_budget_of_requests_holds(server: RomServer, bedrock: LocalBedrock) -> None:
    """What never works ends with an error, after as many requests as without any text."""
    bedrock.set_always(f"[[fault=cut]] [[after=3]] {ORDER}")
    _, ended, error, _ = read(server.stream("diga", restart=True))
    bedrock.set_always(None)
    assert (ended, error["code"]) == ("error", "upstream_unavailable")
    assert len(bedrock.requests) <= 8


def test_where_nothing_can_be_taken_back_it_is_named_as_ignored(server: RomServer) -> None:
    """An answer in one piece is repeated anyway, and a dialect of others has no word for it."""
    answer = server.chat(f"{ORDER} diga", restart=True)
    assert answer.json()["ignored"] == ["restart"]
    for path, body in (
        ("/v1/chat/completions", {"model": "anthropic.claude-sonnet-4-5"}),
        ("/v1/messages", {"model": "anthropic.claude-sonnet-4-5", "max_tokens": 10}),
    ):
        stream = Stream(
            server.url,
            body | {"messages": [{"role": "user", "content": ORDER}], "stream": True, "restart": True},
            path,
        )
        names = [name for name, _ in stream.events()] if stream.head[0] == 200 else []
        stream.close()
        assert "restart" not in names


def test_in_a_soak_of_faults_under_one_in_a_hundred_fails_and_no_text_is_doubled(
    server: RomServer, bedrock: LocalBedrock
) -> None:
    """400 streamed turns of which one request in five breaks off somewhere, most with text already shown."""
    chance = random.Random(7)
    faults = ("cut", "reset", "crc", "no_stop", "exception:internalServerException", "bad_json")

    def order() -> str:
        if chance.random() >= 0.2:
            return ORDER
        return f"[[fault={chance.choice(faults)}]] [[after={chance.randrange(8)}]] {ORDER}"

    bedrock.script(*(order() for _ in range(900)))
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda _: read(server.stream("diga", restart=True)), range(400)))
    failed = [end for end in ends if end[1] != "done"]
    assert len(failed) < 4
    assert all(text == done["reply"] == TEXT for text, ended, done, _ in ends if ended == "done")
    assert sum(len(restarts) for *_, restarts in ends) > 40
