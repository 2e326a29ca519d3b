"""How messages reach the webhook: tries, a webhook that hangs or answers nonsense, the end of the process."""

from __future__ import annotations

import io
import socket
import threading
from typing import Any

import pytest
import requests
import responses
from alerts_support import HOOK, critical, started, until
from support import make_settings, make_turn

from plugins.alerts import Alerts
from plugins.alerts.courier import MAX_WAITING, Courier
from plugins.alerts.messages import Message
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.events import (
    SettingsChanged,
)
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings
from rom_core.telemetry import log


@responses.activate
def test_failures_that_may_pass_are_retried_and_others_are_not() -> None:
    """1, 2 and 4 s after 5xx, 429 and broken connections, or as long as the webhook asks (at most 30 s); not a 404."""
    clock = FakeClock()
    ends: list[str] = []
    courier = Courier(clock, lambda: HOOK, lambda: "here", lambda _, outcome: ends.append(outcome))
    message = Message("capacity", "bad", "title", 0.0)
    responses.post(HOOK, status=500)
    responses.post(HOOK, body=requests.ConnectionError("refused"))
    responses.post(HOOK, status=429, headers={"Retry-After": "7"})
    responses.post(HOOK, status=200)
    assert courier.deliver(message) == "delivered"
    assert clock.sleeps == [1.0, 2.0, 7.0]
    clock.sleeps.clear()
    responses.reset()
    responses.post(HOOK, status=503, headers={"Retry-After": "3600"})
    assert courier.deliver(message) == "failed"
    assert clock.sleeps == [30.0] * 3
    responses.reset()
    responses.post(HOOK, status=404)
    assert courier.deliver(message) == "failed"
    assert len(responses.calls) == 1
    responses.reset()
    responses.post(HOOK, status=302, headers={"Location": "http://elsewhere.test/"})
    assert courier.deliver(message) == "failed"
    assert len(responses.calls) == 1


@responses.activate
def test_a_webhook_that_hangs_delays_no_turn_and_no_end_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages wait in a bounded queue, what does not fit is dropped and counted; stopping is quick."""
    monkeypatch.setattr("plugins.alerts.courier.FLUSH_SECONDS", 60.0)
    hanging, release = threading.Event(), threading.Event()

    def hang(_request: Any) -> tuple[int, dict[str, str], str]:
        hanging.set()
        release.wait(60)
        return 200, {}, ""

    responses.add_callback(responses.POST, HOOK, callback=hang)
    runtime, alerts, ends = started()
    runtime.emit(critical())
    assert hanging.wait(60)
    for number in range(MAX_WAITING + 5):
        runtime.emit(SettingsChanged(number, {"MAX_TOKENS": (1, 2)}, "ops", "", ""))
    assert not release.is_set(), "whoever tells of an event waited for the webhook"
    assert ends.seen == [("flags", "dropped")] * 5
    assert alerts.rom_status()["waiting"] == MAX_WAITING
    assert alerts.rom_status()["dropped"] == 5
    assert runtime.run(make_turn(runtime)).reply == "ok"
    release.set()
    runtime.stop()
    assert "rom-alerts" not in {thread.name for thread in threading.enumerate()}
    assert len(ends.seen) == MAX_WAITING + 6


@responses.activate
def test_what_a_hanging_webhook_keeps_from_being_posted_is_said_to_be_lost(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping waits for no post under way; that one and each behind it end once, and are in the log."""
    monkeypatch.setattr("plugins.alerts.courier.FLUSH_SECONDS", -0.99)
    hanging, release = threading.Event(), threading.Event()

    def hang(_request: Any) -> tuple[int, dict[str, str], str]:
        hanging.set()
        release.wait(60)
        return 200, {}, ""

    responses.add_callback(responses.POST, HOOK, callback=hang)
    ends: list[tuple[str, str]] = []
    courier = Courier(
        FakeClock(),
        lambda: HOOK,
        lambda: "here",
        lambda message, outcome: ends.append((message.about, outcome)),
    )
    courier.start()
    courier.send(Message("capacity", "bad", "title", 0.0))
    assert hanging.wait(60)
    for about in ("circuit", "flags"):
        courier.send(Message(about, "bad", "title", 0.0))
    courier.stop()
    told = [("capacity", "failed"), ("circuit", "dropped"), ("flags", "dropped")]
    assert ends == told
    assert capfd.readouterr().err.count("alert.lost") == 3
    release.set()
    courier._thread.join(60)
    assert not courier._thread.is_alive()
    assert ends == told


@responses.activate
def test_without_a_url_nothing_is_sent_and_the_url_is_never_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """ALERT_WEBHOOK_URL empty is the default; where it is set and does not answer, the log names it not."""
    runtime, _, ends = started(ALERT_WEBHOOK_URL="")
    runtime.emit(critical())
    runtime.stop()
    assert (ends.seen, len(responses.calls)) == ([], 0)
    responses.post(HOOK, body=requests.ConnectionError(f"cannot reach {HOOK}"))
    runtime, _, ends = started()
    runtime.emit(critical())
    until(lambda: len(ends.seen) == 1)
    runtime.stop()
    assert ends.seen == [("capacity", "failed")]
    logged = capfd.readouterr().err
    assert "alert.not_delivered" in logged
    assert "services" not in logged


@responses.activate
def test_what_waits_when_the_process_stops_still_gets_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message about the last change before a deployment is not lost."""
    monkeypatch.setattr("plugins.alerts.courier.FLUSH_SECONDS", 60.0)
    responses.post(HOOK)
    ends: list[str] = []
    courier = Courier(FakeClock(), lambda: HOOK, lambda: "here", lambda _, outcome: ends.append(outcome))
    for _ in range(3):
        courier.send(Message("flags", "info", "title", 0.0))
    courier._stopped.set()
    courier.start()
    courier.stop()
    assert ends == ["delivered"] * 3


def test_a_webhook_that_answers_nonsense_leaves_no_trace_of_its_url(restored_logging: io.StringIO) -> None:
    """urllib3 logs the address of an answer whose headers it cannot parse, and that address is the secret."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nno colon here\r\nA: b\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/services/geheim"
        log.configure("json", "DEBUG", stream=restored_logging)
        courier = Courier(FakeClock(), lambda: url, lambda: "here", lambda *_: None)
        assert courier.deliver(Message("flags", "info", "title", 0.0)) == "delivered"
        thread.join(60)
    text = restored_logging.getvalue()
    assert "Failed to parse headers" in text, "the library says nothing any more: the test has lost its point"
    assert "geheim" not in text


@pytest.mark.parametrize("url", ["hooks.test/x", "ftp://hooks.test/x", "http://", "http://[::1"])
def test_an_unusable_url_stops_the_start_without_being_shown(url: str) -> None:
    """It is a secret: the message names the setting only."""
    with pytest.raises(InvalidSettings) as refused:
        make_settings(Catalogue.of(hookspecs, alerts=Alerts()), ALERT_WEBHOOK_URL=url)
    assert "ALERT_WEBHOOK_URL" in str(refused.value)
    assert "hooks" not in str(refused.value)
