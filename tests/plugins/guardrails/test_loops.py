"""Guardrails: which loops are stopped, when the model and people are warned, and what is left behind."""

from __future__ import annotations

from typing import Any

import pytest
from guardrail_support import Asked, Loop, numbered, varied
from support import (
    asks,
    make_settings,
    says,
    tool,
)

from local_bedrock.rules import check_conversation
from plugins.guardrails import (
    BUDGET,
    CYCLE,
    HARD_LIMIT,
    REPETITION,
    Guardrails,
)
from rom_core import hookspecs
from rom_core.errors import ModelServerError
from rom_core.events import GuardrailTripped, GuardrailWarned, LoopStopped
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings
from rom_core.tools import ToolError
from rom_core.turn_values import ModelReply


def test_at_the_hard_limit_the_tools_do_not_run_and_the_answer_is_usable() -> None:
    """25 iterations: the tools of the 25th do not run, one closing request follows, its text is the answer."""
    loop = Loop(*varied(30), MAX_LOOPS_HARD=25)
    loop.transport.steps[25:] = [says("from what I have")]
    result = loop.run()
    assert (result.reply, result.stop_reason, result.degraded) == ("from what I have", HARD_LIMIT, True)
    assert len(loop.ran) == len(result.tool_calls) == 24
    assert len(loop.transport.requests) == 26
    closing = loop.transport.requests[-1]
    assert "toolConfig" in closing
    assert closing["messages"][-1]["content"][0]["toolResult"]["status"] == "error"
    assert loop.results(-1) == [[loop.runtime.current.settings.CLOSING_INSTRUCTION]]
    assert check_conversation(closing) == []


def test_one_iteration_less_is_not_stopped() -> None:
    """24 iterations and an answer: nothing is stopped, nothing degraded."""
    loop = Loop(*varied(24))
    result = loop.run()
    assert (result.reply, result.stop_reason, result.degraded) == ("the answer", "end_turn", False)
    assert len(loop.ran) == 24
    assert loop.events(GuardrailTripped) == []


def test_the_model_is_told_one_iteration_before_the_stop() -> None:
    """The results of iteration 24 carry the note inside the toolResult, those before do not."""
    loop = Loop(*varied(30))
    loop.run()
    told = [number for number in range(1, 25) if any("[Aviso]" in text for text in loop.results(number)[0])]
    assert told == [24]
    assert loop.results(24)[0][0] == "d ran"
    assert check_conversation(loop.transport.requests[24]) == []


@pytest.mark.parametrize(("iterations", "warnings"), [(11, []), (12, [12]), (20, [12])])
def test_the_soft_limit_warns_once(iterations: int, warnings: list[int]) -> None:
    """One event at the 12th iteration, once per turn, and the turn goes on."""
    loop = Loop(*varied(iterations))
    assert loop.run().stop_reason == "end_turn"
    assert [(event.iterations, event.limit) for event in loop.events(GuardrailWarned)] == [(n, 25) for n in warnings]
    assert all(event.turn is loop.turn for event in loop.events(GuardrailWarned))


def test_what_was_stopped_is_told_with_names_and_no_contents() -> None:
    """One event with the reason and the tool names by iteration, the stopped one last; the loop's own event too."""
    loop = Loop([("a", {"secret": 1}), ("b", {})], [("a", {"secret": 2})], [("a", {"secret": 3})])
    loop.run()
    (event,) = loop.events(GuardrailTripped)
    assert (event.reason, event.iterations, event.tools) == (REPETITION, 3, (("a", "b"), ("a",), ("a",)))
    assert event.turn is loop.turn
    assert loop.recorder.names.index("guardrail.tripped") < loop.recorder.names.index("loop.stopped")
    assert loop.events(LoopStopped)[0].stop.reason == REPETITION


def test_the_third_request_in_a_row_for_a_tool_is_not_carried_out() -> None:
    """Other input does not matter; the second result says what a third request would do."""
    loop = Loop(*[[("a", {"n": n})] for n in range(5)])
    result = loop.run()
    assert (result.stop_reason, result.degraded) == (REPETITION, True)
    assert loop.ran == ["a", "a"]
    assert len(loop.results(1)[0]) == 1
    assert "[Aviso]" in loop.results(2)[0][1]


def test_only_the_result_of_the_repeated_tool_is_marked() -> None:
    """With other tools beside it the note stands in the result it is about."""
    loop = Loop([("a", {"n": 1})], [("b", {}), ("a", {"n": 2}), ("c", {})])
    loop.run()
    assert [len(texts) for texts in loop.results(2)] == [1, 2, 1]


def test_a_failed_tool_carries_the_note_too() -> None:
    """The model is told whatever became of the tool: an exception, an unknown name, invalid input."""

    def fail(value: Any, context: Any) -> str:
        raise ToolError("did not work")

    schema = {"type": "object", "required": ["x"]}
    broken = [tool("fails", fail), tool("picky", input_schema=schema)]
    for name in ("fails", "picky", "unknown"):
        loop = Loop([(name, {})], [(name, {})], tools=broken)
        loop.run()
        assert len(loop.results(2)[0]) == 2, name
        assert "[Aviso]" in loop.results(2)[0][1]


def test_parallel_requests_count_once() -> None:
    """Five requests for one tool in one iteration are one iteration of it."""
    five: list[Asked] = [("a", {"n": n}) for n in range(5)]
    loop = Loop(five, [("b", {})])
    assert loop.run().stop_reason == "end_turn"
    assert len(loop.ran) == 6


def test_a_tool_in_between_starts_the_count_again() -> None:
    """An iteration without the tool ends the row."""
    steps: list[list[Asked]] = [[("a", {"n": 1})], [("a", {"n": 2})], [("b", {})], [("a", {"n": 3})], [("a", {"n": 4})]]
    assert Loop(*steps).run().stop_reason == "end_turn"


def test_a_repeatable_tool_counts_only_with_the_same_input() -> None:
    """Paging and searching on are normal; asking the very same thing again is not, however the input is written."""
    pages = [[("search", {"page": n})] for n in range(9)]
    assert Loop(*pages).run().stop_reason == "end_turn"
    same: list[dict[str, Any]] = [{"q": "x", "page": 1}, {"page": 1.0, "q": "x"}, {"q": "x", "page": 1}]
    loop = Loop(*[[("search", value)] for value in same])
    assert loop.run().stop_reason == REPETITION
    assert loop.ran == ["search", "search"]


def test_match_call_treats_every_tool_as_repeatable() -> None:
    """GUARDRAILS_REPETITION_MATCH=call: the same tool with other input is never repetition."""
    steps = [[("a", {"n": n})] for n in range(9)]
    assert Loop(*steps, GUARDRAILS_REPETITION_MATCH="call").run().stop_reason == "end_turn"
    again = [[("a", {"n": 1})] for _ in range(9)]
    assert Loop(*again, GUARDRAILS_REPETITION_MATCH="call").run().stop_reason == REPETITION


def test_the_repetition_limit_can_be_changed_and_switched_off() -> None:
    """5 means the fifth in a row is stopped; 0 means never."""
    steps = [[("a", {"n": n})] for n in range(20)]
    loop = Loop(*steps, GUARDRAILS_REPETITION_LIMIT=5)
    loop.run()
    assert len(loop.ran) == 4
    assert Loop(*steps, GUARDRAILS_REPETITION_LIMIT=0).run().stop_reason == "end_turn"


@pytest.mark.parametrize("pattern", ["ab", "abc", "abcd", "aab"])
def test_a_cycle_is_stopped_when_it_closes_the_second_time(pattern: str) -> None:
    """A-B-A-B with the same inputs: the last request is not carried out, and was announced one iteration before."""
    steps = [[(name, {"q": 1})] for name in pattern * 3]
    loop = Loop(*steps, GUARDRAILS_REPETITION_LIMIT=0)
    assert loop.run().stop_reason == CYCLE
    assert len(loop.ran) == 2 * len(pattern) - 1
    assert "[Aviso]" in loop.results(2 * len(pattern) - 1)[0][1]


def test_the_same_tools_in_turn_with_other_inputs_are_no_cycle() -> None:
    """A-B-A-B over several documents is work."""
    steps = [[("ab"[n % 2], {"n": n})] for n in range(12)]
    assert Loop(*steps).run().stop_reason == "end_turn"


def test_the_token_budget_stops_with_the_same_ending() -> None:
    """Each call costs 15 tokens: with a budget of 70 the fifth iteration is not run, and only the fourth is told."""
    loop = Loop(*varied(9), GUARDRAILS_TOKEN_BUDGET=70)
    result = loop.run()
    assert (result.stop_reason, result.degraded, len(loop.ran)) == (BUDGET, True, 4)
    assert [len(loop.results(number)[0]) for number in (1, 2, 3, 4)] == [1, 1, 1, 2]
    assert Loop(*varied(9)).run().stop_reason == "end_turn", "off by default"


def test_the_ending_is_the_same_in_a_stream() -> None:
    """The closing text is streamed, and the deltas together are the reply."""
    said: list[str] = []
    loop = Loop(*[[("a", {})]] * 3)
    loop.transport.steps[3:] = [says("from what I have")]
    result = loop.run(sink=lambda name, data: said.append(data["text"]) if name == "delta" else None)
    assert "".join(said) == result.reply == "from what I have"


@pytest.mark.parametrize("closing", [asks(("a", {})), asks(("a", {}), text="I look again"), says(" "), "error"])
def test_what_is_left_is_a_valid_conversation(closing: ModelReply | str) -> None:
    """However the closing request ends, the turn's messages and a new question are what Bedrock accepts."""
    loop = Loop(*[[("a", {})]] * 3)
    failed = ModelServerError("", kind="500")
    loop.transport.steps[3:] = [failed if isinstance(closing, str) else numbered(closing, 9)]
    result = loop.run()
    assert result.reply.endswith(loop.runtime.current.settings.TEXT_CUT_SHORT)
    assert (result.stop_reason, result.degraded) == (REPETITION, True)
    messages = [{name: part for name, part in m.items() if name[0] != "_"} for m in loop.turn.messages]
    later = {"role": "user", "content": [{"text": "and now?"}]}
    assert check_conversation({**loop.transport.requests[-1], "messages": [*messages, later]}) == []


def test_off_is_off() -> None:
    """Without the switch nothing is counted, stopped or told."""
    loop = Loop(*[[("a", {})]] * 30, GUARDRAILS_ENABLED=False)
    result = loop.run()
    assert (result.stop_reason, len(loop.ran)) == ("end_turn", 30)
    assert "[Aviso]" not in str(loop.transport.requests[-1])


def test_a_turn_remembers_nothing_of_another() -> None:
    """The history is the turn's own: two turns of two iterations each are not four in a row."""
    loop = Loop()
    loop.transport.steps[:] = [asks(("a", {})), asks(("a", {})), says("one"), asks(("a", {})), says("two")]
    assert [loop.run().reply for _ in range(2)] == ["one", "two"]


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "blamed"),
    [
        ({"MAX_LOOPS_SOFT": 26}, "MAX_LOOPS_SOFT"),
        ({"MAX_LOOPS_HARD": 101}, "MAX_LOOPS_HARD"),
        ({"GUARDRAILS_REPETITION_LIMIT": 1}, "GUARDRAILS_REPETITION_LIMIT"),
        ({"GUARDRAILS_REPETITION_MATCH": "input"}, "GUARDRAILS_REPETITION_MATCH"),
    ],
)
def test_limits_that_make_no_sense_are_refused(values: dict[str, Any], blamed: str) -> None:
    """A mistake is refused with the setting's name."""
    with pytest.raises(InvalidSettings) as refused:
        make_settings(Catalogue.of(hookspecs, guardrails=Guardrails()), GUARDRAILS_ENABLED=True, **values)
    assert [problem.name for problem in refused.value.problems] == [blamed]
