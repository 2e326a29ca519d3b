"""What other instances have changed, and what this one could not store: both are caught up with, and off wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Site, changes, start

from rom_core.errors import StoreUnavailable
from rom_core.flags import Author
from rom_core.settings import InvalidSettings
from rom_core.store.overrides import Change, Version


def elsewhere(site: Site, number: int, **values: Any) -> None:
    """Another instance has stored a version."""
    edits = tuple(Change(name, "clear" if value is None else "set", None, value) for name, value in values.items())
    site.store.versions.append(Version(number, 5.0, "eva", "there", "trace-9", edits))


def test_a_change_of_another_instance_comes_into_force(site: Site) -> None:
    """With its version and its author; nothing is added to the history, and the observers know that it is adopted."""
    runtime, flags = start(site)
    elsewhere(site, 2, SOFT=3, NOTE="hi")
    elsewhere(site, 3, NOTE=None)
    flags.catch_up(3)
    settings = runtime.current.settings
    assert (runtime.current.version, settings.SOFT, settings.NOTE) == (3, 3, "")
    assert len(site.store.versions) == 3
    event = changes(runtime)[-1]
    assert (event.version, event.by, event.why, event.adopted) == (3, "eva", "there", True)
    assert dict(event.changes) == {"SOFT": (12, 3)}
    flags.change({"SOFT": 4}, ANA)
    assert runtime.current.version == 4


def test_nothing_new_asks_nobody(site: Site) -> None:
    """Heartbeats come all the time; one that tells of no change costs nothing and needs no store."""
    runtime, flags = start(site)
    before = flags.now
    site.store.broken = True
    flags.catch_up(1)
    assert flags.now is before
    with pytest.raises(StoreUnavailable):
        flags.catch_up(2)
    assert flags.now is before
    assert changes(runtime) == []


def test_a_kill_that_could_not_be_stored_is_stored_and_wins(site: Site) -> None:
    """Switched off here while the store was away, on elsewhere: behind what was written meanwhile stands off."""
    runtime, flags = start(site)
    site.store.broken = True
    assert flags.change({"BEDROCK_ENABLED": "off"}, ANA).durable is False
    site.store.broken = False
    elsewhere(site, 2, BEDROCK_ENABLED=True, SOFT=3)
    flags.catch_up(2)
    assert (runtime.bedrock_enabled(), runtime.current.settings.SOFT, runtime.current.version) == (False, 3, 3)
    assert (flags.durable, flags.now.unkept) == (True, ())
    assert site.store.load().values == {"BEDROCK_ENABLED": False, "SOFT": 3}
    assert site.store.versions[-1].by == "ana"


def test_a_kill_waits_for_the_store_without_a_change_elsewhere(site: Site) -> None:
    """The store is back and nobody has written: the kill is stored all the same."""
    _, flags = start(site)
    site.store.broken = True
    flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    with pytest.raises(StoreUnavailable):
        flags.catch_up(1)
    site.store.broken = False
    flags.catch_up(1)
    assert site.store.load().values == {"BEDROCK_ENABLED": False}
    assert flags.durable


def test_somebody_else_is_first_while_a_kill_is_stored(site: Site) -> None:
    """Then it is tried again, behind the other's version."""
    _, flags = start(site)
    site.store.broken = True
    flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    site.store.broken = False
    site.store.rival = [Version(2, 5.0, "eva", "", "", (Change("SOFT", "set", 12, 3),))]
    flags.catch_up(1)
    assert site.store.load().values == {"BEDROCK_ENABLED": False, "SOFT": 3}
    assert (flags.now.state.version, flags.durable) == (3, True)


def test_layers_that_cannot_be_read_keep_what_is_in_force(site: Site, tmp_path: Path) -> None:
    """Its version is then not said to be in force here; but Bedrock switched off elsewhere is off here."""
    runtime, flags = start(site)
    (tmp_path / "settings.toml").write_text("[default\n")
    elsewhere(site, 2, SOFT=3)
    with pytest.raises(InvalidSettings):
        flags.catch_up(2)
    assert (runtime.current.version, runtime.current.settings.SOFT, runtime.bedrock_enabled()) == (1, 12, True)
    elsewhere(site, 3, BEDROCK_ENABLED=False)
    with pytest.raises(InvalidSettings):
        flags.catch_up(3)
    assert (runtime.current.version, runtime.bedrock_enabled()) == (1, False)


def test_an_override_of_a_newer_release_is_skipped(site: Site) -> None:
    """During a rolling deploy the newer instances may set what the older ones do not know."""
    runtime, flags = start(site)
    elsewhere(site, 2, SOFT=3, OF_TOMORROW=1)
    flags.catch_up(2)
    assert runtime.current.settings.SOFT == 3
    assert [problem.name for problem in flags.now.skipped] == ["OF_TOMORROW"]
    flags.change({"HARD": 30}, Author("eva"))
    assert site.store.load().values == {"SOFT": 3, "OF_TOMORROW": 1, "HARD": 30}


def test_a_kill_nobody_waited_for_is_carried_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that could not be carried out when it was made goes first."""
    _, flags = start(site)
    monkeypatch.setattr(flags, "_kills", [kill := _kill()])
    flags.catch_up(1)
    assert kill.applied is not None
    assert site.store.load().values == {"BEDROCK_ENABLED": False}


def _kill() -> Any:
    from rom_core.flags.apply import Kill

    return Kill({"BEDROCK_ENABLED": False}, ANA, left=True)
