"""Guardrails: which loops are stopped, when the model and people are warned, and what is left behind."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    Recorder,
    Toolkit,
    asks,
    make_runtime,
    make_settings,
    make_turn,
    says,
    tool,
)

from plugins.guardrails import (
    BUDGET,
    CYCLE,
    HARD_LIMIT,
    REPETITION,
    Guardrails,
    Limits,
    Use,
    canonical,
    cycle_ahead,
    cycles,
    judge,
    runs,
)
from rom_core.bedrock.local.rules import check_conversation
from rom_core.catalogue import Catalogue
from rom_core.config import InvalidSettings
from rom_core.errors import DeadlineExceeded, ModelServerError, TurnCancelled
from rom_core.events import GuardrailTripped, GuardrailWarned, LoopStopped
from rom_core.runtime import Runtime
from rom_core.tools import Tool, ToolError
from rom_core.turn import Attempt, ModelReply, TurnResult

Asked = tuple[str, dict[str, Any]]


def numbered(reply: ModelReply, number: int) -> ModelReply:
    """The reply with toolUseIds that no other reply of the turn has."""
    blocks: list[dict[str, Any]] = []
    for block in reply.content:
        use = block.get("toolUse")
        blocks.append({"toolUse": use | {"toolUseId": f"{number}-{use['toolUseId']}"}} if use else block)
    return dataclasses.replace(reply, content=tuple(blocks))


class Loop:
    """Runs one turn whose model asks for `steps`, one tuple of tool uses an iteration, and answers when told to close.

    After the last step the model gives its answer by itself.
    """

    def __init__(self, *steps: Sequence[Asked], tools: Sequence[Tool] = (), clock: Any = None, **settings: Any) -> None:
        self.recorder = Recorder()
        self.ran: list[str] = []
        kit = Toolkit(*tools, *(self._tool(name) for name in "abcd"), self._tool("search", repeatable=True))
        replies = [numbered(asks(*step), number) for number, step in enumerate(steps)]
        self.runtime, self.transport = make_runtime(
            *(replies or [asks(("a", {}))]),
            says("the answer"),
            plugins={"guardrails": Guardrails(), "kit": kit, "recorder": self.recorder},
            clock=clock,
            **settings,
        )

    def run(self, **request: Any) -> TurnResult:
        """Run the turn."""
        self.turn = make_turn(self.runtime, **request)
        return self.runtime.run(self.turn)

    def results(self, request: int) -> list[list[str]]:
        """The texts of the tool results in the last message of the n-th request on the wire (from 0)."""
        content = self.transport.requests[request]["messages"][-1]["content"]
        return [[part.get("text", "") for part in block["toolResult"]["content"]] for block in content]

    def events(self, kind: type) -> list[Any]:
        """The events of this type."""
        return [event for event in self.recorder.events if isinstance(event, kind)]

    def _tool(self, name: str, **options: Any) -> Tool:
        def run(value: Any, context: Any) -> str:
            self.ran.append(name)
            return f"{name} ran"

        return tool(name, run, **options)


def varied(count: int) -> list[list[Asked]]:
    """So many iterations in which nothing repeats."""
    return [[("abcd"[n % 4], {"n": n})] for n in range(count)]


# -- the loop as a whole ---------------------------------------------------------------------------------------------


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


# -- the closing request and the deadline ----------------------------------------------------------------------------


def test_with_no_time_left_there_is_no_closing_request() -> None:
    """A closing request that could not end before the deadline is not made; the person reads the configured text."""
    loop = Loop(*[[("a", {})]] * 3)
    clock: Any = loop.runtime.clock

    def last(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        clock.advance(118.5)
        return asks(("a", {}))

    loop.transport.steps[2] = last
    result = loop.run()
    assert (result.reply, result.stop_reason) == (loop.runtime.current.settings.TEXT_CUT_SHORT, REPETITION)
    assert len(loop.transport.requests) == 3


def closing_with(step: Callable[[Attempt], Any]) -> tuple[Loop, Callable[[], TurnResult]]:
    """A loop whose closing request is played by `step`."""
    loop = Loop(*[[("a", {})]] * 3)
    loop.transport.steps[3:] = [lambda attempt, request: step(attempt)]
    return loop, loop.run


def test_a_closing_request_has_less_time_than_the_turn() -> None:
    """It ends early enough for our own text to be handed over, and running into that end is not an error."""
    left: list[float] = []

    def step(attempt: Attempt) -> ModelReply:
        call = attempt.call
        left.append(attempt.turn.deadline.remaining() - call.deadline.remaining())
        loop.runtime.clock.advance(call.deadline.remaining())  # type: ignore[attr-defined]
        call.check()
        raise AssertionError("not reached")

    loop, run = closing_with(step)
    assert run().reply == loop.runtime.current.settings.TEXT_CUT_SHORT
    assert left == [pytest.approx(1.0)]
    assert loop.turn.deadline.remaining() > 0


def test_a_turn_that_ends_during_the_closing_request_ends_as_what_it_is() -> None:
    """A client that leaves, or the turn's own deadline, is not covered up by the closing text."""

    def leave(attempt: Attempt) -> ModelReply:
        attempt.turn.cancel.cancel("client_gone")
        attempt.call.check()
        raise AssertionError("not reached")

    def expire(attempt: Attempt) -> ModelReply:
        loop.runtime.clock.advance(500)  # type: ignore[attr-defined]
        attempt.call.check()
        raise AssertionError("not reached")

    loop, run = closing_with(leave)
    with pytest.raises(TurnCancelled):
        run()
    loop, run = closing_with(expire)
    with pytest.raises(DeadlineExceeded):
        run()


def test_the_kill_switch_during_the_closing_request_still_gives_an_answer() -> None:
    """No request goes out, and the person reads the configured text with status 200."""
    loop = Loop(*[[("a", {})]] * 3)
    runtime: Runtime = loop.runtime

    def off(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        settings = make_settings(runtime.catalogue, BEDROCK_ENABLED=False)
        runtime.current = dataclasses.replace(runtime.current, settings=settings)
        return asks(("a", {}))

    loop.transport.steps[2] = off
    assert loop.run().reply == runtime.current.settings.TEXT_CUT_SHORT
    assert len(loop.transport.requests) == 3


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
        make_settings(Catalogue.of(guardrails=Guardrails()), GUARDRAILS_ENABLED=True, **values)
    assert [problem.name for problem in refused.value.problems] == [blamed]


# -- the rules, as pure functions ------------------------------------------------------------------------------------

USES = st.builds(Use, st.sampled_from("ab"), st.sampled_from(["1", "2"]), st.booleans())
HISTORIES = st.lists(st.lists(USES, min_size=1, max_size=3), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_canonical_does_not_depend_on_how_a_value_is_written(value: Any) -> None:
    """The order of keys and 1 against 1.0 make no difference; equal JSON has equal text."""

    def rewritten(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: rewritten(part[key]) for key in reversed(part)}
        if isinstance(part, list):
            return [rewritten(item) for item in part]
        if isinstance(part, int) and not isinstance(part, bool) and float(part) == part and abs(part) < 2**53:
            return float(part)
        return part

    assert canonical(rewritten(value)) == canonical(value)


@given(VALUES, VALUES)
def test_canonical_tells_different_values_apart(one: Any, other: Any) -> None:
    """Equal text only for equal values (True is not 1 in JSON)."""
    if canonical(one) == canonical(other):
        assert one == other


def test_canonical_never_fails() -> None:
    """What cannot be written as JSON counts as the same."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert canonical(deep) == canonical(deep) == "<RecursionError>"
    assert canonical(object()) == "<TypeError>"


def slow_runs(history: list[list[Use]], match: str) -> list[int]:
    """`runs`, written as the sentence reads."""
    lengths = []
    for use in history[-1] if history else []:
        length = 0
        for step in reversed(history):
            by_input = match == "call" or use.repeatable
            same = [other for other in step if other.name == use.name]
            if by_input:
                same = [other for other in same if other.input == use.input]
            if not same:
                break
            length += 1
        lengths.append(length)
    return lengths


@given(HISTORIES, st.sampled_from(["name", "call"]))
def test_runs_counts_iterations_in_a_row(history: list[list[Use]], match: str) -> None:
    """Against the definition, for tools that are repeatable or not throughout."""
    fixed = [[Use(use.name, use.input, use.name == "b") for use in step] for step in history]
    assert runs(fixed, match) == slow_runs(fixed, match)


def slow_cycles(history: list[list[Use]]) -> bool:
    """`cycles`, by trying every way to cut the history."""
    steps = [{(use.name, use.input) for use in step} for step in history]
    for start in range(len(steps)):
        tail = steps[start:]
        half = len(tail) // 2
        if len(tail) % 2 == 0 and half >= 2 and tail[:half] == tail[half:] and any(s != tail[0] for s in tail):
            return True
    return False


@given(HISTORIES)
def test_cycles_are_two_equal_rounds_at_the_end(history: list[list[Use]]) -> None:
    """Against the definition."""
    assert cycles(history) == slow_cycles(history)


ALL_STEPS = [
    [Use(name, value) for name, value in chosen]
    for size in (1, 2, 3, 4)
    for chosen in itertools.combinations(itertools.product("ab", "12"), size)
]


@given(HISTORIES)
def test_a_cycle_ahead_is_one_that_some_next_iteration_would_close(history: list[list[Use]]) -> None:
    """Exactly then, and so no cycle comes unannounced."""
    assert cycle_ahead(history) == any(cycles([*history, step]) for step in ALL_STEPS)


@given(
    HISTORIES.filter(len),
    st.builds(
        Limits,
        st.integers(1, 14),
        st.sampled_from([0, 2, 3]),
        st.sampled_from(["name", "call"]),
        st.sampled_from([0, 50, 100]),
    ),
    st.integers(0, 120),
)
def test_no_stop_comes_unannounced(history: list[list[Use]], limits: Limits, spent: int) -> None:
    """If the last iteration is stopped, then the one before it was stopped or carried a note; first ones excepted.

    For the budget that holds if the last iteration cost no more than the one before, here 10 tokens.
    """
    now = judge(history, limits, spent, 10)
    assert not (now.stop and now.notes)
    assert all(0 <= index < len(history[-1]) for index in now.notes)
    if now.stop and len(history) > 1:
        before = judge(history[:-1], limits, spent - 10, 10)
        assert before.stop or before.notes
    if len(history) >= limits.hard:
        assert now.stop == HARD_LIMIT


def test_a_note_leaves_the_result_of_the_tool_alone() -> None:
    """A note changes the message it stands in and not the tool's own result object."""
    from rom_core.tools import ToolResult

    kept = ToolResult(({"text": "kept"},))
    loop = Loop([("fixed", {})], [("fixed", {})], tools=[tool("fixed", lambda value, context: kept)])
    loop.run()
    assert kept.content == ({"text": "kept"},)
    assert len(loop.results(2)[0]) == 2
