"""This instance's part in a fleet: one thread that beats, listens, catches up, and holds the lease.

Nobody else touches the connection; whoever asks gets what was heard last.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

import structlog

from rom_core.concurrency.clock import Clock
from rom_core.errors import RomError
from rom_core.fleet.instances import InForceAt, Instance
from rom_core.fleet.link import CONFIRMED, LEASE_SECONDS, Link, LinkLost
from rom_core.settings import InvalidSettings
from rom_core.store.sharing import LEADER, VERSIONS_TOPIC

BEAT_SECONDS = 3.0
CONFIRM_SECONDS = 5.0
# The holder of the lease stops believing in it so much earlier than the others.
_LEASE_MARGIN = 2.0
_RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0)
_STOP_SECONDS = 8.0
# How long the thread may not notice that it is to stop.
_SLICE_SECONDS = 0.5
logger = structlog.get_logger("rom.fleet")


class Member:
    """A Fleet on a store that others share."""

    def __init__(
        self,
        connect: Callable[[], Link],
        myself: Callable[[], Instance],
        catch_up: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """`connect` makes the connection, or raises LinkLost. `myself` is this instance as it is now.

        `catch_up` brings the settings in force to the newest version in the store, whose number it gets, and writes
        what could not be written before.
        """
        self._connect = connect
        self._myself = myself
        self._catch_up = catch_up
        self._clock = clock
        self._callbacks: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self._changed = threading.Condition()
        self._listed: dict[str, Instance] = {}
        self._failing: dict[str, str] = {}
        self._since = 0.0
        self._published = 0
        self._term = 0
        self._leads_until = 0.0
        self._led = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.away = "it has not been reached yet"

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Of this instance."""
        return self._myself().id

    @property
    def instances(self) -> tuple[Instance, ...]:
        """This one first, then the others in the order in which they came."""
        me, listed = self._me(), self._listed
        return (me, *(each for each in listed.values() if each.id != me.id))

    @property
    def term(self) -> int | None:
        """By this machine's clock, so that it ends even if the store is never heard of again."""
        return self._term if self._clock.monotonic() < self._leads_until else None

    def on(self, topic: str, callback: Callable[[], None]) -> None:
        """Called in the thread of the fleet."""
        self._callbacks[topic].append(callback)

    def wait_in_force(self, version: int, *, durable: bool) -> InForceAt:
        """As Fleet."""
        end = self._clock.monotonic() + (CONFIRM_SECONDS if durable else 0.0)
        with self._changed:
            while True:
                others = self.instances[1:]
                missing = tuple(each.id for each in others if each.version < version or not durable)
                left = end - self._clock.monotonic()
                # The list is as new as the change once this instance has published that version in it.
                if left <= 0 or (not missing and self._published >= version):
                    return InForceAt(1 + len(others) - len(missing), 1 + len(others), missing)
                self._changed.wait(left)

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, which joins the fleet as soon as the store can be reached."""
        self._thread = threading.Thread(target=self._run, name="rom-fleet", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the list, give the lease up, end the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=_STOP_SECONDS)

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                link = self._connect()
                try:
                    self.join(link)
                    failures = 0
                    while not self._stopped.is_set():
                        self.round(link)
                    link.leave(self.id)
                finally:
                    link.close()
            except LinkLost as error:
                self._lost(str(error))
            except Exception:
                logger.exception("fleet.failed")
                self._lost("an unforeseen error; the log has it")
            pause = _RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)]
            failures += 1
            self._stopped.wait(self._clock.uniform(pause / 2, pause))

    def join(self, link: Link) -> None:
        """What comes first on a new connection: messages sent while there was none were missed."""
        self._beat(link)
        self._reached()
        self._notify_all()

    def round(self, link: Link) -> None:
        """Listen until the next heartbeat is due, then beat. Raises LinkLost."""
        due = self._clock.monotonic() + BEAT_SECONDS
        while not self._stopped.is_set() and (left := due - self._clock.monotonic()) > 0:
            for note in link.wait(min(left, _SLICE_SECONDS)):
                self._hear(link, note)
        if not self._stopped.is_set():
            self._beat(link)
            self._notify_all()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _hear(self, link: Link, note: str) -> None:
        topic, *words = note.split()
        if topic == CONFIRMED and len(words) == 2:
            with self._changed, suppress(KeyError, ValueError):
                self._listed[words[0]] = dataclasses.replace(self._listed[words[0]], version=int(words[1]))
                self._changed.notify_all()
        elif topic == VERSIONS_TOPIC:
            self._beat(link)
        else:
            self._notify(topic)

    def _beat(self, link: Link) -> None:
        """Beat, and catch up with what the store has; then beat again, so that the others know."""
        newest = self._exchange(link)
        self._try("settings", lambda: self._catch_up(newest))
        if self._me().version != self._published:
            self._exchange(link)

    def _exchange(self, link: Link) -> int:
        me, asked = self._me(), self._clock.monotonic()
        beat = link.beat(me, lead=not me.draining, confirm=me.version != self._published)
        if not self._since:
            self._since = next((each.since for each in beat.instances if each.id == me.id), 0.0)
        if beat.term is not None:
            self._term, self._leads_until = beat.term, asked + LEASE_SECONDS - _LEASE_MARGIN
        else:
            self._leads_until = 0.0
        with self._changed:
            self._listed = {each.id: each for each in beat.instances}
            self._published = me.version
            self._changed.notify_all()
        leads = self.term is not None
        if leads != self._led:
            self._led = leads
            logger.warning("fleet.leads" if leads else "fleet.leads_no_longer", term=self._term)
            if leads:
                self._notify(LEADER)
        return beat.newest

    def _notify_all(self) -> None:
        """Call back for every topic of which a message may have been missed."""
        self._notify(*(topic for topic in tuple(self._callbacks) if topic != LEADER))

    def _notify(self, *topics: str) -> None:
        for topic in topics:
            for callback in self._callbacks.get(topic, ()):
                self._try(topic, callback)

    def _try(self, topic: str, action: Callable[[], None]) -> None:
        """It is tried again with the next heartbeat; what goes wrong is logged once while it stays the same."""
        try:
            action()
        except (RomError, InvalidSettings) as error:
            reason = str(error)
            if self._failing.get(topic) != reason:
                logger.warning("fleet.not_caught_up", topic=topic, reason=reason)
            self._failing[topic] = reason
        except Exception:
            logger.exception("fleet.not_caught_up", topic=topic)
        else:
            self._failing.pop(topic, None)

    def _me(self) -> Instance:
        return dataclasses.replace(self._myself(), since=self._since)

    def _reached(self) -> None:
        if self.away:
            logger.warning("fleet.joined", instances=len(self._listed), id=self.id)
        self.away = ""

    def _lost(self, reason: str) -> None:
        if not self.away:
            logger.error("fleet.away", reason=reason)
        self.away = reason
        with self._changed:
            self._changed.notify_all()
