"""Whether the service is well: the one judgement that people, capacity and alerts go by.

Pure: what was measured goes in (`Signs`), reasons come out, the gravest first. `rom_core.telemetry.health_watch`
measures, remembers and tells.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rom_core.gate.verdict import DOUBT, P95_SHARE, chance_of
from rom_core.telemetry.capacity import FEWEST_FAILED, Level, Reading

State = Literal["well", "degraded", "down"]
STATES: tuple[State, ...] = ("well", "degraded", "down")
REASONS = (
    "bedrock_off",
    "failed_turns",
    "refused_turns",
    "store",
    "memory",
    "throttling",
    "circuit",
    "failed_requests",
    "slow_turns",
    "draining",
)
"""Every reason there is, by what a person looks at first."""
FIGURE_OF: Mapping[str, str] = {
    "bedrock_off": "bedrock",
    "failed_turns": "errors",
    "refused_turns": "refused",
    "store": "store",
    "memory": "memory",
    "throttling": "throttling",
    "circuit": "circuits",
    "failed_requests": "requests",
    "slow_turns": "latency",
    "draining": "draining",
}
"""Which figure of a console each reason makes red."""
DOWN_ONE_IN = 2
"""From this share of failed turns on most people get no answer."""
SURE_IN_A_ROW = 5
"""So many failed turns without a good one in between, or good ones without a failed one, are surely more than a half.

By the statistics of the gate.
"""
REFUSED_ONE_IN = 20
"""From this share of refused turns on it is worth a look."""
SLOW_SECONDS = 45.0
"""Where the owner's trigger for the latency stands (`RomUpgradeLatency`)."""

_PAGE = "docs/operate.md"
_SLOW_BURN_SHARE, _SLOW_BURN_FAILED = 0.01, 3
_REQUESTS_ONE_IN = 5
_REQUESTS_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Span:
    """What ended within a span of time: turns by how, with the codes of the failed and the refused, and requests.

    `attempts` are requests to models, of which `failed_attempts` failed and `throttled` were answered 429.
    """

    ok: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0
    failed_attempts: int = 0
    throttled: int = 0

    @property
    def failures(self) -> int:
        """Turns that failed."""
        return sum(self.failed.values())

    @property
    def turns(self) -> int:
        """Turns that ended well or failed; whoever left, asked wrongly or was refused is in neither."""
        return self.ok + self.failures

    @property
    def refusals(self) -> int:
        """Turns that we refused ourselves."""
        return sum(self.refused.values())


@dataclass(frozen=True, slots=True)
class Signs:
    """What was measured. `buckets` is the histogram of good turns of five minutes, as Prometheus has it.

    `circuits` are the models without requests at this moment, by "open", or "forced" if an administrator holds it so.
    `store` says what is wrong with it, "" if nothing is; `drained` who has drained it and why, "" if nobody has.
    `waiting` turns wait for a slot. `row`: so many turns in a row went well until now, or failed if it is negative.
    """

    minute: Span = Span()
    five: Span = Span()
    buckets: Mapping[float, float] = field(default_factory=dict)
    p95_seconds: float | None = None
    memory_ratio: float | None = None
    circuits: Mapping[str, str] = field(default_factory=dict)
    bedrock_enabled: bool = True
    draining: bool = False
    drained: str = ""
    store: str = ""
    waiting: int = 0
    row: int = 0

    @property
    def recent(self) -> tuple[Span, str]:
        """The span by which failed turns are judged, and its name.

        The last minute. One in which no turn ended says nothing: if the turns before it failed, it is the last five.
        """
        return (self.five, "5 minutes") if not self.minute.turns and self.row < 0 else (self.minute, "minute")

    @property
    def reading(self) -> Reading:
        """What capacity goes by."""
        five, (recent, _) = self.five, self.recent
        throttled = five.throttled / five.attempts if five.attempts else None
        return Reading(
            self.memory_ratio, throttled, five.attempts, self.p95_seconds, failed=recent.failures, turns=recent.turns
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why it is not well. `name` is one of REASONS; `act`: a person has to do something; `page` says what."""

    name: str
    state: State
    text: str
    act: bool = True

    @property
    def page(self) -> str:
        """File and heading in the documentation."""
        return f"{_PAGE}#{self.name.replace('_', '-')}"


def judge(signs: Signs) -> list[Reason]:
    """Every reason why it is not well, the gravest first; empty if it is."""
    found = [reason for reason in _reasons(signs) if reason is not None]
    return ordered(found)


def ordered(reasons: Sequence[Reason]) -> list[Reason]:
    """The gravest first, then as in REASONS."""
    return sorted(reasons, key=lambda reason: (-STATES.index(reason.state), REASONS.index(reason.name)))


def levels(reasons: Iterable[tuple[str, str]]) -> dict[str, Level]:
    """How each figure of a console stands by these reasons, each a name and a state."""
    found: dict[str, Level] = dict.fromkeys(FIGURE_OF.values(), "normal")
    for name, state in reasons:
        if name in FIGURE_OF:
            found[FIGURE_OF[name]] = "critical" if state == "down" else "alert"
    return found


def worst(reasons: Sequence[Reason]) -> State:
    """The state to which these reasons come."""
    return max((reason.state for reason in reasons), key=STATES.index, default="well")


def _reasons(signs: Signs) -> Iterator[Reason | None]:
    yield _bedrock_off(signs)
    yield _failed_turns(signs)
    yield _refused_turns(signs)
    yield Reason("store", "degraded", f"the store: {signs.store}") if signs.store else None
    yield _memory(signs.reading)
    yield _throttling(signs)
    yield _circuit(signs.circuits)
    yield _failed_requests(signs.minute)
    yield _slow_turns(signs)
    yield _draining(signs)


def _bedrock_off(signs: Signs) -> Reason | None:
    if signs.bedrock_enabled:
        return None
    return Reason("bedrock_off", "down", "Bedrock is switched off (BEDROCK_ENABLED): every chat is refused")


def _failed_turns(signs: Signs) -> Reason | None:
    """As capacity does; beyond that more than 1 % of five minutes, three at least, unless the last minute is clean."""
    recent, name = signs.recent
    if signs.reading.failures != "normal":
        text, failed, well = _failed_text(recent, name), min(-signs.row, recent.failures), signs.row
        if failed >= SURE_IN_A_ROW:
            since = f", the last {failed} in a row" if failed < recent.turns else ""
            return Reason("failed_turns", "down", f"{text}{since}")
        if recent.failures * DOWN_ONE_IN < recent.turns:
            return Reason("failed_turns", "degraded", text)
        if well >= SURE_IN_A_ROW:
            return Reason("failed_turns", "degraded", f"{text}, the last {well} went well")
        return Reason("failed_turns", "down", text)
    five = signs.five
    if recent.failures and five.failures >= _SLOW_BURN_FAILED and five.failures > _SLOW_BURN_SHARE * five.turns:
        return Reason("failed_turns", "degraded", _failed_text(five, "5 minutes"))
    return None


def _failed_text(span: Span, name: str) -> str:
    return f"{span.failures} of {span.turns} turns of the last {name} failed ({_codes(span.failed)})"


def _refused_turns(signs: Signs) -> Reason | None:
    """Refusing some is what the limiter is for; refusing a twentieth is worth a look, as at the gate."""
    span = signs.minute
    asked = span.turns + span.refusals
    if span.refusals < FEWEST_FAILED or span.refusals * REFUSED_ONE_IN < asked:
        return None
    state: State = "degraded" if span.ok else "down"
    waiting = f", {signs.waiting} wait" if signs.waiting else ""
    text = f"{span.refusals} of {asked} turns of the last minute were refused ({_codes(span.refused)}){waiting}"
    return Reason("refused_turns", state, text)


def _memory(reading: Reading) -> Reason | None:
    if reading.memory == "normal" or reading.memory_ratio is None:
        return None
    return Reason("memory", "degraded", f"{_percent(reading.memory_ratio)} of the memory limit is used")


def _throttling(signs: Signs) -> Reason | None:
    reading = signs.reading
    if reading.throttling == "normal" or reading.throttled_ratio is None:
        return None
    share = _percent(reading.throttled_ratio)
    return Reason("throttling", "degraded", f"Bedrock throttled {share} of {reading.attempts} requests of 5 minutes")


def _circuit(circuits: Mapping[str, str]) -> Reason | None:
    if not circuits:
        return None
    names = ", ".join(f"{model} (forced)" if why == "forced" else model for model, why in sorted(circuits.items()))
    what = "get no requests, the circuits are open" if len(circuits) > 1 else "gets no requests, the circuit is open"
    text = f"{names} {what}"
    return Reason("circuit", "degraded", text, act=any(why != "forced" for why in circuits.values()))


def _failed_requests(span: Span) -> Reason | None:
    """A fifth of them, and surely more than a twentieth, which retries hide from people at no price worth a word."""
    failed, attempts = span.failed_attempts, span.attempts
    if failed < FEWEST_FAILED or failed * _REQUESTS_ONE_IN < attempts:
        return None
    if chance_of(failed, attempts, _REQUESTS_SHARE) >= DOUBT:
        return None
    text = f"{failed} of {attempts} requests to models of the last minute failed"
    return Reason("failed_requests", "degraded", text, act=False)


def _slow_turns(signs: Signs) -> Reason | None:
    """More than one good turn in twenty surely takes longer, by the statistics of the gate."""
    total = round(signs.buckets.get(math.inf, 0.0))
    beyond = total - round(signs.buckets.get(SLOW_SECONDS, total))
    if not beyond or chance_of(beyond, total, P95_SHARE) >= DOUBT:
        return None
    return Reason("slow_turns", "degraded", f"{beyond} of {total} turns of 5 minutes took over {SLOW_SECONDS:g} s")


def _draining(signs: Signs) -> Reason | None:
    if signs.draining:
        return Reason("draining", "degraded", "it is shutting down and takes no new turns", act=False)
    if signs.drained:
        return Reason("draining", "degraded", f"it is drained and takes no new turns ({signs.drained})", act=False)
    return None


def _codes(counts: Mapping[str, int]) -> str:
    ranked = Counter(counts).most_common(3)
    return ", ".join(code if len(counts) == 1 else f"{code} {count}" for code, count in ranked)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %"
