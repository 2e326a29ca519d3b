"""What plugins answer, checked where it is taken: a wrong one is told by its hook's name, not by what breaks later."""

from __future__ import annotations

from typing import Any, TypeVar

from rom_core.turn_values import ModelReply, Usage

T = TypeVar("T")
_ANY_USE = {"toolUseId": "", "name": "", "input": {}}


def answer_of(hook: str, answer: Any, kind: type[T]) -> T:
    """What the hook gave. Raises TypeError for anything but a `kind`, as a wrapper gives that forgets to return."""
    if not isinstance(answer, kind):
        raise TypeError(
            f"{hook} gave {type(answer).__name__}; it must return a {kind.__name__}, and a wrapper what it was given"
        )
    return answer


def reply_of(hook: str, answer: Any) -> ModelReply:
    """The reply that the hook gave. Raises TypeError for anything else, also for one that is not whole."""
    reply = answer_of(hook, answer, ModelReply)
    if lack := _lack(reply):
        raise TypeError(f"{hook} gave half a ModelReply: {lack}")
    return reply


def _lack(reply: ModelReply) -> str:
    """What a reply lacks to be one, "" if nothing."""
    if not isinstance(reply.stop_reason, str) or not reply.stop_reason:
        return "no stop_reason"
    if not isinstance(reply.model, str) or not (reply.usage is None or isinstance(reply.usage, Usage)):
        return "model or usage is of the wrong type"
    if not isinstance(reply.content, tuple):
        return "content is no tuple"
    for block in reply.content:
        if not isinstance(block, dict) or not block:
            return "a block of content is no object"
        use = block.get("toolUse", _ANY_USE)
        kinds = isinstance(block.get("text", ""), str), isinstance(block.get("citationsContent", {}), dict)
        if not all(kinds) or not isinstance(use, dict):
            return "a block of content is of the wrong type"
        if not all(isinstance(use.get(name), str) for name in ("toolUseId", "name")) or "input" not in use:
            return "a toolUse without toolUseId, name or input"
    return ""


def opinion_of(hook: str, answer: Any, kind: type[T]) -> T | None:
    """What the hook gave, None if no plugin had an opinion. Raises TypeError for anything else but a `kind`."""
    if answer is not None and not isinstance(answer, kind):
        raise TypeError(f"{hook} gave {type(answer).__name__}; it must return a {kind.__name__} or None")
    return answer
