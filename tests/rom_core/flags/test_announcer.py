"""What is told of the settings: to observers, one that is switched off included, and to the log."""

from __future__ import annotations

import logging

import pytest
from flag_support import ANA, MemoryStore, Site, changes, start
from structlog.testing import capture_logs

from rom_core.errors import StoreUnavailable
from rom_core.events import FlagsStoreTroubled
from rom_core.store.overrides import Change, Version


def test_the_level_of_the_log_follows_its_setting(site: Site) -> None:
    """More or fewer lines, without a restart."""
    _, flags = start(site)
    root = logging.getLogger()
    before = root.level
    try:
        flags.change({"LOG_LEVEL": "ERROR"}, ANA)
        assert root.level == logging.ERROR
        flags.change({"LOG_LEVEL": None}, ANA)
        assert root.level == logging.INFO
    finally:
        root.setLevel(before)


def test_trouble_with_the_store_is_told_to_observers_once(site: Site) -> None:
    """At start, and when it begins later."""
    runtime, flags = start(site)
    recorder = runtime.catalogue.plugins["recorder"].instance
    flags.announce()
    site.store.broken = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            flags.change({"SOFT": 3}, ANA)
    told = [event for event in recorder.events if isinstance(event, FlagsStoreTroubled)]
    assert [event.state for event in told] == ["unwritable"]
    site.store = MemoryStore()
    site.store.broken = True
    _, flags = start(site)
    recorder.events.clear()
    flags.announce()
    assert [event.name for event in recorder.events] == ["flags.store_troubled"]


def test_an_observer_that_a_change_switches_off_hears_of_it(site: Site) -> None:
    """Once, and of nothing after that: its last chance to let go of what it holds."""
    runtime, flags = start(site)
    flags.change({"RECORDER_ENABLED": False}, ANA)
    flags.change({"SOFT": 3}, ANA)
    assert [dict(event.changes) for event in changes(runtime)] == [{"RECORDER_ENABLED": (True, False)}]


def test_overrides_skipped_at_start_are_logged_by_name_with_the_reason(site: Site) -> None:
    """When the process has started, for whoever reads only the log."""
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=(Change("GONE", "set", None, 1),)))
    _, flags = start(site)
    with capture_logs() as lines:
        flags.announce()
    told = {"setting": "GONE", "reason": "override: unknown setting"}
    assert lines == [{"event": "flags.override_skipped", "log_level": "warning", **told}]
