"""Filters of text lose nothing and double nothing, however the text is cut and whatever breaks off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Toolkit, asks, make_settings, make_turn, tool
from text_filter_support import MASK, NAME, Filtering, HoldBack, Unmask

from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelServerError
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, TryAgain, Usage

PIECES = st.lists(st.text("<1>ab", max_size=5), max_size=8)
# Each iteration: the attempts at it that break off after these pieces, then the one that does not.
ITERATIONS = st.lists(st.tuples(st.lists(PIECES, max_size=3), PIECES), min_size=1, max_size=3)


class Again:
    """Tries again at once."""

    @hookimpl
    def rom_model_failed(self) -> TryAgain:
        return TryAgain()


class Model:
    """Streams the pieces of each attempt, then breaks off, asks for a tool, or ends."""

    def __init__(self, iterations: list[tuple[list[list[str]], list[str]]]) -> None:
        self._steps = [
            (pieces, whole, number == len(iterations))
            for number, (broken, kept) in enumerate(iterations, start=1)
            for pieces, whole in (*((pieces, False) for pieces in broken), (kept, True))
        ]

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """As Transport."""
        pieces, whole, last = self._steps.pop(0)
        for piece in pieces:
            attempt.text(piece)
        if not whole:
            raise ModelServerError("", kind="500")
        text = "".join(pieces)
        if not last:
            return asks(("look", {}), text=text)
        content = ({"text": text},) if text else ()
        return ModelReply(content, "end_turn", "anthropic.first", Usage(1, 1))


@pytest.mark.parametrize("streamed", [False, True])
@settings(max_examples=150, deadline=None)
@given(ITERATIONS, st.integers(0, 20), st.integers(0, 20))
def test_the_answer_is_what_the_filters_make_of_the_whole_text(
    streamed: bool, iterations: list[tuple[list[list[str]], list[str]]], first: int, second: int
) -> None:
    """However the text is cut, held back and tried again; of an attempt that failed, what was seen, or nothing."""
    catalogue = Catalogue.of(
        hookspecs,
        a=Filtering(lambda: HoldBack(first)),
        b=Filtering(Unmask),
        c=Filtering(lambda: HoldBack(second)),
        again=Again(),
        kit=Toolkit(tool()),
    )
    switches = {plugin.switch: True for plugin in catalogue.plugins.values()}
    values = make_settings(catalogue, PLUGINS=["a", "b", "c"], TEXT_EMPTY_REPLY="-", **switches)
    runtime = Runtime(catalogue, values, clock=FakeClock(), transport=Model(iterations))
    heard: list[str] = []
    turn = make_turn(runtime, sink=(lambda name, data: heard.append(data.get("text", ""))) if streamed else None)
    broken = [["".join(pieces).replace(MASK, NAME) for pieces in each] for each, _ in iterations]
    kept = ["".join(pieces) for _, pieces in iterations]
    texts = [text.replace(MASK, NAME) for text in kept]
    try:
        reply = runtime.run(turn).reply
    except ModelServerError:
        # Part of the attempt that broke off was seen, and nothing else but what came before it.
        begun = "".join(heard)
        assert begun
        assert any(
            begun.startswith("\n\n".join([*filter(None, texts[:number]), ""]).lstrip())
            and "\n\n".join([*filter(None, texts[:number]), text]).startswith(begun)
            for number, each in enumerate(broken)
            for text in each
        )
    else:
        expected = "\n\n".join(filter(None, texts))
        assert reply == (expected or "-")
        assert "".join(heard) == (reply if streamed else "")
        said = [block["text"] for message in turn.messages[1:] for block in message["content"] if "text" in block]
        assert said == list(filter(None, kept))
    finally:
        runtime.tool_pool.stop()
