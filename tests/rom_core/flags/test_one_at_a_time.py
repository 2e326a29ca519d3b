"""Changes one after the other: a kill waits for nobody, and no turn sees two versions."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Limits, Site, changes, held, start
from support import make_turn, says
from waiting import until

from rom_core.errors import BedrockDisabled, Overloaded
from rom_core.flags import Applied, Author, control


def test_the_kill_switch_counts_before_anything_is_waited_for(site: Site) -> None:
    """Bedrock is off while somebody else's change holds everything up; afterwards the kill is one like any other."""
    runtime, flags = start(site)
    applied: list[Any] = []
    killer = threading.Thread(target=lambda: applied.append(flags.change({"BEDROCK_ENABLED": "off"}, ANA)))
    with held(flags):
        killer.start()
        assert until(lambda: not runtime.bedrock_enabled())
        assert (runtime.bedrock_enabled(), flags.durable) == (False, False)
        assert runtime.current.version == 1
        with pytest.raises(BedrockDisabled):
            runtime.run(make_turn(runtime))
    killer.join()
    assert (applied[0].version, applied[0].durable, dict(applied[0].changed)) == (
        2,
        True,
        {"BEDROCK_ENABLED": (True, False)},
    )
    assert (runtime.bedrock_enabled(), flags.killed, flags.durable) == (False, False, True)
    assert site.store.load().values == {"BEDROCK_ENABLED": False}


def test_a_kill_that_nobody_waits_for_any_more_comes_before_the_next_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was answered as not durable; then it is kept under the name of who asked, and switching on again works."""
    runtime, flags = start(site)
    monkeypatch.setattr(control, "_LOCK_SECONDS", 0.01)
    with held(flags):
        applied = flags.change({"BEDROCK_ENABLED": "off"}, Author("eva"))
        assert (applied.version, applied.durable, dict(applied.changed)) == (
            1,
            False,
            {"BEDROCK_ENABLED": (True, False)},
        )
        assert dict(flags.change({"BEDROCK_ENABLED": "off"}, ANA).changed) == {}
        with pytest.raises(Overloaded):
            flags.change({"BEDROCK_ENABLED": "on"}, ANA)
        assert runtime.bedrock_enabled() is False
    flags.change({"BEDROCK_ENABLED": "on", "SOFT": 3}, ANA)
    assert (runtime.bedrock_enabled(), flags.durable) == (True, True)
    told = [(entry.by, {change.name: change.after for change in entry.changes}) for entry in site.store.versions[1:]]
    assert told == [("eva", {"BEDROCK_ENABLED": False}), ("ana", {"BEDROCK_ENABLED": True, "SOFT": 3})]
    assert [event.by for event in changes(runtime)] == ["eva", "ana"]


def test_a_kill_outlasts_a_change_that_was_under_way(site: Site) -> None:
    """Asked for while another change switches Bedrock on, it is carried out after that."""
    runtime, flags = start(site)
    load = site.store.load
    killer = threading.Thread(target=lambda: flags.change({"BEDROCK_ENABLED": "off"}, ANA))

    def kill_meanwhile() -> Any:
        site.store.load = load
        killer.start()
        assert until(lambda: flags.killed)
        return load()

    site.store.load = kill_meanwhile
    flags.change({"BEDROCK_ENABLED": "on"}, ANA)
    assert runtime.bedrock_enabled() is False
    killer.join()
    assert (runtime.bedrock_enabled(), flags.killed) == (False, False)


def test_a_kill_given_up_while_a_change_was_under_way_is_carried_out_at_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever made the change, under the name of who asked: nobody else may come for a long time."""
    runtime, flags = start(site)
    monkeypatch.setattr(control, "_LOCK_SECONDS", 0.01)
    load = site.store.load
    applied: list[Applied] = []
    killer = threading.Thread(target=lambda: applied.append(flags.change({"BEDROCK_ENABLED": "off"}, Author("eva"))))

    def kill_meanwhile() -> Any:
        site.store.load = load
        killer.start()
        killer.join()
        return load()

    site.store.load = kill_meanwhile
    flags.change({"SOFT": 3}, ANA)
    assert [each.durable for each in applied] == [False]
    assert (runtime.current.settings.BEDROCK_ENABLED, flags.killed, flags.durable) == (False, False, True)
    assert [entry.by for entry in site.store.versions[1:]] == ["ana", "eva"]


def test_no_turn_ever_sees_flags_of_two_versions(tmp_path: Path) -> None:
    """Under reloads from two threads every reader finds SOFT and HARD as one of the versions set them together."""
    site = Site(tmp_path, limits=Limits())
    runtime, flags = site.start(says("ok"))
    stop = threading.Event()
    torn: list[Any] = []
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            turn = make_turn(runtime)
            first = (turn.snapshot.version, turn.settings.SOFT, turn.settings.HARD)
            runtime.run(turn)
            second = (turn.snapshot.version, turn.settings.SOFT, turn.settings.HARD)
            seen.add(first[0])
            if first != second or first[2] - first[1] not in (13, 1):
                torn.append((first, second))

    def write(numbers: range) -> None:
        for number in numbers:
            flags.change({"SOFT": number, "HARD": number + 1}, ANA)

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(numbers,)) for numbers in (range(1, 11), range(101, 111))]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not torn
    assert runtime.current.version == 21
    assert len(seen) > 1
    assert [entry.number for entry in site.store.versions] == list(range(1, 22))
