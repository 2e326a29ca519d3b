"""What plugins answer, checked where it is taken: a wrong one is told by its hook's name, not by what breaks later."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")


def answer_of(hook: str, answer: Any, kind: type[T]) -> T:
    """What the hook gave. Raises TypeError for anything but a `kind`, as a wrapper gives that forgets to return."""
    if not isinstance(answer, kind):
        raise TypeError(
            f"{hook} gave {type(answer).__name__}; it must return a {kind.__name__}, and a wrapper what it was given"
        )
    return answer


def opinion_of(hook: str, answer: Any, kind: type[T]) -> T | None:
    """What the hook gave, None if no plugin had an opinion. Raises TypeError for anything else but a `kind`."""
    if answer is not None and not isinstance(answer, kind):
        raise TypeError(f"{hook} gave {type(answer).__name__}; it must return a {kind.__name__} or None")
    return answer
