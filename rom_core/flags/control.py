"""The one place where settings change while the process runs.

A change reads all layers afresh, checks everything, builds, makes the overrides durable, and only then swaps
`runtime.current`, in one assignment. One lock lets changes through one by one; whoever reads takes no lock.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from rom_core import log
from rom_core.catalogue import Catalogue
from rom_core.clock import SystemClock
from rom_core.config import InvalidSettings, Problem, Settings
from rom_core.config.layers import OVERRIDE
from rom_core.config.sqlite_store import SqliteStore
from rom_core.config.store import CANARY, OverrideStore, State, StoreConflict, Trouble, Version, replay
from rom_core.errors import InvalidRequest, Overloaded, StoreUnavailable, VersionConflict
from rom_core.events import FlagsStoreTroubled, SettingsChanged
from rom_core.flags.changes import changes_between, differences, for_events
from rom_core.flags.edits import check_edits
from rom_core.flags.kills import Kill, Kills
from rom_core.flags.resolve import EVERYTHING, Layers, Resolved, resolve

if TYPE_CHECKING:
    from rom_core.pipeline import Pipeline, Snapshot
    from rom_core.runtime import Runtime

KILL_SWITCH = "BEDROCK_ENABLED"
CANARY_PERCENT = "CANARY_PERCENT"
# A change takes some tens of milliseconds, and a store may be busy for two seconds.
_TURN_SECONDS = 10.0
_TRIES = 3
logger = structlog.get_logger("rom.flags")


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks for a change: the administrator's name, the reason given, the trace id of the request."""

    by: str
    why: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class InForce:
    """What is in force.

    `state` are the overrides, `unkept` those versions of them that the store has not taken yet, `skipped` the
    overrides that this version of the code cannot use.
    """

    snapshot: Snapshot
    state: State
    skipped: tuple[Problem, ...] = ()
    unkept: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What a change came to.

    `changed` maps names to (before, after) as JSON, secrets masked. `durable` tells whether all of it survives a
    restart. `not_reloaded` are the reasons why only the kill switch was carried out and the layers stayed as they were.
    """

    version: int
    changed: Mapping[str, tuple[Any, Any]]
    durable: bool
    skipped: tuple[Problem, ...]
    awaiting_restart: Mapping[str, Any]
    not_reloaded: tuple[Problem, ...] = ()


class Flags:
    """Settings that change while the process runs. `runtime.current` is swapped by this object alone.

    `now` is what is in force. `at_start` are the layers without overrides, each setting judged by itself: enough for
    what is read only once.
    """

    now: InForce
    at_start: Settings
    _runtime: Runtime

    def __init__(self, layers: Layers, store: OverrideStore) -> None:
        """Raises InvalidSettings if a layer holds a value that does not fit."""
        self.layers = layers
        self._store = store
        self._lock = threading.Lock()
        self._kills = Kills()
        self._started: Settings | None = None
        self._told: Trouble | None = None
        self.at_start = _each_by_itself(layers)

    @classmethod
    def of(cls, catalogue: Catalogue, root: Path, environ: Mapping[str, str]) -> Flags:
        """The settings of `root`, with their overrides in STATE_DIR. Raises InvalidSettings."""
        layers = Layers(catalogue, root, environ)
        # An override may be what makes two settings fit together, so relations are judged with the overrides only.
        folder: str = _each_by_itself(layers).STATE_DIR
        if not folder.strip():
            layers.load()
        return cls(layers, SqliteStore(root / folder, SystemClock().time))

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the store of overrides."""
        return self._store.trouble

    @property
    def killed(self) -> bool:
        """Whether Bedrock has been switched off by somebody whose change is not in force yet."""
        return bool(self._kills)

    @property
    def durable(self) -> bool:
        """Whether all that counts now would survive a restart."""
        return not self.now.unkept and not self._kills

    # -- life cycle --------------------------------------------------------------------------------------------------

    def open(self, runtime: Runtime) -> Snapshot:
        """The first snapshot of `runtime`, stored overrides included; those that do not fit are skipped.

        Raises InvalidSettings if something else than an override is wrong.
        """
        self._runtime = runtime
        try:
            state = self._store.load()
        except StoreUnavailable:
            state = State()
        resolved = self._resolve(state.values, EVERYTHING)
        self._started = resolved.snapshot.settings
        self.now = InForce(_numbered(resolved.snapshot, state.version), state, resolved.skipped)
        return self.now.snapshot

    def announce(self) -> None:
        """Log and tell the observers what an operator must know about the overrides found at start."""
        for problem in self.now.skipped:
            logger.warning("flags.override_skipped", setting=problem.name, reason=problem.message)
        self._tell_trouble()

    # -- reading -----------------------------------------------------------------------------------------------------

    def history(self, limit: int, before: int | None = None) -> list[tuple[Version, bool]]:
        """Versions, newest first, each with whether it is durable. Raises StoreUnavailable."""
        unkept = [version for version in reversed(self.now.unkept) if before is None or version.number < before]
        kept = self._store.history(limit, before) if len(unkept) < limit else []
        return [*((version, False) for version in unkept), *((version, True) for version in kept)][:limit]

    # -- changing ----------------------------------------------------------------------------------------------------

    def change(self, edits: Mapping[str, Any], author: Author, if_version: int | None = None) -> Applied:
        """Read all layers afresh and set the overrides of `edits`; None or "" clears one, {} only reads afresh.

        All or nothing. Raises InvalidSettings with every problem, VersionConflict unless `if_version` is in force,
        StoreUnavailable if an override could not be kept, and Overloaded if others take too long.

        Switching BEDROCK_ENABLED off, alone, is carried out even if the store or the layers are broken, and without
        `if_version` it counts before anything is waited for.
        """
        switched = _switched(edits, self.now.snapshot.settings)
        if switched is False and len(edits) == 1:
            if if_version is None:
                return self._kill(edits, author)
            return self._change(self._edited(edits), author, if_version, in_need=_killed)
        asked_before = tuple(self._kills)
        applied = self._change(self._edited(edits), author, if_version)
        if switched:
            for kill in asked_before:
                self._kills.drop(kill)
        return applied

    def rollback(self, version: int, author: Author, if_version: int | None = None) -> Applied:
        """Put the overrides of `version` in force again, as a new version; the files are as they are now.

        What this code cannot use of them is skipped, as at start. Raises InvalidRequest for a version that is not in
        the history, and as `change`.
        """
        past = self._store.state_at(version)
        if past is None:
            raise InvalidRequest(f"there is no version {version} in the history", param="version")

        def target(_state: State, _declared: Settings) -> tuple[dict[str, Any], Container[str], list[Problem]]:
            return past.values, EVERYTHING, []

        return self._change(target, author, if_version)

    def withdraw_canary(self, author: Author) -> Applied:
        """End the canary: clear its block and the override of CANARY_PERCENT, even if the store or layers are broken.

        Raises Overloaded if others take too long; it may be tried again.
        """

        def target(state: State, _declared: Settings) -> tuple[dict[str, Any], Container[str], list[Problem]]:
            values = {name: value for name, value in state.values.items() if name not in (CANARY, CANARY_PERCENT)}
            return values, EVERYTHING, []

        return self._change(target, author, None, in_need=_without_canary)

    def _edited(self, edits: Mapping[str, Any]) -> _Target:
        def target(state: State, declared: Settings) -> tuple[dict[str, Any], Container[str], list[Problem]]:
            good, problems = check_edits(edits, declared.declared, state.overrides)
            values = {name: value for name, value in (state.values | good).items() if value is not None}
            # What was skipped is tried again, and skipped again if need be, as is what another process has stored since
            # and this code cannot use; what is in force here is not given up silently.
            known = self.now.state.values
            foreign = {name for name, value in state.values.items() if name not in known or known[name] != value}
            return values, ({problem.name for problem in self.now.skipped} | foreign) - set(good), problems

        return target

    def _kill(self, edits: Mapping[str, Any], author: Author) -> Applied:
        was = self._runtime.bedrock_enabled()
        kill = Kill(edits, author)
        self._kills.add(kill)
        try:
            self._in_turn(lambda: (self._pending(was), None))
        except Overloaded:
            kill.left = True
        if kill.applied is not None:
            return kill.applied
        logger.warning("flags.kill_pending", by=author.by, trace_id=author.trace_id)
        return self._pending(was)

    def _pending(self, was: bool) -> Applied:
        in_force = self.now
        changed = {KILL_SWITCH: (True, False)} if was else {}
        awaiting = in_force.snapshot.settings.awaiting_restart
        return Applied(in_force.snapshot.version, changed, False, in_force.skipped, awaiting)

    def _change(
        self, target: _Target, author: Author, if_version: int | None, *, in_need: _InNeed | None = None
    ) -> Applied:
        return self._in_turn(lambda: self._until_kept(target, author, if_version, in_need))

    def _in_turn(self, change: _Work) -> Applied:
        """Carry out the kills asked for before, then `change`, then kills that nobody waits for any more."""
        asked_before = tuple(self._kills)
        told: list[tuple[SettingsChanged | None, Pipeline, Pipeline]] = []

        def step(work: _Work) -> Applied:
            before = self.now.snapshot.pipeline
            applied, event = work()
            told.append((event, before, self.now.snapshot.pipeline))
            return applied

        def carry_out(kills: Iterable[Kill]) -> None:
            for kill in kills:
                if kill.applied is None:
                    try:
                        kill.applied = step(
                            partial(self._until_kept, self._edited(kill.edits), kill.author, None, _killed)
                        )
                    except Exception:
                        # It stays pending, so Bedrock stays off, and other changes are not held up by it.
                        logger.exception("flags.kill_failed", trace_id=kill.author.trace_id)
                        kill.left = True
                        continue
                self._kills.drop(kill)

        try:
            with self._alone():
                carry_out(asked_before)
                try:
                    return step(change)
                finally:
                    carry_out(kill for kill in self._kills if kill.left and kill not in asked_before)
        finally:
            self._tell_trouble()
            for event, before, after in told:
                self._tell(event, before, after)

    def _tell(self, event: SettingsChanged | None, before: Pipeline, after: Pipeline) -> None:
        if event is None:
            return
        if "LOG_LEVEL" in event.changes:
            log.set_level(self._runtime.current.settings.LOG_LEVEL)
        self._runtime.emit(event)
        # What it switches off hears of it too: that is its last chance to let go of what it holds.
        before.emit(event, besides=after.plugins)

    def _until_kept(
        self, target: _Target, author: Author, if_version: int | None, in_need: _InNeed | None
    ) -> tuple[Applied, SettingsChanged | None]:
        """Try again, on the newest state, while another process gets to the store first."""
        first = self.now.snapshot
        for attempt in range(1, _TRIES + 1):
            state = self._stored(in_need)
            if if_version is not None and if_version != state.version:
                raise VersionConflict(f"version {state.version} is in force, not {if_version}", state.version)
            try:
                return self._try(target, author, first, state, in_need)
            except StoreConflict:
                if in_need is not None and attempt == _TRIES:
                    # It is in force, and kept with the next change.
                    return self._try(target, author, first, self.now.state, in_need, keep=False)
        raise VersionConflict("another process keeps changing the settings", self.now.state.version)

    def _try(
        self,
        target: _Target,
        author: Author,
        first: Snapshot,
        state: State,
        in_need: _InNeed | None,
        *,
        keep: bool = True,
    ) -> tuple[Applied, SettingsChanged | None]:
        before = self.now
        values, may_skip, problems = target(state, before.snapshot.settings)
        not_reloaded: tuple[Problem, ...] = ()
        try:
            resolved = self._resolve(values, may_skip)
        except InvalidSettings as error:
            if in_need is None:
                raise InvalidSettings([*problems, *error.problems]) from None
            resolved, not_reloaded = in_need(before), tuple(error.problems)
        except Exception as error:
            if in_need is None:
                raise
            logger.exception("flags.layers_failed")
            resolved, not_reloaded = in_need(before), (Problem("layers", f"{type(error).__name__}: {error}"),)
        if problems:
            raise InvalidSettings(problems)

        changes = changes_between(before.snapshot.settings, resolved.snapshot.settings, state.values, values)
        changed = differences(first, resolved.snapshot)
        new = Version(
            state.version + 1, self._runtime.clock.time(), author.by, author.why, author.trace_id, tuple(changes)
        )
        versions = [*before.unkept, *([new] if changes else [])]
        after = replay([new], state) if changes else state
        in_force = InForce(_numbered(resolved.snapshot, after.version), after, resolved.skipped, tuple(versions))
        must_be_kept = any(change.action != "reload" for change in changes) and in_need is None
        if in_need is not None:
            self._swap(in_force)
        if versions and keep:
            try:
                self._store.append(versions[0].number - 1, versions)
                in_force = dataclasses.replace(in_force, unkept=())
            except StoreUnavailable:
                if must_be_kept:
                    raise
            except StoreConflict:
                raise
            except Exception:
                if in_need is None:
                    raise
                logger.exception("flags.store_failed")
        self._swap(in_force)
        applied = Applied(
            after.version,
            changed,
            not in_force.unkept,
            resolved.skipped,
            in_force.snapshot.settings.awaiting_restart,
            not_reloaded,
        )
        if not changes and not changed:
            return applied, None
        return applied, SettingsChanged(after.version, for_events(changed), author.by, author.why, author.trace_id)

    def _swap(self, in_force: InForce) -> None:
        self.now = in_force
        self._runtime.current = in_force.snapshot

    def _resolve(self, overrides: Mapping[str, Any], may_skip: Container[str]) -> Resolved:
        return resolve(self.layers, self._runtime.build, overrides, self._started, may_skip)

    def _stored(self, in_need: _InNeed | None) -> State:
        """The newest state, with what another process has appended meanwhile, and with what is not kept yet."""
        before = self.now
        try:
            kept = self._store.load()
        except StoreUnavailable:
            return before.state
        except Exception:
            if in_need is None:
                raise
            logger.exception("flags.store_failed")
            return before.state
        if not before.unkept:
            return kept
        unkept = [
            dataclasses.replace(version, number=number)
            for number, version in enumerate(before.unkept, start=kept.version + 1)
        ]
        self.now = dataclasses.replace(before, unkept=tuple(unkept))
        return replay(unkept, kept)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=_TURN_SECONDS):
            raise Overloaded("another change of the settings is still under way", retry_after=_TURN_SECONDS)
        try:
            yield
        finally:
            self._lock.release()

    def _tell_trouble(self) -> None:
        before, now = self._told, self.trouble
        self._told = now
        if now is not None and now != before:
            logger.error("flags.store_troubled", state=now.state, reason=now.detail)
            self._runtime.emit(FlagsStoreTroubled(now.state, now.detail))


_Work = Callable[[], tuple[Applied, SettingsChanged | None]]
_Target = Callable[[State, Settings], tuple[dict[str, Any], Container[str], Sequence[Problem]]]
# What to put in force when the layers cannot be read: given for what must be carried out whatever else is broken.
_InNeed = Callable[[InForce], Resolved]


def _each_by_itself(layers: Layers) -> Settings:
    try:
        return layers.load(relations=False)
    except InvalidSettings:
        # Whoever has to put something right should hear of everything.
        layers.load()
        raise


def _switched(edits: Mapping[str, Any], settings: Settings) -> bool | None:
    """What `edits` make of the kill switch, None if they leave it alone."""
    if KILL_SWITCH not in edits:
        return None
    good, _ = check_edits({KILL_SWITCH: edits[KILL_SWITCH]}, settings.declared, ())
    value: bool | None = good.get(KILL_SWITCH)
    return value


def _killed(before: InForce) -> Resolved:
    """What is in force, with Bedrock off and nothing else changed."""
    snapshot = before.snapshot
    settings = snapshot.settings.replacing(OVERRIDE, **{KILL_SWITCH: False})
    return Resolved(dataclasses.replace(snapshot, settings=settings), before.skipped)


def _without_canary(before: InForce) -> Resolved:
    return Resolved(dataclasses.replace(before.snapshot, canary=None), before.skipped)


def _numbered(snapshot: Snapshot, version: int) -> Snapshot:
    canary = snapshot.canary
    if canary is not None:
        canary = dataclasses.replace(canary, snapshot=dataclasses.replace(canary.snapshot, version=version))
    return dataclasses.replace(snapshot, version=version, canary=canary)
