"""Circuits that an administrator holds: after a restart, at every instance, and only as long as the breaker is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flag_support import ANA, Site
from sqlalchemy import text
from support import Recorder

from plugins.breaker import Breaker
from rom_core.errors import StoreUnavailable
from rom_core.events import CircuitClosed, CircuitOpened
from rom_core.flags import Author, Flags
from rom_core.runtime import Runtime
from rom_core.store.address import address_of
from rom_core.store.base import Store
from rom_core.store.opening import open_store
from rom_core.store.setup import owners
from rom_core.store.sqlite.store import SqliteStore

FIRST = "anthropic.claude-sonnet-4-5"


class Process:
    """A process with the breaker, on a store that others may have too."""

    runtime: Runtime
    flags: Flags

    def __init__(self, site: Site) -> None:
        self.site = site
        self.start()

    def start(self) -> None:
        """Start, or start again."""
        self.breaker, self.recorder = Breaker(), Recorder()
        self.site.plugins = {"breaker": self.breaker, "recorder": self.recorder}
        self.runtime, self.flags = self.site.start()
        self.breaker.rom_start(self.runtime)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Events of circuits: their name, and by whom."""
        events = [event for event in self.recorder.events if isinstance(event, CircuitOpened | CircuitClosed)]
        return [(event.name, event.by) for event in events]


@pytest.fixture(params=["sqlite", "postgresql"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    """Makes processes on one store, in each of the two databases."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made: list[Store] = []
    shared = Site(tmp_path)

    def make() -> Process:
        site = Site(tmp_path, shared.store)
        site.write("[default]\nCIRCUIT_BREAKER_ENABLED = true\nRECORDER_ENABLED = true\n")

        def opened(catalogue: object) -> Store:
            made.append(open_store(address_of(url, "var", tmp_path), owners(catalogue), lambda: 0.0))  # type: ignore[arg-type]
            return made[-1]

        site.database = opened
        return Process(site)

    yield make
    for store in made:
        store.close()


def test_a_held_circuit_is_held_after_a_restart(process: Callable[[], Process]) -> None:
    """Open or closed, with who holds it, since when and why; it is told again, and no longer once it is let go."""
    one = process()
    one.breaker.force(FIRST, "open", Author("ana", "incident 12", "trace-1"))
    before = one.breaker.status_of(FIRST)
    one.start()
    assert one.breaker.status_of(FIRST) == before
    assert (before["state"], before["forced"], before["by"], before["why"]) == ("open", True, "ana", "incident 12")
    assert one.told == [("circuit.opened", "ana")]
    one.breaker.force(FIRST, "closed", ANA)
    one.start()
    assert (one.breaker.status_of(FIRST)["state"], one.breaker.status_of(FIRST)["forced"]) == ("closed", True)
    one.breaker.force(FIRST, "auto", ANA)
    one.start()
    assert one.breaker.status_of(FIRST)["forced"] is False
    assert one.told == []


def test_it_is_held_at_every_instance(process: Callable[[], Process]) -> None:
    """As soon as another one looks; what has not changed is not told again, and a circuit's own state is left alone."""
    one, other = process(), process()
    one.breaker.force(FIRST, "open", Author("ana", "incident 12", "trace-1"))
    for _ in range(2):
        one.breaker.catch_up()
        other.breaker.catch_up()
    assert other.breaker.status_of(FIRST) == one.breaker.status_of(FIRST)
    assert one.told == other.told == [("circuit.opened", "ana")]
    other.breaker.force(FIRST, "auto", Author("bia"))
    one.breaker.catch_up()
    assert one.breaker.status_of(FIRST)["forced"] is False
    assert len(one.told) == 2


def test_switched_off_it_holds_nothing(process: Callable[[], Process]) -> None:
    """Neither now, nor once it is switched on again, nor after a restart."""
    one = process()
    one.breaker.force(FIRST, "open", ANA)
    for restarts in (False, True):
        one.flags.change({"CIRCUIT_BREAKER_ENABLED": "off"}, ANA)
        if restarts:
            one.start()
        one.flags.change({"CIRCUIT_BREAKER_ENABLED": "on"}, ANA)
        one.breaker.catch_up()
        assert one.breaker.status_of(FIRST)["forced"] is False


def test_what_could_not_be_forgotten_is_forgotten_later(
    process: Callable[[], Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was away when the breaker was switched off."""
    one = process()
    one.breaker.force(FIRST, "open", ANA)
    with monkeypatch.context() as patched:
        patched.setattr(type(one.runtime.store), "read", _away)
        one.flags.change({"CIRCUIT_BREAKER_ENABLED": "off"}, ANA)
    one.breaker.catch_up()
    one.start()
    one.flags.change({"CIRCUIT_BREAKER_ENABLED": "on"}, ANA)
    one.breaker.catch_up()
    assert one.breaker.status_of(FIRST)["forced"] is False


def test_what_cannot_be_kept_is_not_done(process: Callable[[], Process], monkeypatch: pytest.MonkeyPatch) -> None:
    """503 `store_unavailable`, and the circuit as it was: a restart would undo it, and no other instance hear of it."""
    one = process()
    with monkeypatch.context() as patched:
        patched.setattr(type(one.runtime.store), "write", _away)
        with pytest.raises(StoreUnavailable):
            one.breaker.force(FIRST, "open", ANA)
    assert one.breaker.status_of(FIRST)["state"] == "closed"
    assert one.told == []


def test_a_store_that_cannot_be_read_at_start_stops_nothing(
    process: Callable[[], Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has just been opened; what is held is known as soon as it can be read."""
    one = process()
    one.breaker.force(FIRST, "open", ANA)
    with monkeypatch.context() as patched:
        patched.setattr(type(one.runtime.store), "read", _away)
        one.start()
    assert one.breaker.status_of(FIRST)["forced"] is False
    one.breaker.catch_up()
    assert one.breaker.status_of(FIRST)["forced"] is True


def test_a_model_that_there_is_no_more_holds_nothing(process: Callable[[], Process]) -> None:
    """Its row stays, for the release that knows it."""
    one = process()
    row = "INSERT INTO breaker_held VALUES ('gone', 'open', 0, 'ana', '')"
    assert one.runtime.store is not None
    one.runtime.store.write(lambda connection: connection.execute(text(row)))
    one.start()
    assert one.told == []


def test_a_damaged_database_keeps_what_is_held(tmp_path: Path) -> None:
    """It is in the good copy."""
    site = Site(tmp_path)
    site.write("[default]\nCIRCUIT_BREAKER_ENABLED = true\nRECORDER_ENABLED = true\n")
    site.database = lambda catalogue: open_store(address_of("", "var", tmp_path), owners(catalogue), lambda: 0.0)
    one = Process(site)
    one.breaker.force(FIRST, "open", ANA)
    (tmp_path / "var" / "rom.db").write_bytes(b"damaged" * 1000)
    one.start()
    assert isinstance(one.runtime.store, SqliteStore)
    assert one.breaker.status_of(FIRST)["state"] == "open"


def _away(*_: object, **__: object) -> None:
    raise StoreUnavailable("told to fail")
