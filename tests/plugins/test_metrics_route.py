"""The route of the metrics: who may read it, in which format, and what is looked up for it."""

from __future__ import annotations

import falcon.testing
import pytest
from metrics_support import measured, total, value
from prometheus_client import Counter
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from support import make_turn

from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime


@pytest.mark.parametrize(
    ("token", "header", "status"),
    [
        ("", None, 200),
        ("m" * 24, None, 401),
        ("m" * 24, "Bearer wrong", 401),
        ("m" * 24, "Bearer é", 401),
        ("m" * 24, "m" * 24, 401),
        ("m" * 24, "Bearer " + "m" * 24, 200),
    ],
)
def test_the_route_is_open_unless_a_token_closes_it(token: str, header: str | None, status: int) -> None:
    """Also where chats need an API key; what comes is parsed by Prometheus' own parser."""
    runtime, _ = measured(METRICS_TOKEN=token, API_KEYS="k" * 24)
    client = falcon.testing.TestClient(create_app(runtime))
    headers = {} if header is None else {"Authorization": header.encode().decode("latin-1")}
    answer = client.simulate_get("/metrics", headers=headers)
    runtime.stop()
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["Content-Type"] == CONTENT_TYPE_PLAIN_0_0_4
        names = {family.name for family in text_string_to_metric_families(answer.text)}
        assert {"rom_requests", "rom_requests_duration_seconds", "rom_instance_info", "rom_overhead_seconds"} <= names
        assert "process_resident_memory_bytes" in names


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, CONTENT_TYPE_PLAIN_0_0_4),
        ("*/*", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/plain; version=made-up, */*", CONTENT_TYPE_PLAIN_0_0_4),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
def test_a_scraper_gets_the_format_that_it_asks_for(accept: str | None, content_type: str) -> None:
    """As prometheus-client negotiates it; what nobody can read is answered in the format that everybody reads."""
    runtime, _ = measured()
    client = falcon.testing.TestClient(create_app(runtime))
    answer = client.simulate_get("/metrics", headers={} if accept is None else {"Accept": accept})
    runtime.stop()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.text.endswith("# EOF\n") == ("openmetrics" in content_type)
    assert 'rom_requests_total{cohort="stable",route="/api/chat",status="ok"} 0.0' in answer.text


def test_lines_that_were_never_written_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever alerts on figures learns that the log has holes."""
    runtime, _ = measured()
    assert value(runtime, "rom_log_lines_dropped_total") == 0
    monkeypatch.setattr("plugins.metrics.state.lines_dropped", lambda: 7)
    runtime.stop()
    assert value(runtime, "rom_log_lines_dropped_total") == 7


def test_what_another_plugin_registers_is_exposed_beside_ours() -> None:
    """The registry is the runtime's, and may be handed to it."""

    class Own:
        @hookimpl
        def rom_start(self, runtime: Runtime) -> None:
            Counter("acme_orders", "Orders", registry=runtime.registry).inc(3)

    runtime, _ = measured(plugins={"own": Own()})
    client = falcon.testing.TestClient(create_app(runtime))
    text = client.simulate_get("/metrics").text
    runtime.stop()
    assert "acme_orders_total 3.0" in text


def test_switched_off_it_neither_counts_nor_answers() -> None:
    """METRICS_ENABLED=false: /metrics is 404 plugin_disabled, and events pass by."""
    runtime, _ = measured(METRICS_ENABLED=False)
    client = falcon.testing.TestClient(create_app(runtime))
    answer = client.simulate_get("/metrics")
    runtime.run(make_turn(runtime))
    runtime.stop()
    assert (answer.status_code, answer.json["code"]) == (404, "plugin_disabled")
    assert total(runtime, "rom_model_attempts_total") == 0


def test_what_is_looked_up_is_current_at_each_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places taken, settings in force, memory, the instance and the build."""
    monkeypatch.setenv("RENDER_INSTANCE_ID", "srv-1")
    runtime, _ = measured(MEMORY_LIMIT_MB=100_000)
    release = runtime.admit("/api/chat")
    assert value(runtime, "rom_active_requests") == 1
    release()
    runtime.stop()
    assert value(runtime, "rom_active_requests") == 0
    assert value(runtime, "rom_flag_value", name="BEDROCK_ENABLED") == 1
    assert value(runtime, "rom_flag_value", name="MAX_TOKENS") == 4096
    assert value(runtime, "rom_flags_version") == 1
    assert value(runtime, "rom_memory_limit_bytes") == 100_000 * 1024 * 1024
    assert 0 < (value(runtime, "rom_memory_used_ratio") or 0) < 1
    assert total(runtime, "rom_instance_info", instance="srv-1") == 1
    assert total(runtime, "rom_build_info") == 1
