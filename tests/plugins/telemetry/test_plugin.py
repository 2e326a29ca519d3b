"""The plugin: its settings, and what is open while it is on, off, or on for a canary alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Site
from support import make_settings, make_turn
from telemetry_support import Receiver, receiving
from waiting import until

from plugins.telemetry import Telemetry
from rom_core import hookspecs
from rom_core.flags import Author
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import InvalidSettings, load_settings
from rom_core.span import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that takes everything."""
    with receiving() as running:
        yield running


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telemetry is sent at once."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")


def problem(**values: Any) -> str:
    """What is wrong with these settings, "" for nothing."""
    try:
        make_settings(Catalogue.of(hookspecs, telemetry=Telemetry()), **values)
    except InvalidSettings as error:
        (found,) = error.problems
        return f"{found.name}: {found.message}"
    return ""


def ask(runtime: Runtime) -> None:
    """One turn of TRACE."""
    turn = make_turn(runtime)
    turn.trace_id, turn.span = TRACE, Span(turn.span.id)
    runtime.run(turn)


def sending() -> set[str]:
    """The threads that send telemetry."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("Otel")}


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_without_the_libraries_the_switch_is_refused_and_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Off, they are not missed."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert problem() == ""
    said = "OpenTelemetry is not installed: pip install 'rom-agent[otel]'"
    assert problem(TELEMETRY_ENABLED=True) == f"TELEMETRY_ENABLED: {said}"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, ""),
        ({ENDPOINT: ""}, ""),
        ({ENDPOINT: "https://otlp.example.com/api"}, ""),
        ({ENDPOINT: "http://127.0.0.1:4318"}, ""),
        ({ENDPOINT: "http://collector:4318"}, "TELEMETRY_PLAIN_HTTP allows it"),
        ({ENDPOINT: "http://collector:4318", "TELEMETRY_PLAIN_HTTP": True}, ""),
        ({ENDPOINT: "collector:4317"}, "must be a URL"),
        ({ENDPOINT: "ftp://collector", "TELEMETRY_PLAIN_HTTP": True}, "must be a URL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "TELEMETRY_PLAIN_HTTP allows it"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}, "TELEMETRY_PLAIN_HTTP allows it"),
    ],
)
def test_where_telemetry_may_go(values: dict[str, Any], wrong: str) -> None:
    """To https, to this machine, and elsewhere by plain http only if that is wanted; while it is off, anything."""
    assert problem(**values) == ""
    found = problem(TELEMETRY_ENABLED=True, **values)
    assert (wrong in found) if wrong else (found == "")


def test_while_it_is_off_nothing_of_the_libraries_is_loaded() -> None:
    """Nor is a thread started: off costs nothing."""
    code = (
        "import sys\n"
        "from plugins.telemetry import Telemetry\n"
        "from rom_core import hookspecs\n"
        "from rom_core.plugin.catalogue import Catalogue\n"
        "Catalogue.of(hookspecs, telemetry=Telemetry())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_PYTHON_X_ENABLED"])
def test_other_standard_variables_in_the_dotenv_file_are_left_alone(tmp_path: Path, name: str) -> None:
    """They resemble ours, and belong to the library or to another program."""
    (tmp_path / ".env").write_text(f"{name}=1\n{ENDPOINT}=https://otlp.example.com\n")
    declared = Catalogue.of(hookspecs, telemetry=Telemetry())
    settings = load_settings(declared.settings, declared.rules, root=tmp_path, environ={"ROM_ENV": "testing"})
    assert getattr(settings, ENDPOINT) == "https://otlp.example.com"


@pytest.mark.usefixtures("soon")
def test_it_is_switched_on_and_off_while_the_process_runs(tmp_path: Path, receiver: Receiver) -> None:
    """On, its spans arrive; off, its threads are gone and nothing more is sent."""
    site = Site(tmp_path, telemetry=Telemetry())
    site.environ |= {ENDPOINT: receiver.url}
    runtime, flags = site.start()
    runtime.start()
    try:
        assert sending() == set()
        flags.change({"TELEMETRY_ENABLED": "on"}, ANA)
        ask(runtime)
        assert until(lambda: any(span.name == "invoke_agent rom-agent" for span in receiver.spans()))
        assert (
            runtime.current.pipeline.status()["telemetry"].items()
            >= {
                "open": True,
                "endpoints": {"traces": receiver.url, "metrics": receiver.url},
            }.items()
        )
        flags.change({"TELEMETRY_ENABLED": "off"}, ANA)
        assert until(lambda: sending() == set())
        before = len(receiver.spans())
        ask(runtime)
        assert (len(receiver.spans()), sending()) == (before, set())
    finally:
        runtime.stop()


@pytest.mark.usefixtures("soon")
def test_a_change_of_what_the_exporter_is_made_of_makes_another(tmp_path: Path, receiver: Receiver) -> None:
    """What was recorded before it goes out as it was meant to."""
    site = Site(tmp_path, telemetry=Telemetry())
    site.environ |= {ENDPOINT: receiver.url, "TELEMETRY_ENABLED": "true"}
    runtime, flags = site.start()
    runtime.start()
    try:
        ask(runtime)
        flags.change({"OTEL_SERVICE_NAME": "outro"}, ANA)
        ask(runtime)
        assert until(lambda: {span.resource["service.name"] for span in receiver.spans()} == {"rom-agent", "outro"})
    finally:
        runtime.stop()
    assert until(lambda: sending() == set())


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("at_once", [False, True])
def test_a_canary_alone_opens_it_and_its_end_closes_it(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Its first turn does not wait until the libraries are there, and may be missing; the next canary is as the first.

    Also where the thread that opens it has ended before the turn goes on.
    """
    start = threading.Thread.start

    def start_and_end(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "telemetry-open":
            thread.join(60)

    if at_once:
        monkeypatch.setattr(threading.Thread, "start", start_and_end)
    site = Site(tmp_path, telemetry=Telemetry())
    site.environ |= {ENDPOINT: receiver.url}
    runtime, flags = site.start()
    runtime.start()
    before = 0

    def arrived() -> bool:
        ask(runtime)
        return len(receiver.spans()) > before

    try:
        for _ in range(2):
            flags.change({"canary": {"flags": {"TELEMETRY_ENABLED": "on"}}, "CANARY_PERCENT": 100}, ANA)
            assert until(arrived)
            flags.change({"canary": None, "CANARY_PERCENT": 0}, Author("ana"))
            assert until(lambda: sending() == set())
            before = len(receiver.spans())
    finally:
        runtime.stop()


def test_a_standard_variable_that_cannot_be_stops_nobody(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says why nothing is sent; turns go on."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "muitos")
    site = Site(tmp_path, telemetry=Telemetry())
    site.environ |= {ENDPOINT: receiver.url, "TELEMETRY_ENABLED": "true"}
    runtime, _ = site.start()
    runtime.start()
    try:
        ask(runtime)
        assert runtime.current.pipeline.status()["telemetry"]["open"] is False
        assert runtime.observer_errors == {}
    finally:
        runtime.stop()


def test_a_stop_sends_what_is_left(tmp_path: Path, receiver: Receiver) -> None:
    """Spans wait for five seconds and metrics for a minute otherwise."""
    site = Site(tmp_path, telemetry=Telemetry())
    site.environ |= {ENDPOINT: receiver.url, "TELEMETRY_ENABLED": "true"}
    runtime, _ = site.start()
    runtime.start()
    ask(runtime)
    runtime.stop()
    assert {span.name.split()[0] for span in receiver.spans()} == {"chat", "invoke_agent"}
    assert "gen_ai.invoke_agent.duration" in receiver.metrics()
    assert sending() == set()


def test_the_lock_for_telemetry_is_that_for_serving_and_the_libraries() -> None:
    """Whoever installs it gets the same versions of everything else."""
    folder = Path(__file__).parents[3] / "requirements"
    serving, with_telemetry = (
        {line.split()[0] for line in (folder / name).read_text().splitlines() if "==" in line}
        for name in ("run.lock", "otel.lock")
    )
    assert serving <= with_telemetry
    added = {line.partition("==")[0] for line in with_telemetry - serving}
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= added
