"""Label sets of the metrics: there from the first scrape, and few."""

from __future__ import annotations

import falcon.testing
import pytest
from metrics_support import FIRST, finished, measured, value
from prometheus_client import CollectorRegistry, Counter, generate_latest
from support import Toolkit, asks, says, tool

from plugins.metrics.figures import DIRECTIONS, MAX_CHILDREN, OUTCOMES, STATUSES, Children
from rom_core.gate.figures import TURN_ROUTES
from rom_core.http.app import create_app


def test_label_sets_are_exposed_as_zero_before_anything_happens() -> None:
    """Known routes, models, outcomes and tools are there from the first scrape, so that rates see the first event."""
    runtime, _ = measured(plugins={"kit": Toolkit(tool())})
    create_app(runtime)
    runtime.stop()
    for status in STATUSES:
        for route in ("/api/chat", "/health", "/metrics", "unmatched"):
            assert value(runtime, "rom_requests_total", route=route, status=status, cohort="stable") == 0
        for route in TURN_ROUTES:
            turns = {"route": route, "status": status, "cohort": "canary"}
            assert value(runtime, "rom_requests_total", **turns) == 0
            assert value(runtime, "rom_requests_duration_seconds_bucket", **turns, le="45.0") == 0
            assert value(runtime, "rom_requests_duration_seconds_bucket", **turns, le="30.0") == 0
    for model in (FIRST, "anthropic.second", "anthropic.third"):
        assert {value(runtime, "rom_model_attempts_total", model=model, outcome=o) for o in OUTCOMES} == {0}
        assert {value(runtime, "rom_bedrock_tokens_total", model=model, direction=d) for d in DIRECTIONS} == {0}
    assert value(runtime, "rom_tool_calls_total", tool="look", outcome="timeout") == 0
    assert value(runtime, "rom_observer_errors_total", plugin="metrics", hook="rom_event") == 0


def test_no_label_takes_a_value_that_a_client_or_a_model_chooses() -> None:
    """Paths, ids, users, made-up tool names and stop reasons do not become labels."""
    runtime, _ = measured(asks(("made-up-tool", {})), says("x", stop_reason="made-up-reason"))
    app = falcon.testing.TestClient(create_app(runtime))
    for number in range(5):
        app.simulate_get(f"/made-up-path-{number}", headers={"X-Request-Id": f"made-up-id-{number}"})
    body = {"message": "oi", "user": "made-up-user", "conversation_id": "made-up-conv"}
    assert app.simulate_post("/api/chat", json=body).status_code == 200
    text = generate_latest(runtime.registry).decode()
    runtime.stop()
    assert "made-up" not in text
    assert value(runtime, "rom_requests_total", route="unmatched", status="client_error", cohort="stable") == 5
    assert value(runtime, "rom_turns_stopped_total", stop_reason="other") == 1


def test_a_label_set_has_a_ceiling() -> None:
    """Beyond it every new value counts as "other"; a wrong number of values is a mistake of ours, found at once."""
    registry = CollectorRegistry()
    children = Children(Counter("x", "x", ["a", "b"], registry=registry), 2)
    for number in range(MAX_CHILDREN + 50):
        children(str(number), "b").inc()
    assert registry.get_sample_value("x_total", {"a": "other", "b": "other"}) == 50
    assert registry.get_sample_value("x_total", {"a": "3", "b": "b"}) == 1
    with pytest.raises(ValueError, match="label"):
        Children(Counter("y", "y", ["a", "b"], registry=None), 2)("1")


def test_a_histogram_has_at_most_ten_buckets_and_no_series_tells_when_it_began() -> None:
    """Every bucket of every label set is a line of each scrape; 30 and 45 s are what gate and alerts ask for."""
    runtime, _ = measured()
    runtime.emit(finished())
    buckets: dict[str, set[str]] = {}
    for family in runtime.registry.collect():
        for sample in family.samples:
            assert not sample.name.endswith("_created"), sample
            if family.type == "histogram" and "le" in sample.labels:
                buckets.setdefault(family.name, set()).add(sample.labels["le"])
    runtime.stop()
    assert len(buckets) > 5
    assert max(map(len, buckets.values())) <= 10
    assert {"30.0", "45.0", "+Inf"} <= buckets["rom_requests_duration_seconds"]
