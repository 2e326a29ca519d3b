"""What is told of the settings: to observers, one that is switched off included, and to the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from flag_support import ANA, MemoryStore, Site, changes, held, start
from structlog.testing import capture_logs

from rom_core.errors import StoreUnavailable
from rom_core.events import Event, FlagsStoreTroubled
from rom_core.flags import control
from rom_core.settings import InvalidSettings
from rom_core.store.overrides import Change, Version
from rom_core.telemetry import log


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


def test_observers_in_force_are_told_before_a_change_is(site: Site) -> None:
    """SettingsChanging while the values before still count; nothing of what is refused or changes nothing."""
    runtime, flags = start(site)
    recorder = runtime.catalogue.plugins["recorder"].instance
    seen: list[tuple[str, int]] = []
    recorder.events = Seen(lambda event: seen.append((event.name, runtime.current.settings.SOFT)))
    flags.change({"SOFT": 3}, ANA)
    flags.change({}, ANA)
    with pytest.raises(InvalidSettings):
        flags.change({"SOFT": 999}, ANA)
    assert seen == [("flags.changing", 12), ("flags.changed", 3)]


class Seen:
    """A list that calls back instead of keeping."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self.append = append


def test_overrides_skipped_at_start_are_logged_by_name_with_the_reason(site: Site) -> None:
    """When the process has started, for whoever reads only the log."""
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=(Change("GONE", "set", None, 1),)))
    _, flags = start(site)
    with capture_logs() as lines:
        flags.announce()
    told = {"setting": "GONE", "reason": "override: unknown setting"}
    assert lines == [{"event": "flags.override_skipped", "log_level": "warning", **told}]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is written as JSON lines, with everything below CRITICAL switched off."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    log.configure("json", "CRITICAL", stream=stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """The lines about the settings, without time and logger."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("timestamp", "logger")} for line in found]


def test_a_change_leaves_one_line_whatever_is_switched_off(site: Site, written: io.StringIO) -> None:
    """Who, what (secrets masked), why and the trace id, by the core itself: no plugin and no LOG_LEVEL silences it."""
    _, flags = site.start()
    flags.change({"LIMITS_ENABLED": "off", "LOG_LEVEL": "CRITICAL"}, ANA)
    site.write('[default]\nPASSWORD = "first-secret"\n', ".secrets.local.toml")
    flags.change({"NOTE": "x" * 300}, ANA)
    flags.change({}, ANA)
    common = {"level": "warning", "event": "flags.changed", "by": "ana", "why": "because", "trace_id": "trace-1"}
    first, second = lines(written)
    assert first == common | {
        "version": 2,
        "changes": {"LIMITS_ENABLED": [True, False], "LOG_LEVEL": ["INFO", "CRITICAL"]},
    }
    assert second == common | {
        "version": 3,
        "changes": {"PASSWORD": ["", "***"], "NOTE": ["", "x" * 200 + "…"]},
    }


def test_the_kill_switch_leaves_its_line_even_before_it_is_a_version(
    site: Site, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another change holds everything up: who and why; once it is a version, that is a line too."""
    _, flags = site.start()
    monkeypatch.setattr(control, "_LOCK_SECONDS", 0.01)
    with held(flags):
        flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    flags.change({}, ANA)
    whose = {"by": "ana", "why": "because", "trace_id": "trace-1", "level": "warning"}
    assert lines(written) == [
        whose | {"event": "flags.kill_pending"},
        whose | {"event": "flags.changed", "version": 2, "changes": {"BEDROCK_ENABLED": [True, False]}},
    ]
