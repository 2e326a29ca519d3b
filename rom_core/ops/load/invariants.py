"""What may never happen to an answer, however heavy the load: each answer is checked for all of it.

A turn may fail, and say so. What it may not do is to present a truncated answer as whole, say a thing twice, run a tool
twice, or leave its client without an end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rom_core.ops.load.plays import Play

TRUNCATED = "truncated answer presented as whole"
DOUBLED = "doubled text"
ALTERED = "altered text"
TOOL_TWICE = "a tool run twice"
NO_END = "missing end"
TWO_ENDS = "more than one end"
KINDS = (TRUNCATED, DOUBLED, ALTERED, TOOL_TWICE, NO_END, TWO_ENDS)

# Stop reasons with which an answer is whole.
WHOLE = frozenset({"end_turn", "stop_sequence"})
# So long a passage does not stand twice in an answer by chance.
_PASSAGE = 200
_PIECE = 40


@dataclass(slots=True)
class Received:
    """What a client received of one turn.

    `text`: all deltas together; `ends`: done and error events, or the one body of an answer that is not streamed;
    `calls` and `results`: ids of the tools as they began and as they ended; `answer`: the object of done; `left`: the
    person went away before the end; `began`: the answer had begun (a status 200).
    """

    streamed: bool
    text: str = ""
    ends: int = 0
    calls: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    answer: Mapping[str, Any] | None = None
    left: bool = False
    began: bool = False


def violations(play: Play, received: Received) -> list[str]:
    """Which of KINDS happened; nothing for a turn that failed and said so."""
    found = []
    if received.began and not received.left and received.ends == 0:
        found.append(NO_END)
    if received.ends > 1:
        found.append(TWO_ENDS)
    if _ran_twice(play, received):
        found.append(TOOL_TWICE)
    answer = received.answer
    if answer is not None and answer.get("stop_reason") in WHOLE:
        reply = str(answer.get("reply", ""))
        found += _of_text(reply, play.expected)
        if received.streamed and received.text != reply:
            found += _of_text(received.text, reply)
    return list(dict.fromkeys(found))


def _ran_twice(play: Play, received: Received) -> bool:
    listed = [str(call.get("id")) for call in (received.answer or {}).get("tool_calls", [])]
    most = max([0, *(Counter(ids).most_common(1)[0][1] for ids in (received.calls, received.results, listed) if ids)])
    known = play.tool_calls is not None
    return most > 1 or (known and max(len(received.calls), len(listed)) > (play.tool_calls or 0))


def _of_text(text: str, expected: str | None) -> list[str]:
    if expected is None:
        if not text.strip():
            return [TRUNCATED]
        return [DOUBLED] if _repeats(text) else []
    if text == expected:
        return []
    if len(text) < len(expected) and expected.startswith(text):
        return [TRUNCATED]
    if len(text) > len(expected) and _says_again(text, expected):
        return [DOUBLED]
    return [ALTERED]


def _repeats(text: str) -> bool:
    """Whether the answer begins anew within itself."""
    return len(text) >= 2 * _PASSAGE and text[:_PASSAGE] in text[_PASSAGE:]


def _says_again(text: str, expected: str) -> bool:
    """Whether some passage of what was expected stands in it more often than there."""
    starts = range(0, max(1, len(expected) - _PIECE), _PIECE)
    return any(
        text.count(piece) > expected.count(piece) for piece in (expected[start : start + _PIECE] for start in starts)
    )
