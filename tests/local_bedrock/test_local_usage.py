"""Token accounting and prompt caching."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_bedrock.models import KNOWN_MODELS, ModelInfo, resolve_model
from local_bedrock.usage import UsageMeter, tokens_of
from local_bedrock.validation import validate
from rom_core.concurrency.clock import FakeClock

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
POINT = {"cachePoint": {"type": "default"}}
LONG = "x" * 8000


class Account:
    """A meter on a fake clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.meter = UsageMeter(self.clock)
        self.details: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any], model_id: str = SONNET) -> dict[str, Any]:
        """The usage of one request with an answer of 10 tokens."""
        model = resolve_model(model_id)
        assert isinstance(model, ModelInfo)
        usage = self.meter.measure(model_id, model, body, 10)
        details = usage.pop("cacheDetails", [])
        assert usage["totalTokens"] == sum(usage.values()) - usage["totalTokens"]
        assert min(usage.values()) >= 0
        assert sum(detail["inputTokens"] for detail in details) == usage["cacheWriteInputTokens"]
        self.details = details
        return usage


@pytest.fixture
def measure() -> Account:
    """A fresh account."""
    return Account()


def request(system: list[Any], *texts: str, last: list[Any] | None = None) -> dict[str, Any]:
    """A conversation of alternating texts; `last` is added to the last message."""
    roles = ["user", "assistant"] * len(texts)
    messages = [{"role": role, "content": [{"text": text}]} for role, text in zip(roles, texts, strict=False)]
    messages[-1]["content"] = [*messages[-1]["content"], *(last or [])]
    return {"system": system, "messages": messages}


CACHED = [{"text": LONG}, POINT]


def numbers(usage: dict[str, int]) -> tuple[int, int]:
    """Tokens read and written."""
    return usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]


def test_tokens_are_four_characters_rounded_up() -> None:
    """0, 1, 4 and 5 characters are 0, 1, 1 and 2 tokens."""
    assert [tokens_of(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_first_sight_writes_and_second_reads(measure: Account) -> None:
    """A marked prefix is written once and read afterwards; inputTokens excludes it both times."""
    first, second = measure(request(CACHED, "a")), measure(request(CACHED, "outra pergunta"))
    written = first["cacheWriteInputTokens"]
    assert numbers(first) == (0, written)
    assert written > 2000
    assert numbers(second) == (written, 0)
    assert max(first["inputTokens"], second["inputTokens"]) < 20


def test_cache_lives_five_minutes_after_its_last_use(measure: Account) -> None:
    """Every read renews the five minutes; after them the prefix is written again."""
    written = measure(request(CACHED, "a"))["cacheWriteInputTokens"]
    for _ in range(3):
        measure.clock.advance(299)
        assert numbers(measure(request(CACHED, "a"))) == (written, 0)
    measure.clock.advance(300)
    assert numbers(measure(request(CACHED, "a"))) == (0, written)


def test_cache_point_of_an_hour(measure: Account) -> None:
    """ttl 1h keeps the prefix for an hour."""
    system = [{"text": LONG}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    written = measure(request(system, "a"))["cacheWriteInputTokens"]
    measure.clock.advance(3599)
    assert numbers(measure(request(system, "a"))) == (written, 0)


def test_short_prefix_is_not_cached(measure: Account) -> None:
    """Below the model's minimum a cachePoint has no effect: 1024 tokens for Sonnet, 4096 for Haiku 4.5."""
    for _ in range(2):
        assert numbers(measure(request([{"text": "x" * 4000}, POINT], "a"))) == (0, 0)
        assert numbers(measure(request(CACHED, "a"), HAIKU)) == (0, 0)


def test_models_do_not_share_a_cache(measure: Account) -> None:
    """A fallback to another model starts cold."""
    measure(request(CACHED, "a"))
    read, written = numbers(measure(request(CACHED, "a"), "us.anthropic.claude-sonnet-4-20250514-v1:0"))
    assert read == 0
    assert written > 0


def test_changed_prefix_is_not_found(measure: Account) -> None:
    """One character before the cachePoint makes another prefix; after it, none."""
    measure(request(CACHED, "a"))
    assert numbers(measure(request([{"text": "y" + LONG}, POINT], "a")))[0] == 0


def test_tools_come_before_the_system(measure: Account) -> None:
    """A change of tools invalidates a prefix that ends in the system text."""
    tool = {"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}
    measure(request(CACHED, "a"))
    assert numbers(measure(request(CACHED, "a") | {"toolConfig": {"tools": [tool]}}))[0] == 0


def test_moving_cache_point_extends_the_prefix(measure: Account) -> None:
    """With the cachePoint always in the last message, each request reads the earlier prefix and writes the rest."""
    system = [{"text": LONG}]
    first = numbers(measure(request(system, "a", last=[POINT])))
    second = numbers(measure(request(system, "a", "b" * 400, "c", last=[POINT])))
    third = numbers(measure(request(system, "a", "b" * 400, "c", last=[POINT])))
    assert second == (first[1], second[1])
    assert 100 <= second[1] < 200
    assert third == (first[1] + second[1], 0)


def test_prefix_beyond_the_lookback_is_not_found(measure: Account) -> None:
    """Bedrock looks back 20 blocks from a cachePoint, no further."""
    measure(request([{"text": LONG}], "a", last=[POINT]))
    near = request([{"text": LONG}], "a", *["b", "c"] * 10, last=[POINT])
    assert numbers(measure(near))[0] > 0
    fresh = Account()
    fresh(request([{"text": LONG}], "a", last=[POINT]))
    assert numbers(fresh(request([{"text": LONG}], "a", *["b", "c"] * 10, last=[{"text": "d"}, POINT])))[0] == 0


def test_each_life_is_written_under_its_own_name(measure: Account) -> None:
    """A static part kept an hour and a conversation kept five minutes are told apart: they have two prices."""
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    measure(request([{"text": LONG}, hour], "a" * 400, last=[POINT]))
    one, two = measure.details
    assert (one["ttl"], two["ttl"]) == ("1h", "5m")
    assert one["inputTokens"] > 2000
    assert 100 <= two["inputTokens"] < 200


@pytest.mark.parametrize(
    ("model_id", "minimum"),
    [
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", 1024),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", 4096),
        ("global.anthropic.claude-sonnet-5-5", 512),
        ("global.anthropic.claude-haiku-5-5", 512),
        ("global.anthropic.claude-opus-5-5", 512),
        ("global.anthropic.claude-sonnet-5", 1024),
        ("global.anthropic.claude-sonnet-4-6", 1024),
    ],
)
def test_each_model_has_its_minimum(measure: Account, model_id: str, minimum: int) -> None:
    """A prefix of the minimum is cached, one of a token less is not."""
    frame = len('system{"text":""}')
    for tokens, cached in ((minimum - 1, False), (minimum, True)):
        system = [{"text": "x" * (4 * tokens - frame)}, POINT]
        assert (numbers(measure(request(system, "a"), model_id))[1] > 0) is cached


def tool(name: str) -> dict[str, Any]:
    """A tool long enough to be cached by itself."""
    return {"toolSpec": {"name": name, "description": LONG, "inputSchema": {"json": {"type": "object"}}}}


@pytest.mark.parametrize(
    ("tools", "system", "last", "taken"),
    [
        ("1h", "1h", "5m", True),
        ("1h", "5m", "5m", True),
        ("", "1h", "5m", True),
        ("1h", "1h", "1h", True),
        ("5m", "1h", "5m", False),
        ("5m", "", "1h", False),
        ("", "5m", "1h", False),
    ],
)
def test_the_longer_life_comes_first(tools: str, system: str, last: str, taken: bool) -> None:
    """In the order tools, system, messages: an hour after five minutes is refused, the other way round is not."""
    points = {life: [{"cachePoint": {"type": "default", "ttl": life}}] if life else [] for life in ("", "5m", "1h")}
    body = request([{"text": LONG}, *points[system]], "a", last=points[last])
    body["toolConfig"] = {"tools": [tool("t"), *points[tools]]}
    refused = validate(SONNET, "ConverseStream", body)
    if taken:
        assert refused is None
    else:
        assert refused is not None
        assert "ttl" in refused.message


def test_a_life_is_not_lengthened_by_reading(measure: Account) -> None:
    """What was written for five minutes is kept five minutes after its last use, whatever the point says that reads it:
    an hour is paid for when it is written."""
    hour = [{"text": LONG}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    written = measure(request(CACHED, "a"))["cacheWriteInputTokens"]
    assert numbers(measure(request(hour, "a"))) == (written, 0)
    measure.clock.advance(301)
    assert numbers(measure(request(hour, "a"))) == (0, written)
    measure.clock.advance(3599)
    assert numbers(measure(request(hour, "a"))) == (written, 0)


def three_points(tools: list[Any], system: str, text: str) -> dict[str, Any]:
    """A request with a point behind tools, system and messages, in this order."""
    body = request([{"text": system}, POINT], text, last=[POINT])
    return body | {"toolConfig": {"tools": [*tools, POINT]}}


@pytest.mark.parametrize(
    ("changed", "read"),
    [
        (([tool("t"), tool("u")], LONG, LONG), "everything"),
        (([tool("t"), tool("u")], LONG, "y" + LONG), "tools and system"),
        (([tool("t"), tool("u")], "y" + LONG, LONG), "tools"),
        (([tool("u"), tool("t")], LONG, LONG), "nothing"),
        (([tool("t"), tool("v")], LONG, LONG), "nothing"),
        (([tool("t")], LONG, LONG), "nothing"),
    ],
    ids=["nothing", "message", "system", "order of tools", "name of a tool", "one tool less"],
)
def test_what_a_change_destroys(measure: Account, changed: Any, read: str) -> None:
    """A change of tools destroys all, one of the system all but the tools, one of a message what stands behind it."""
    parts = {"nothing": 0, "tools": 1, "tools and system": 2, "everything": 3}
    account = [numbers(Account()(three_points([tool("t"), tool("u")], LONG, LONG)))[1]]
    measure(three_points([tool("t"), tool("u")], LONG, LONG))
    found = numbers(measure(three_points(*changed)))
    ends = [0, *(tokens for tokens in _ends(three_points([tool("t"), tool("u")], LONG, LONG)))]
    assert found[0] == ends[parts[read]]
    assert ends[-1] == account[0]


def _ends(body: dict[str, Any]) -> list[int]:
    """The tokens up to the ends of tools, system and messages, each counted by what a point there writes."""
    whole = [{"toolConfig": body["toolConfig"]}, {"system": body["system"]}, {"messages": body["messages"]}]
    found = []
    for number in range(1, 4):
        marked = [
            {key: _bare(value) if place >= number else value for key, value in part.items()}
            for place, part in enumerate(whole)
        ]
        found.append(numbers(Account()({key: value for part in marked for key, value in part.items()}))[1])
    return found


def _bare(value: Any) -> Any:
    """Without cache points."""
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items()}
    return [_bare(one) for one in value if "cachePoint" not in one] if isinstance(value, list) else value


def test_clear_forgets_prefixes(measure: Account) -> None:
    """After clear everything is written again."""
    written = numbers(measure(request(CACHED, "a")))[1]
    measure.meter.clear()
    assert numbers(measure(request(CACHED, "a"))) == (0, written)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=3000), st.booleans()), min_size=1, max_size=6))
def test_kinds_of_tokens_are_disjoint(system: list[tuple[str, bool]]) -> None:
    """Wherever cache points stand, fresh, read and written tokens sum to the same input, cold and warm."""
    blocks = [block for text, marked in system for block in [{"text": text}] + [POINT] * marked]
    plain, account = request([block for block in blocks if "text" in block], "a"), Account()
    whole = account(plain)["inputTokens"]
    for _ in range(2):
        usage = account(request(blocks, "a"))
        assert usage["inputTokens"] + sum(numbers(usage)) == whole


def test_all_models_have_a_sane_entry() -> None:
    """Ids are unique and limits are positive."""
    assert len({model.model_id for model in KNOWN_MODELS}) == len(KNOWN_MODELS)
    assert all(model.max_tokens >= 1024 and (model.cache_minimum or 1024) >= 512 for model in KNOWN_MODELS)


def test_client_sees_cache_usage(client: Any) -> None:
    """The SDK gets the same numbers from both operations, and only from them that answered."""
    with pytest.raises(client.boto.exceptions.ThrottlingException):
        client.converse("[[fault=429]]", system=CACHED)
    first = client.converse("a", system=CACHED)["usage"]
    second = client.stream("b", system=CACHED)[-1]["metadata"]["usage"]
    assert numbers(first)[1] == numbers(second)[0] > 2000
