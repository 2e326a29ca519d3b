"""How the canary's turns went lately, within the window under way: what happened long ago must not hide an outage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rom_core.telemetry.capacity import Reading

SECONDS = 60.0
_APART_SECONDS = 10.0


class Recent:
    """The counts of the window at its last looks, about a minute back. Not for several threads at once."""

    def __init__(self, looks: Iterable[Sequence[float]] = ()) -> None:
        """`looks` is what `as_list` gave. Raises TypeError or ValueError for anything else."""
        self._looks = [(float(at), round(ok), round(failed)) for at, ok, failed in looks]

    def add(self, at: float, turns: Mapping[str, float]) -> None:
        """A look at the whole window: `at` in seconds since the epoch, its turns by status."""
        looks = self._looks
        if len(looks) > 1 and looks[-1][0] - looks[-2][0] < _APART_SECONDS:
            looks.pop()
        looks.append((at, round(turns.get("ok", 0.0)), round(turns.get("error", 0.0))))
        # The newest one that is a minute old stays: from it on is counted.
        while len(looks) > 1 and at - looks[1][0] >= SECONDS:
            looks.pop(0)

    def failing(self) -> str:
        """How many turns failed, of the window or lately, if they are as many as make capacity `alert`; else ""."""
        if not self._looks:
            return ""
        (began, *first), (ended, *last) = self._looks[0], self._looks[-1]
        lately = [now - before for now, before in zip(last, first, strict=True)]
        spans = (("of the window", last), (f"of the last {ended - began:.0f} s", lately))
        for name, (ok, failed) in spans:
            if Reading(failed=failed, turns=ok + failed).failures != "normal":
                return f"{failed} of {ok + failed} of its turns {name} failed"
        return ""

    def as_list(self) -> list[list[float]]:
        """As JSON."""
        return [list(look) for look in self._looks]
