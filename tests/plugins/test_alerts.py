"""Alerts: one message for each change of state, brought to a webhook without getting in anybody's way."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import responses
from alerts_support import HOOK, MODEL, critical, posted, started, until
from flag_support import ANA, Site
from support import failure, make_settings, make_turn, says

from plugins.alerts import Alerts
from plugins.alerts.courier import MAX_WAITING, Courier
from plugins.alerts.messages import Message, of_settings
from plugins.metrics import Metrics
from plugins.request_log import RequestLog
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, RomError
from rom_core.events import (
    CanaryAborted,
    CanaryChanged,
    CapacityChanged,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    FlagsStoreTroubled,
    SettingsChanged,
)
from rom_core.plugin.snapshot import Snapshot
from rom_core.runtime import Runtime


@responses.activate
def test_a_change_of_capacity_is_one_message_with_figures_and_advice() -> None:
    """What happened, since when, the figures with their thresholds, what to do; and how long it had lasted."""
    responses.post(HOOK)
    runtime, _, ends = started()
    runtime.emit(critical())
    runtime.emit(critical(0.95))
    runtime.clock.advance(600)  # type: ignore[attr-defined]
    runtime.emit(CapacityChanged("critical", "normal", 0.5, 0.0, 50, 2.0))
    until(lambda: len(ends.seen) == 2)
    runtime.stop()
    bad, good = posted()
    assert "Capacity: normal → critical" in bad
    assert "Since 1970-01-01 00:16:40 UTC" in bad
    assert "memory: 93.0 % of the limit" in bad
    assert "throttled: 2.0 % of 50 requests" in bad
    assert "What to do:_ lower MAX_CONCURRENT_REQUESTS" in bad
    assert "ROM Agent, testing" in bad
    assert "it was critical for 10 min" in good


@responses.activate
def test_a_circuit_that_opens_again_after_each_probe_is_one_message() -> None:
    """Open and closed are news, a failed probe is not; each model is told by itself."""
    responses.post(HOOK)
    runtime, _, ends = started()
    for _ in range(5):
        runtime.emit(CircuitOpened(MODEL, "failures", 5, 30.0))
        runtime.emit(CircuitHalfOpened(MODEL))
    runtime.emit(CircuitOpened("anthropic.second", "forced", 0, None, by="ops", why="incident 12"))
    runtime.emit(CircuitClosed(MODEL, "probe_succeeded"))
    until(lambda: len(ends.seen) == 3)
    runtime.stop()
    opened, forced, closed = posted()
    assert f"Circuit open: {MODEL}" in opened
    assert "failures in the window: 5" in opened
    assert "by ops" in forced
    assert "why: incident 12" in forced
    assert "none, it is forced open" in forced
    assert f"Circuit closed: {MODEL}" in closed


def run(runtime: Runtime, turns: int) -> None:
    """Turns one after the other, and a look at what became of them."""
    for _ in range(turns):
        with contextlib.suppress(RomError):
            runtime.run(make_turn(runtime))
    runtime.health.look()


@responses.activate
def test_turns_that_fail_are_told_once_when_it_gets_worse_and_when_it_is_over() -> None:
    """By the judgement that the status shows: more than 1 % of five minutes, then half of them, then well again."""
    responses.post(HOOK)
    clock = FakeClock()
    steps = [*[says("ok")] * 100, *[failure(ModelRefused)] * 3, *[failure(ModelRefused)] * 120, says("ok")]
    runtime, _, ends = started(steps=steps, clock=clock)
    run(runtime, 102)
    assert ends.seen == []
    run(runtime, 1)
    until(lambda: len(ends.seen) == 1)
    run(runtime, 10)
    run(runtime, 110)
    until(lambda: len(ends.seen) == 2)
    run(runtime, 200)
    clock.advance(61)
    run(runtime, 10)
    clock.advance(61)
    run(runtime, 10)
    until(lambda: len(ends.seen) == 3)
    runtime.stop()
    degraded, down, well = posted()
    assert "Health: degraded" in degraded
    assert "3 of 103 turns of the last 5 minutes failed (upstream_refused)" in degraded
    assert "see docs/operate.md#failed-turns" in degraded
    assert "Health: down" in down
    assert "Health: turns go well again" in well
    assert "it was otherwise for 61 s" in well


@responses.activate
def test_one_outage_is_one_message_about_turns_and_none_about_capacity() -> None:
    """Capacity is critical because turns fail, which is told already; memory that runs out meanwhile is news."""
    responses.post(HOOK)
    runtime, _, ends = started(steps=[failure(ModelRefused)])
    run(runtime, 6)
    until(lambda: len(ends.seen) == 1)
    runtime.emit(CapacityChanged("critical", "critical", 0.93, 0.0, 50, None, 6, 6))
    until(lambda: len(ends.seen) == 2)
    runtime.stop()
    assert [about for about, _ in ends.seen] == ["health", "capacity"]


@responses.activate
def test_what_has_a_message_of_its_own_is_not_told_as_health_too() -> None:
    """A circuit that opens and a full memory."""
    responses.post(HOOK)
    runtime, _, ends = started(MEMORY_LIMIT_MB=1)
    runtime.emit(CircuitOpened(MODEL, "failures", 5, 30.0))
    runtime.health.look()
    until(lambda: len(ends.seen) == 2)
    runtime.stop()
    assert sorted(about for about, _ in ends.seen) == ["capacity", f"circuit {MODEL}"]


@responses.activate
def test_changed_settings_and_the_kill_switch() -> None:
    """One message for each new version: what, from, to, who, why; the kill switch by its name."""
    responses.post(HOOK)
    runtime, _, ends = started()
    runtime.emit(SettingsChanged(2, {"RETRY_ENABLED": (False, True)}, "ops", "incident 12", ""))
    runtime.emit(SettingsChanged(3, {"MAX_TOKENS": (1, 2), "BEDROCK_ENABLED": (True, False)}, "ops", "", ""))
    runtime.emit(SettingsChanged(4, {"BEDROCK_ENABLED": (False, True)}, "ops", "over", ""))
    runtime.emit(SettingsChanged(5, {}, "ops", "", ""))
    runtime.emit(FlagsStoreTroubled("lost", "disk full"))
    until(lambda: len(ends.seen) == 4)
    runtime.stop()
    changed, killed, released, lost = posted()
    assert "state: lost" in lost
    assert "RETRY_ENABLED: False → True" in changed
    assert "version 2, by ops" in changed
    assert "why: incident 12" in changed
    assert "Kill switch used" in killed
    assert killed.index("BEDROCK_ENABLED: True → False") < killed.index("MAX_TOKENS: 1 → 2")
    assert "Kill switch released" in released
    assert [about for about, _ in ends.seen] == ["flags", "kill switch", "kill switch", "flags store"]


@responses.activate
def test_a_canary_is_told_when_it_was_aborted_or_waits_for_a_person() -> None:
    """Why, at which share, and what to do; what a person did is no news to people."""
    responses.post(HOOK)
    runtime, _, ends = started()
    runtime.emit(CanaryChanged("passed", 10, "gate", "0 of 500"))
    runtime.emit(CanaryChanged("approved", 10, "ana", ""))
    runtime.emit(CanaryChanged("inconclusive", 50, "gate", "not enough traffic"))
    runtime.emit(CanaryAborted(50, "gate", "errors: 7 of 90"))
    until(lambda: len(ends.seen) == 3)
    runtime.stop()
    passed, thin, aborted = posted()
    assert "rom canary approve" in passed
    assert "with a reason" in thin
    assert "at 50 % of the traffic, by gate" in aborted
    assert "errors: 7 of 90" in aborted


def test_text_from_outside_cannot_mention_a_channel_or_grow_without_bound() -> None:
    """Slack's markup is escaped, values are cut, and so is a long list of changes."""
    changes = {f"NAME_{number}": ("<!channel>", "x" * 5000) for number in range(50)}
    text = of_settings(SettingsChanged(2, changes, "<@U1>", "a & b", ""), 0.0).payload("here")["text"]
    assert "<" not in text.replace("_What to do:_", "")
    assert "a &amp; b" in text
    assert "and 30 more" in text
    assert len(text) < 5000


@responses.activate
def test_switched_off_it_sends_nothing() -> None:
    """ALERTS_ENABLED=false."""
    responses.post(HOOK)
    runtime, _, ends = started(ALERTS_ENABLED=False)
    runtime.emit(critical())
    runtime.stop()
    assert (ends.seen, len(responses.calls)) == ([], 0)


def put_in_force(runtime: Runtime, *, alerts: bool) -> None:
    """Switch the plugin on or off while the process runs."""
    settings = make_settings(runtime.catalogue, ENDS_ENABLED=True, ALERTS_ENABLED=alerts, ALERT_WEBHOOK_URL=HOOK)
    runtime.swap(runtime.build(settings))
    runtime.emit(SettingsChanged(2, {"ALERTS_ENABLED": (not alerts, alerts)}, "ops", "", ""))


@responses.activate
@pytest.mark.parametrize(
    ("edits", "titled", "hooks"),
    [
        ({"ALERTS_ENABLED": False, "LOGGING_ENABLED": False}, "ALERTS_ENABLED, LOGGING_ENABLED", [HOOK]),
        ({"ALERT_WEBHOOK_URL": ""}, "ALERT_WEBHOOK_URL", [HOOK]),
        ({"ALERT_WEBHOOK_URL": f"{HOOK}/other"}, "ALERT_WEBHOOK_URL", [HOOK, f"{HOOK}/other"]),
        ({"LOG_LEVEL": "CRITICAL"}, "LOG_LEVEL", [HOOK]),
        ({"METRICS_ENABLED": False, "MAX_TOKENS": 77}, "METRICS_ENABLED", [HOOK]),
        ({"canary": {"flags": {"MAX_TOKENS": 77, "LOGGING_ENABLED": False}}}, "canary", [HOOK]),
        ({"canary": {"flags": {"LOGGING_ENABLED": True}}}, "", [HOOK]),
        ({"LOG_LEVEL": "DEBUG"}, "", [HOOK]),
    ],
)
def test_a_change_that_silences_an_alert_or_a_log_is_itself_an_alert(
    tmp_path: Path, edits: dict[str, Any], titled: str, hooks: list[str]
) -> None:
    """Sent to where alerts went before it, also by the plugin that it switches off, and to whoever hears them now."""
    for hook in {HOOK, *hooks}:
        responses.post(hook)
    site = Site(tmp_path, request_log=RequestLog(), metrics=Metrics(), alerts=Alerts())
    site.environ["ALERT_WEBHOOK_URL"] = HOOK
    runtime, flags = site.start()
    runtime.start()
    # A secret is changed where secrets are, and with the next reading of the settings.
    site.environ["ALERT_WEBHOOK_URL"] = edits.pop("ALERT_WEBHOOK_URL", HOOK)
    flags.change(edits or {"MAX_TOKENS": 77}, ANA)
    until(lambda: len(responses.calls) == len(hooks))
    runtime.stop()
    assert [call.request.url for call in responses.calls] == hooks
    for text in posted():
        assert ("Less is seen from now on" in text) is bool(titled)
        assert titled in text
        assert "by ana" in text
        assert HOOK not in text


@responses.activate
def test_what_silences_is_told_before_it_is_in_force(tmp_path: Path) -> None:
    """The message is at the webhook while the settings before still hold; a person sees it before anything is lost."""
    responses.post(HOOK)
    site = Site(tmp_path, request_log=RequestLog(), alerts=Alerts())
    site.environ["ALERT_WEBHOOK_URL"] = HOOK
    runtime, flags = site.start()
    runtime.start()
    swap = flags._applier._put_in_force

    def once_it_was_told(snapshot: Snapshot) -> None:
        until(lambda: len(responses.calls) == 1)
        assert runtime.current.settings.LOGGING_ENABLED
        swap(snapshot)

    flags._applier._put_in_force = once_it_was_told
    flags.change({"LOGGING_ENABLED": False, "ALERTS_ENABLED": False}, ANA)
    assert not runtime.current.settings.LOGGING_ENABLED
    runtime.stop()
    assert len(responses.calls) == 1


def test_a_full_queue_does_not_keep_out_what_silences() -> None:
    """A hundred changes of no weight, made to fill it, cost the oldest of them its place."""
    ends: list[str] = []
    courier = Courier(FakeClock(), lambda: HOOK, lambda: "here", lambda message, _: ends.append(message.title))
    for number in range(MAX_WAITING):
        courier.send(Message("flags", "info", f"change {number}", 0.0))
    courier.send(Message("silence", "bad", "the last one", 0.0), first=True)
    assert (ends, courier.waiting) == (["change 0"], MAX_WAITING)


@responses.activate
def test_what_changed_while_it_was_off_is_not_taken_for_known() -> None:
    """A circuit that opened before and was closed unseen is news when it opens again, and so is the level."""
    responses.post(HOOK)
    runtime, alerts, ends = started()
    runtime.emit(CircuitOpened(MODEL, "failures", 5, 30.0))
    put_in_force(runtime, alerts=False)
    runtime.emit(CircuitClosed(MODEL, "forced", "ops"))
    put_in_force(runtime, alerts=True)
    runtime.emit(CircuitOpened(MODEL, "failures", 5, 30.0))
    until(lambda: len(ends.seen) == 3)
    runtime.stop()
    assert [about for about, _ in ends.seen] == [f"circuit {MODEL}", "flags", f"circuit {MODEL}"]
    assert alerts.rom_status()["delivered"] == 3


@responses.activate
def test_it_stays_silent_while_it_is_off_and_begins_anew_afterwards() -> None:
    """Nothing of turns that began before it was switched off, and nothing taken for known that it has not told."""
    responses.post(HOOK)
    runtime, alerts, ends = started(steps=[failure(ModelRefused)])
    late = make_turn(runtime)
    put_in_force(runtime, alerts=False)
    late.emit(CircuitOpened(MODEL, "failures", 5, 30.0))
    run(runtime, 3)
    put_in_force(runtime, alerts=True)
    until(lambda: len(ends.seen) == 1)
    runtime.stop()
    assert [about for about, _ in ends.seen] == ["flags"]
    assert alerts.rom_status()["delivered"] == 1
