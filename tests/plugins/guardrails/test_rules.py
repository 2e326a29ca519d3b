"""The rules of the guardrails as pure functions, against the sentences they stand for."""

from __future__ import annotations

import itertools
from typing import Any

from guardrail_support import Loop
from hypothesis import given
from hypothesis import strategies as st
from support import (
    tool,
)

from plugins.guardrails import (
    HARD_LIMIT,
    LoopLimits,
    Use,
    canonical,
    cycle_ahead,
    cycles,
    judge,
    streaks,
)

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


def slow_streaks(history: list[list[Use]], match: str) -> list[int]:
    """`streaks`, written as the sentence reads."""
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
def test_streaks_count_iterations_in_a_row(history: list[list[Use]], match: str) -> None:
    """Against the definition, for tools that are repeatable or not throughout."""
    fixed = [[Use(use.name, use.input, use.name == "b") for use in step] for step in history]
    assert streaks(fixed, match) == slow_streaks(fixed, match)


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
        LoopLimits,
        st.integers(1, 14),
        st.sampled_from([0, 2, 3]),
        st.sampled_from(["name", "call"]),
        st.sampled_from([0, 50, 100]),
    ),
    st.integers(0, 120),
)
def test_no_stop_comes_unannounced(history: list[list[Use]], limits: LoopLimits, spent: int) -> None:
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
