"""From a proposal to a snapshot in force: read all layers afresh, check, build, keep, and only then swap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from rom_core.errors import PluginError, StoreUnavailable, VersionConflict
from rom_core.events import SettingsChanged, SettingsChanging
from rom_core.flags.approval import check, summary
from rom_core.flags.canary import with_canary
from rom_core.flags.differences import changes_between, differences, for_events
from rom_core.flags.proposals import KILL_SWITCH, Author, InForce, Proposal, Resolved, Target, switched_off
from rom_core.plugin.catalogue import Catalogue, Layers
from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import InvalidSettings, Problem, Settings
from rom_core.store.overrides import CANARY, PENDING, OverrideStore, State, StoreConflict, Version, replay

_TRIES = 3
Build = Callable[[Settings], Snapshot]
logger = structlog.get_logger("rom.flags")


@dataclass(frozen=True, slots=True)
class Applied:
    """What a change came to.

    `changed` maps names to (before, after) as JSON, secrets masked. `durable` tells whether all of it survives a
    restart. `not_reloaded` are the reasons why only the kill switch was carried out and the layers stayed as they were.
    `pending` is the id under which the change waits for a second person, "" if it does not.
    """

    version: int
    changed: Mapping[str, tuple[Any, Any]]
    durable: bool
    skipped: tuple[Problem, ...]
    awaiting_restart: Mapping[str, Any]
    not_reloaded: tuple[Problem, ...] = ()
    pending: str = ""


@dataclass(eq=False, slots=True)
class Kill:
    """One request to switch Bedrock off, which counts from the moment it is made.

    `applied` is what it came to, None until it is part of a snapshot. `left` tells that whoever asked has been answered
    without waiting any longer: the next who may change the settings carries it out.
    """

    edits: Mapping[str, Any]
    author: Author
    applied: Applied | None = None
    left: bool = False


class Applier:
    """Puts proposals in force, one at a time: whoever calls `apply` sees to that. `now` is what is in force."""

    now: InForce

    def __init__(
        self,
        layers: Layers,
        store: OverrideStore,
        *,
        build: Build,
        swap: Callable[[Snapshot], None],
        emit: Callable[[SettingsChanging], None],
        time: Callable[[], float],
    ) -> None:
        """With the stored overrides in force; those that do not fit are skipped.

        `build` makes a snapshot, `swap` puts one in force, `emit` tells the observers of the one before, `time` is in
        seconds since the epoch. Raises InvalidSettings if something else than an override is wrong.
        """
        self._layers = layers
        self._store = store
        self._build = build
        self._put_in_force = swap
        self._emit = emit
        self._time = time
        self._started: Settings | None = None
        try:
            state = store.load()
        except StoreUnavailable:
            state = State()
        resolved = self._resolve(state.values, None)
        self._started = resolved.snapshot.settings
        self.now = InForce(_numbered(resolved.snapshot, state.version), state, resolved.skipped)
        swap(self.now.snapshot)

    def apply(self, proposal: Proposal) -> tuple[Applied, SettingsChanged | None]:
        """What it came to, and the event to tell of it, None if nothing has changed.

        Tries again, on the newest state, while another instance gets to the store first. All or nothing, and raises
        InvalidSettings, VersionConflict or StoreUnavailable, except for what has a `fallback`.
        """
        first = self.now.snapshot
        for attempt in range(1, _TRIES + 1):
            state = self._newest(proposal)
            if proposal.if_version is not None and proposal.if_version != state.version:
                raise VersionConflict(f"version {state.version} is in force, not {proposal.if_version}", state.version)
            try:
                return self._try(proposal, first, state)
            except StoreConflict:
                if proposal.fallback is not None and attempt == _TRIES:
                    # It is in force, and kept with the next change.
                    return self._try(proposal, first, self.now.state, keep=False)
        raise VersionConflict("another instance keeps changing the settings", self.now.state.version)

    def adopt(self) -> SettingsChanged | None:
        """Put in force what other instances have stored, and store what could not be stored before; None if nothing is.

        Whatever does not fit here is skipped, as at start. If it cannot be put in force, what is stays, and a kill
        switch that is off there is off here too. Raises InvalidSettings and StoreUnavailable.
        """
        before = self.now
        for _ in range(_TRIES):
            state = self._with_unkept(self._store.load())
            unkept = self.now.unkept
            if state.version == before.state.version and not unkept:
                return None
            try:
                resolved = self._resolve(state.values, None)
            except Exception:
                self._kill_as(state)
                raise
            in_force = InForce(_numbered(resolved.snapshot, state.version), state, resolved.skipped, unkept)
            author = self._author(unkept)
            # In force first: what was not kept has counted here all the time.
            self._swap(in_force, author, adopted=True)
            try:
                if unkept:
                    self._store.append(unkept[0].number - 1, unkept)
            except StoreConflict:
                continue
            self._swap(dataclasses.replace(in_force, unkept=()), author, adopted=True)
            break
        changed = for_events(differences(before.snapshot, self.now.snapshot))
        return SettingsChanged(state.version, changed, author.by, author.why, author.trace_id, adopted=True)

    def _author(self, unkept: Sequence[Version]) -> Author:
        """Of the newest version."""
        newest = unkept[-1] if unkept else next(iter(self._store.history(1)), None)
        return Author("") if newest is None else Author(newest.by, newest.why, newest.trace_id)

    def _kill_as(self, state: State) -> None:
        override = state.overrides.get(KILL_SWITCH)
        if override is not None and override.value is False and self.now.snapshot.settings.BEDROCK_ENABLED:
            off = dataclasses.replace(self.now, snapshot=switched_off(self.now.snapshot))
            self._swap(off, Author(override.by, override.why), adopted=True)

    def _try(
        self, proposal: Proposal, first: Snapshot, state: State, *, keep: bool = True
    ) -> tuple[Applied, SettingsChanged | None]:
        before, author = self.now, proposal.author
        target = proposal.target(state, before)
        resolved, not_reloaded = self._resolve_or_fall_back(proposal, target)
        if proposal.fallback is None and not proposal.approved:
            check(before, state, target, resolved.snapshot, author)
        changes = changes_between(before.snapshot.settings, resolved.snapshot.settings, state.values, target.values)
        changed = differences(first, resolved.snapshot)
        waiting = [summary(values.get(PENDING)) for values in (state.values, target.values)]
        if waiting[0] != waiting[1]:
            changed[PENDING] = (waiting[0], waiting[1])
        new = Version(state.version + 1, self._time(), author.by, author.why, author.trace_id, tuple(changes))
        versions = [*before.unkept, *([new] if changes else [])]
        after = replay([new], state) if changes else state
        in_force = InForce(_numbered(resolved.snapshot, after.version), after, resolved.skipped, tuple(versions))
        if proposal.fallback is not None:
            self._swap(in_force, author)
        must_be_kept = any(change.action != "reload" for change in changes) and proposal.fallback is None
        if versions and keep and self._keep(proposal, versions, must_be_kept=must_be_kept):
            in_force = dataclasses.replace(in_force, unkept=())
        self._swap(in_force, author)
        awaiting = in_force.snapshot.settings.awaiting_restart
        applied = Applied(after.version, changed, not in_force.unkept, resolved.skipped, awaiting, not_reloaded)
        if not changes and not changed:
            return applied, None
        return applied, SettingsChanged(after.version, for_events(changed), author.by, author.why, author.trace_id)

    def resolve(self, proposal: Proposal, target: Target) -> Resolved:
        """What would be put in force. Raises InvalidSettings."""
        return self._resolve_or_fall_back(proposal, target)[0]

    def _resolve_or_fall_back(self, proposal: Proposal, target: Target) -> tuple[Resolved, tuple[Problem, ...]]:
        """What to put in force, and the reasons why that is not what the layers say now."""
        not_reloaded: tuple[Problem, ...] = ()
        try:
            resolved = self._resolve(target.values, target.may_skip)
        except InvalidSettings as error:
            if proposal.fallback is None:
                raise InvalidSettings([*target.problems, *error.problems]) from None
            resolved, not_reloaded = proposal.fallback(self.now), tuple(error.problems)
        except Exception as error:
            if proposal.fallback is None:
                raise
            logger.exception("flags.layers_failed")
            resolved = proposal.fallback(self.now)
            not_reloaded = (Problem("layers", f"{type(error).__name__}: {error}"),)
        if target.problems:
            raise InvalidSettings(target.problems)
        return resolved, not_reloaded

    def _resolve(self, overrides: Mapping[str, Any], may_skip: Container[str] | None) -> Resolved:
        return resolve(self._layers, self._build, overrides, self._started, may_skip)

    def _newest(self, proposal: Proposal) -> State:
        """The newest state, with what another instance has appended meanwhile, and with what is not kept yet."""
        before = self.now
        try:
            kept = self._store.load()
        except StoreUnavailable:
            return before.state
        except Exception:
            if proposal.fallback is None:
                raise
            logger.exception("flags.store_failed")
            return before.state
        return self._with_unkept(kept)

    def _with_unkept(self, kept: State) -> State:
        """With what could not be stored behind what others have: so a kill switch that is off here stays off."""
        before = self.now
        if not before.unkept:
            return kept
        unkept = tuple(
            dataclasses.replace(version, number=number)
            for number, version in enumerate(before.unkept, start=kept.version + 1)
        )
        if unkept != before.unkept:
            self.now = dataclasses.replace(before, unkept=unkept)
        return replay(unkept, kept)

    def _keep(self, proposal: Proposal, versions: Sequence[Version], *, must_be_kept: bool) -> bool:
        """Whether the store has taken them. Raises StoreConflict if another instance was first."""
        try:
            self._store.append(versions[0].number - 1, versions)
        except StoreUnavailable:
            if must_be_kept:
                raise
            return False
        except StoreConflict:
            raise
        except Exception:
            if proposal.fallback is None:
                raise
            logger.exception("flags.store_failed")
            return False
        return True

    def _swap(self, in_force: InForce, author: Author, *, adopted: bool = False) -> None:
        """Put it in force; who is about to be switched off is told first."""
        changed = for_events(differences(self.now.snapshot, in_force.snapshot))
        if changed:
            version = in_force.snapshot.version
            self._emit(SettingsChanging(version, changed, author.by, author.why, author.trace_id, adopted))
        self.now = in_force
        self._put_in_force(in_force.snapshot)


def _numbered(snapshot: Snapshot, version: int) -> Snapshot:
    canary = None if snapshot.canary is None else snapshot.canary.numbered(version)
    return dataclasses.replace(snapshot, version=version, canary=canary)


# -- layers and overrides ----------------------------------------------------------------------------------------------


def resolve(
    layers: Layers,
    build: Build,
    overrides: Mapping[str, Any],
    started: Settings | None,
    may_skip: Container[str] | None,
) -> Resolved:
    """Read the layers, lay `overrides` (JSON values, the canary block among them) over them, build.

    Overrides named in `may_skip` (None: all) give way when they are what is wrong: unknown here, invalid, against a
    rule, or the switch of a plugin that cannot be used. Raises InvalidSettings for everything else.
    """

    def make(values: Mapping[str, Any]) -> Snapshot:
        return _built(layers.catalogue, build, layers.load(values, started))

    skipped: dict[str, Problem] = {}
    while True:
        usable = {
            name: value for name, value in overrides.items() if name not in skipped and name not in (CANARY, PENDING)
        }
        try:
            snapshot = make(usable)
            break
        except InvalidSettings as error:
            blamed = {
                name: Problem(name, problem.message)
                for problem in error.problems
                for name in (problem.name, *problem.related)
                if name in usable and (may_skip is None or name in may_skip)
            }
            if not blamed:
                raise
            skipped |= blamed
    if overrides.get(CANARY) is not None:
        try:
            snapshot = with_canary(snapshot, overrides[CANARY], usable, make)
        except InvalidSettings as error:
            if may_skip is not None and CANARY not in may_skip:
                raise
            reasons = "; ".join(f"{problem.name}: {problem.message}" for problem in error.problems)
            skipped[CANARY] = Problem(CANARY, reasons)
    return Resolved(snapshot, tuple(skipped.values()))


def _built(catalogue: Catalogue, build: Build, settings: Settings) -> Snapshot:
    try:
        return build(settings)
    except PluginError as error:
        plugin = catalogue.plugins.get(error.plugin)
        name = plugin.switch if plugin is not None else error.plugin
        raise InvalidSettings([Problem(name, f"plugin {error.plugin!r}: {error.reason}")]) from error


def each_by_itself(layers: Layers) -> Settings:
    """The layers without overrides, each setting judged by itself. Raises InvalidSettings."""
    try:
        return layers.load(relations=False)
    except InvalidSettings:
        # Whoever has to put something right should hear of everything.
        layers.load()
        raise
