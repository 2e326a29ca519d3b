"""What one person alone may not change at run time: it waits for another, or takes a name and a reason.

A `sensitive` setting decides where data or credentials go, or which model answers by which instructions. A new value
waits among the overrides, under `pending`, until a second named person approves it: it is kept and audited like any
other change. Clearing such an override, and going back to values that were in force before, waits for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rom_core.errors import Forbidden, InvalidRequest, NotFound
from rom_core.flags.proposals import KILL_SWITCH, Author, InForce, Proposal, Target, check_edits
from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import InvalidSettings, Problem, Settings, parse_api_keys, thaw
from rom_core.store.overrides import CANARY, PENDING, State

APPROVAL_SECONDS = 3600.0
MAX_NAMELESS_PERCENT = 50
_MAX_PENDING = 20
NEEDS_NAME = "this takes a named person: write ADMIN_TOKEN as name=token pairs"


class NeedsApproval(Exception):
    """A change sets sensitive settings, `names`, and nobody but its author has seen it."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits. `edits` are JSON values as a request gives them, `at` is in seconds since the epoch."""

    id: str
    edits: Mapping[str, Any]
    names: tuple[str, ...]
    by: str
    why: str
    at: float

    @property
    def expires_at(self) -> float:
        """Until when it can be approved."""
        return self.at + APPROVAL_SECONDS


def pending_of(state: State, now: float) -> tuple[Pending, ...]:
    """What waits at this moment, oldest first; what has waited for more than an hour does not count any more."""
    kept = state.values.get(PENDING)
    found = []
    for id_, value in (kept if isinstance(kept, Mapping) else {}).items():
        try:
            pending = Pending(
                id_, dict(value["edits"]), tuple(value["names"]), value["by"], value["why"], float(value["at"])
            )
        except (KeyError, TypeError, ValueError):
            continue
        if now < pending.expires_at:
            found.append(pending)
    return tuple(sorted(found, key=lambda pending: pending.at))


def summary(values: Any) -> str | None:
    """What stands under `pending`, in one line without values, for events and answers."""
    if not isinstance(values, Mapping):
        return None
    return ", ".join(f"{id_}: {', '.join(value['names'])} by {value['by']}" for id_, value in values.items())


def sensitive_flags(flags: Mapping[str, Any], settings: Settings) -> list[str]:
    """Those of `flags` that are sensitive and would say something else than `settings`."""
    return [
        name
        for name, value in flags.items()
        if (setting := settings.declared.get(name)) is not None
        and setting.sensitive
        and thaw(value) != thaw(getattr(settings, name))
    ]


def check(before: InForce, state: State, target: Target, after: Snapshot, author: Author) -> None:
    """Whether one person may do this. Raises NeedsApproval, Forbidden or InvalidRequest.

    What a canary in force says already has been approved with it.
    """
    known = state.values.get(CANARY)
    running: Mapping[str, Any] = known.get("flags", {}) if isinstance(known, Mapping) else {}
    settings = before.snapshot.settings

    def new(values: Mapping[str, Any]) -> list[str]:
        changed = {name: value for name, value in values.items() if name not in running or running[name] != thaw(value)}
        return sensitive_flags(changed, settings)

    set_ = {name: value for name, value in target.values.items() if state.values.get(name) != value}
    block = set_.get(CANARY)
    names = new(set_) + [
        f"{CANARY}.{name}" for name in new(block.get("flags", {}) if isinstance(block, Mapping) else {})
    ]
    if names:
        raise NeedsApproval(names)
    _check_share(before.snapshot, after, author)


def _check_share(before: Snapshot, after: Snapshot, author: Author) -> None:
    canary, old = after.canary, before.canary
    if canary is None or _share(after) <= MAX_NAMELESS_PERCENT:
        return
    if old is not None and old.percent >= canary.percent and old.as_dict() == canary.as_dict():
        return
    if not author.named:
        raise Forbidden(f"a canary above {MAX_NAMELESS_PERCENT} % of the traffic: {NEEDS_NAME}")
    if not author.why:
        detail = f"a canary above {MAX_NAMELESS_PERCENT} % takes a reason, or a rollout (`rom canary start`)"
        raise InvalidRequest(detail, param="reason")


def _share(snapshot: Snapshot) -> float:
    """Percent of the traffic that the canary in force sees, if every API key sends as much as the next."""
    canary = snapshot.canary
    if canary is None:
        return 0.0
    keys = parse_api_keys(snapshot.settings.API_KEYS)
    included = 100 * len(set(canary.as_dict()["include"]) & set(keys)) / len(keys) if keys else 0.0
    return included + (100 - included) * canary.percent / 100


def propose(
    edits: Mapping[str, Any], names: Sequence[str], author: Author, time: Callable[[], float], if_version: int | None
) -> Proposal:
    """Have `edits` wait for a second person. Raises Forbidden without a name, InvalidSettings with the kill switch."""
    if not author.named:
        raise Forbidden(f"{', '.join(names)}: {NEEDS_NAME}")
    if KILL_SWITCH in edits:
        # Whoever switches Bedrock off must not believe that it is off while the rest waits.
        raise InvalidSettings([Problem(KILL_SWITCH, f"change it by itself: {', '.join(names)} waits for approval")])

    def target(state: State, _now: InForce) -> Target:
        waiting = _kept(pending_of(state, time()))
        if len(waiting) >= _MAX_PENDING:
            raise InvalidRequest(f"{_MAX_PENDING} changes wait already; `rom flags clear {PENDING}` drops them")
        entry = {"edits": thaw(edits), "names": list(names), "by": author.by, "why": author.why, "at": time()}
        return Target({**state.values, PENDING: {**waiting, f"p{state.version + 1}": entry}})

    return Proposal(target, author, if_version)


def approve(id_: str, author: Author, time: Callable[[], float], if_version: int | None) -> Proposal:
    """Carry out what waits under `id_`, as another person than its author.

    Raises Forbidden without a name. Its target raises Forbidden for the author, NotFound if nothing waits there.
    """
    if not author.named:
        raise Forbidden(NEEDS_NAME)

    def target(state: State, now: InForce) -> Target:
        waiting = pending_of(state, time())
        pending = next((each for each in waiting if each.id == id_), None)
        if pending is None:
            raise NotFound(f"no change waits under {id_[:40]!r}; it was carried out, dropped, or is over an hour old")
        if pending.by.lower() == author.by.lower():
            raise Forbidden("another person than who asked for it has to approve it")
        good, problems = check_edits(pending.edits, now.snapshot.settings.declared, state.overrides)
        left = _kept(each for each in waiting if each.id != id_)
        values = state.values | good | {PENDING: left or None}
        return Target(
            {name: value for name, value in values.items() if value is not None},
            {problem.name for problem in now.skipped} - set(good),
            problems,
        )

    return Proposal(target, author, if_version, approved=True)


def _kept(waiting: Any) -> dict[str, Any]:
    return {
        each.id: {
            "edits": dict(each.edits),
            "names": list(each.names),
            "by": each.by,
            "why": each.why,
            "at": each.at,
        }
        for each in waiting
    }
