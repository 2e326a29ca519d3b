"""Every metric of ROM Agent: its name, labels, buckets, and which label values are exposed before anything happens.

The names are part of the contract (docs/observability.md). No label takes a value that a client or a model can choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry

from plugins.metrics.children import OTHER, Buckets, Counter, Gauge, Histogram, Number
from rom_core.http.requests import UNMATCHED
from rom_core.settings import Settings

STATUSES = ("ok", "error", "rejected", "client_error", "cancelled")
COHORTS = ("stable", "canary")
OUTCOMES = ("ok", "throttled", "server_error", "timeout", "connection", "truncated", "refused", "cancelled")
DIRECTIONS = ("input", "output", "cache_read", "cache_write")
CANARY_ACTIONS = ("started", "passed", "inconclusive", "approved", "held", "released", "completed", "aborted")
REJECTIONS = ("overloaded", "queue_full", "queue_timeout", "memory_pressure", "draining")
STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "content_filtered",
    "guardrail_intervened",
    "model_context_window_exceeded",
    "guardrail_hard_limit",
    "guardrail_repetition",
    "guardrail_cycle",
    "guardrail_budget",
    "loop_cap",
)
GUARDRAILS = tuple(reason for reason in STOP_REASONS if reason.startswith("guardrail_") and "intervened" not in reason)
TOOL_OUTCOMES = ("success", "failed", "timeout", "invalid_input", "unknown_tool", "saturated")
UNKNOWN_TOOL = "unknown"
TIME_PARTS = ("model", "tools", "queue", "retry_wait", "own")
CIRCUIT_STATES = ("closed", "half_open", "open")
TURN_ROUTES = ("/api/chat", "/v1/chat/completions")

_SECONDS = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 120, 300, 900)


M = TypeVar("M", Counter, Gauge, Histogram)


class OfModel(NamedTuple):
    """What every request to a model counts. `tokens` in the order of DIRECTIONS."""

    seconds: Buckets
    tokens: tuple[Number, Number, Number, Number]
    cost: Number
    cost_uncached: Number


class OfCohort(NamedTuple):
    """What every turn of a cohort counts."""

    overhead: Buckets
    iterations: Buckets
    first_delta: Buckets


class Figures:
    """The metrics in one registry; attributes are called with label values, in order, and give the bound child."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.all: list[Counter | Gauge | Histogram] = []
        self.requests = self._counter(
            "rom_requests_total",
            "HTTP requests answered, by route template, outcome and cohort",
            ("route", "status", "cohort"),
        )
        self.durations = self._histogram(
            "rom_requests_duration_seconds",
            "Seconds from the acceptance of an HTTP request to the last byte of its answer",
            ("route", "status", "cohort"),
            _SECONDS,
        )
        self.rejections = self._counter("rom_rejections_total", "Requests that we refused ourselves", ("code",))
        self.overhead = self._histogram(
            "rom_overhead_seconds",
            "Seconds of a turn that were our own: not the model's, the tools', the queue's or waits before a retry",
            ("cohort",),
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )
        self.turn_time = self._counter("rom_turn_time_seconds_total", "Seconds of turns, by where they went", ("part",))
        self.first_delta = self._histogram(
            "rom_first_delta_seconds",
            "Seconds from the acceptance of a request to the first text of the model",
            ("cohort",),
            (0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60),
        )
        self.stop_reasons = self._counter("rom_turns_stopped_total", "Answers, by stop reason", ("stop_reason",))
        self.degraded = self._counter("rom_turns_degraded_total", "Answers marked degraded", ("cohort",))
        self.iterations = self._histogram(
            "rom_turn_iterations",
            "Iterations of a turn",
            ("cohort",),
            (1, 2, 3, 5, 8, 12, 25, 50, 100),
        )
        self.attempts = self._counter(
            "rom_model_attempts_total", "Requests on the wire to a model, by outcome", ("model", "outcome")
        )
        self.attempt_seconds = self._histogram(
            "rom_model_attempt_seconds",
            "Seconds of a request on the wire, to its last event",
            ("model",),
            (0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 120, 300),
        )
        self.tokens = self._counter(
            "rom_bedrock_tokens_total", "Tokens billed, in four disjoint directions", ("model", "direction")
        )
        self.usage_unknown = self._counter(
            "rom_bedrock_usage_unknown_total",
            "Requests perhaps billed whose usage never came",
            ("model",),
        )
        self.cost = self._counter("rom_bedrock_cost_usd_total", "USD billed, by the prices of MODELS", ("model",))
        self.cost_uncached = self._counter(
            "rom_bedrock_cost_uncached_usd_total",
            "USD that the same tokens would have cost without prompt caching",
            ("model",),
        )
        self.tools = self._counter("rom_tool_calls_total", "Runs of tools, by outcome", ("tool", "outcome"))
        self.tool_seconds = self._histogram(
            "rom_tool_seconds", "Seconds of a run of a tool", ("tool",), (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30)
        )
        self.retries = self._counter("rom_retries_total", "Retries, by what caused them", ("model", "outcome"))
        self.retry_wait = self._counter("rom_retry_wait_seconds_total", "Seconds of back-off that were planned", ())
        self.fallbacks = self._counter(
            "rom_fallbacks_total", "Turns given to another model", ("from_model", "to_model")
        )
        self.circuit_state = self._gauge("rom_circuit_state", "0 closed, 1 half-open, 2 open", ("model",))
        self.circuit_changes = self._counter("rom_circuit_transitions_total", "Changes of a circuit", ("model", "to"))
        self.queue_depth = self._gauge("rom_queue_depth", "Turns that wait for a slot", ())
        self.queue_wait = self._histogram(
            "rom_queue_wait_seconds",
            "Seconds of waiting for a slot",
            ("cohort",),
            (0.1, 0.5, 1, 2.5, 5, 10, 20, 30),
        )
        self.guardrail_trips = self._counter("rom_guardrail_trips_total", "Loops stopped by a guardrail", ("reason",))
        self.guardrail_warnings = self._counter(
            "rom_guardrail_warnings_total", "Turns that reached MAX_LOOPS_SOFT iterations", ()
        )
        self.flag_changes = self._counter("rom_flag_changes_total", "New versions of the settings put in force", ())
        self.resumed = self._counter(
            "rom_metrics_resumed_total", "Times METRICS_ENABLED was switched on again; nothing was counted before", ()
        )
        self.canary_changes = self._counter("rom_canary_changes_total", "What happened to canary rollouts", ("action",))
        self.flags_version = self._gauge("rom_flags_version", "Version of the settings in force", ())
        self.flags_store_ok = self._gauge(
            "rom_flags_store_ok", "1 while overrides are whole and can be kept, 0 if the store is in trouble", ()
        )
        self.flag_value = self._gauge(
            "rom_flag_value", "Settings in force that are numbers or switches (1 on, 0 off)", ("name",)
        )
        self.active = self._gauge("rom_active_requests", "Chat requests that run or wait", ())
        self.abandoned = self._gauge(
            "rom_abandoned_threads", "Threads still busy with something nobody waits for any more", ("pool",)
        )
        self.memory_used = self._gauge("rom_memory_used_bytes", "Resident memory", ())
        self.memory_limit = self._gauge("rom_memory_limit_bytes", "What this process may use", ())
        self.memory_ratio = self._gauge("rom_memory_used_ratio", "Resident memory by its limit, 1 = all of it", ())
        self.capacity = self._gauge("rom_capacity_level", "0 normal, 1 alert, 2 critical", ())
        self.capacity_changes = self._counter("rom_capacity_changes_total", "Changes of the capacity level", ("to",))
        self.alerts = self._counter("rom_alerts_total", "Messages to the alert webhook", ("outcome",))
        self.instance = self._gauge("rom_instance_info", "1, labelled with who answers", ("instance", "version"))
        self.build = self._gauge("rom_build_info", "1, labelled with what runs", ("version", "python"))
        self._expect_fixed()
        self._models: dict[str, OfModel] = {}
        self._cohorts = {cohort: self._of_cohort(cohort) for cohort in COHORTS}
        self.time_parts = tuple(self.turn_time(part) for part in TIME_PARTS)

    def of_model(self, model: str) -> OfModel:
        """Looked up in one step, since every attempt needs all of it."""
        found = self._models.get(model)
        if found is None:
            one, two, three, four = (self.tokens(model, direction) for direction in DIRECTIONS)
            found = self._models[model] = OfModel(
                self.attempt_seconds(model), (one, two, three, four), self.cost(model), self.cost_uncached(model)
            )
        return found

    def of_cohort(self, cohort: str) -> OfCohort:
        """Looked up in one step, since every turn needs all of it."""
        return self._cohorts.get(cohort) or self._of_cohort(OTHER)

    def expect(self, settings: Settings, routes: Sequence[str], tools: Sequence[str]) -> None:
        """Expose what these settings, routes and tools can lead to, as zero until it does."""
        models = tuple(settings.models)
        self.requests.expect(product((*routes, UNMATCHED), STATUSES, COHORTS[:1]))
        turn_routes = [route for route in TURN_ROUTES if route in routes]
        self.requests.expect(product(turn_routes, STATUSES, COHORTS))
        self.durations.expect(product(turn_routes, STATUSES, COHORTS))
        self.attempts.expect(product(models, OUTCOMES))
        self.tokens.expect(product(models, DIRECTIONS))
        for figure in (self.attempt_seconds, self.usage_unknown, self.cost, self.cost_uncached, self.circuit_state):
            figure.expect((model,) for model in models)
        self.retries.expect(product(models, ("throttled", "server_error", "timeout", "connection", "truncated")))
        self.circuit_changes.expect(product(models, CIRCUIT_STATES))
        chain = (settings.MODEL_PRIMARY, *settings.MODEL_FALLBACKS)
        # A turn goes to any model further down: those between may be held open by their circuits.
        self.fallbacks.expect(combinations(dict.fromkeys(chain), 2))
        self.tools.expect(product(tools, TOOL_OUTCOMES))
        self.tool_seconds.expect((tool,) for tool in tools)

    def _of_cohort(self, cohort: str) -> OfCohort:
        return OfCohort(self.overhead(cohort), self.iterations(cohort), self.first_delta(cohort))

    def _expect_fixed(self) -> None:
        for figure in (self.overhead, self.first_delta, self.iterations, self.degraded, self.queue_wait):
            figure.expect((cohort,) for cohort in COHORTS)
        self.rejections.expect((code,) for code in REJECTIONS)
        self.turn_time.expect((part,) for part in TIME_PARTS)
        self.stop_reasons.expect((reason,) for reason in (*STOP_REASONS, "other"))
        self.tools.expect([(UNKNOWN_TOOL, "unknown_tool")])
        self.guardrail_trips.expect((reason,) for reason in GUARDRAILS)
        self.capacity_changes.expect((level,) for level in ("normal", "alert", "critical"))
        self.canary_changes.expect((action,) for action in CANARY_ACTIONS)
        self.alerts.expect((outcome,) for outcome in ("delivered", "failed", "dropped"))
        self.abandoned.expect((pool,) for pool in ("tools", "turns", "wire"))

    def _counter(self, name: str, help_: str, labels: Sequence[str]) -> Counter:
        return self._registered(Counter(name, help_, labels))

    def _gauge(self, name: str, help_: str, labels: Sequence[str]) -> Gauge:
        return self._registered(Gauge(name, help_, labels))

    def _histogram(self, name: str, help_: str, labels: Sequence[str], bounds: Sequence[float]) -> Histogram:
        return self._registered(Histogram(name, help_, labels, bounds))

    def _registered(self, metric: M) -> M:
        self.registry.register(metric)
        self.all.append(metric)
        return metric
