"""Every metric of ROM Agent: its name, labels, buckets, and which label values are exposed before anything happens.

The names are part of the contract (docs/observability.md). No label takes a value that a client or a model can choose.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import combinations, product
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import Collector

from rom_core.gate.figures import TURN_ROUTES
from rom_core.http.requests import UNMATCHED
from rom_core.settings import Settings
from rom_core.telemetry.capacity import LEVELS, TURN_SECONDS
from rom_core.telemetry.health import STATES

STATUSES = ("ok", "error", "rejected", "client_error", "cancelled")
COHORTS = ("stable", "canary")
OUTCOMES = ("ok", "throttled", "server_error", "timeout", "connection", "truncated", "refused", "cancelled")
DIRECTIONS = ("input", "output", "cache_read", "cache_write")
CANARY_ACTIONS = ("started", "passed", "inconclusive", "approved", "held", "released", "completed", "aborted")
REJECTIONS = ("overloaded", "queue_full", "queue_timeout", "memory_pressure", "draining")
RUN_STATES = ("done", "failed", "cancelled", "interrupted")
CREDENTIALS = ("key", "admin", "token")
AUTH_REASONS = ("missing", "wrong", "throttled")
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

OTHER = "other"
MAX_CHILDREN = 1000
"""A ceiling for labels whose values are named by the configuration (models, tools): never reached by right use."""

M = TypeVar("M", Counter, Gauge, Histogram)


def one_of(value: str, known: Container[str]) -> str:
    """The value if it is known, else "other"."""
    return value if value in known else OTHER


class Children(Generic[M]):
    """The children of a metric by their label values, in the order of its labels.

    They are kept here because `labels()` of prometheus-client costs three times as much as counting. Beyond
    MAX_CHILDREN every new set of values becomes "other", so that nothing a client or a model chooses can grow the
    process.
    """

    def __init__(self, metric: M, labels: int) -> None:
        self.metric: M = metric
        self._labels = labels
        self._children: dict[tuple[str, ...], M] = {}

    def __call__(self, *values: str) -> M:
        """The child; made when it is first asked for. Raises ValueError for a wrong number of values."""
        child = self._children.get(values)
        if child is None:
            if len(self._children) >= MAX_CHILDREN:
                values = (OTHER,) * self._labels
            child = self._children[values] = self.metric.labels(*values)
        return child

    def expect(self, known: Iterable[tuple[str, ...]]) -> None:
        """Expose these sets of values too, as zero until something happens."""
        for values in known:
            self(*values)

    def reset(self) -> None:
        """Every child at zero again."""
        for values in list(self._children):
            self.metric.remove(*values)
            self._children[values] = self.metric.labels(*values)

    def keep_only(self, known: Container[str]) -> None:
        """Expose no child any more whose first label value is not known."""
        for values in [values for values in self._children if values[0] not in known]:
            del self._children[values]
            self.metric.remove(*values)


class OfModel(NamedTuple):
    """What every request to a model counts. `tokens` in the order of DIRECTIONS."""

    seconds: Histogram
    tokens: tuple[Counter, Counter, Counter, Counter]
    cost: Counter
    cost_uncached: Counter


class OfCohort(NamedTuple):
    """What every turn of a cohort counts."""

    overhead: Histogram
    iterations: Histogram
    first_delta: Histogram


class MetricFamilies:
    """What is counted: `all` metrics, in no registry yet.

    Those with labels are called with label values, in order, and give the child.
    """

    def __init__(self) -> None:
        self.all: list[Collector] = []
        self.requests = self._counter(
            "rom_requests_total",
            "HTTP requests answered, by route template, outcome and cohort",
            ("route", "status", "cohort"),
        )
        self.durations = self._histogram(
            "rom_requests_duration_seconds",
            "Seconds from the acceptance of an HTTP request to the last byte of its answer",
            ("route", "status", "cohort"),
            TURN_SECONDS,
        )
        self.rejections = self._counter("rom_rejections_total", "Requests that we refused ourselves", ("code",))
        self.auth_failures = self._counter(
            "rom_auth_failures_total",
            "Requests without a key or token that counts, by the kind that the route asks for",
            ("credential", "reason"),
        )
        self.overhead = self._histogram(
            "rom_overhead_seconds",
            "Seconds of a turn that were our own: not the model's, the tools', the queue's or waits before a retry",
            ("cohort",),
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
        )
        self.turn_time = self._counter("rom_turn_time_seconds_total", "Seconds of turns, by where they went", ("part",))
        self.first_delta = self._histogram(
            "rom_first_delta_seconds",
            "Seconds from the acceptance of a request to the first text of the model",
            ("cohort",),
            (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60),
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
        self.answered = self._counter(
            "rom_model_answered_total", "Attempts that a plugin answered in the place of the wire", ("model",)
        )
        self.attempt_seconds = self._histogram(
            "rom_model_attempt_seconds",
            "Seconds of a request on the wire, to its last event",
            ("model",),
            (0.5, 1, 2.5, 5, 10, 20, 30, 45, 120),
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
        self.cache_decisions = self._counter(
            "rom_cache_decisions_total",
            "Requests on the wire, by the rule that decided on their cache points",
            ("rule",),
        )
        self.tools = self._counter("rom_tool_calls_total", "Runs of tools, by outcome", ("tool", "outcome"))
        self.tool_seconds = self._histogram(
            "rom_tool_seconds", "Seconds of a run of a tool", ("tool",), (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30)
        )
        self.retries = self._counter("rom_retries_total", "Retries, by what caused them", ("model", "outcome"))
        self.retry_wait = self._plain(Counter, "rom_retry_wait_seconds_total", "Seconds of back-off that were planned")
        self.fallbacks = self._counter(
            "rom_fallbacks_total", "Turns given to another model", ("from_model", "to_model")
        )
        self.circuit_state = self._gauge("rom_circuit_state", "0 closed, 1 half-open, 2 open", ("model",))
        self.circuit_changes = self._counter("rom_circuit_transitions_total", "Changes of a circuit", ("model", "to"))
        self.queue_depth = self._plain(Gauge, "rom_queue_depth", "Turns that wait for a slot")
        self.queue_wait = self._histogram(
            "rom_queue_wait_seconds",
            "Seconds of waiting for a slot",
            ("cohort",),
            (0.1, 0.5, 1, 2.5, 5, 10, 20, 30),
        )
        self.runs = self._counter("rom_runs_total", "Runs that have ended, by how", ("state",))
        self.runs_active = self._plain(Gauge, "rom_runs_active", "Runs of this instance")
        self.runs_queued = self._plain(Gauge, "rom_runs_queued", "Runs that wait, in all instances together")
        self.guardrail_trips = self._counter("rom_guardrail_trips_total", "Loops stopped by a guardrail", ("reason",))
        self.guardrail_warnings = self._plain(
            Counter, "rom_guardrail_warnings_total", "Turns that reached MAX_LOOPS_SOFT iterations"
        )
        self.flag_changes = self._plain(Counter, "rom_flag_changes_total", "New versions of the settings put in force")
        self.resumed = self._plain(
            Counter,
            "rom_metrics_resumed_total",
            "Times METRICS_ENABLED was switched on again; nothing was counted before",
        )
        self.canary_changes = self._counter("rom_canary_changes_total", "What happened to canary rollouts", ("action",))
        self.capacity_changes = self._counter("rom_capacity_changes_total", "Changes of the capacity level", ("to",))
        self.health_changes = self._counter("rom_health_changes_total", "Changes of the health", ("to",))
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
        per_model = (self.attempt_seconds, self.usage_unknown, self.cost, self.cost_uncached, self.circuit_state)
        for figure in (*per_model, self.answered):
            figure.expect((model,) for model in models)
        self.retries.expect(product(models, ("throttled", "server_error", "timeout", "connection", "truncated")))
        self.circuit_changes.expect(product(models, CIRCUIT_STATES))
        chain = (settings.MODEL_PRIMARY, *settings.MODEL_FALLBACKS)
        # A turn goes to any model further down: those between may be held open by their circuits.
        self.fallbacks.expect(combinations(dict.fromkeys(chain), 2))
        # Nobody asks a model that is gone: a last state "open" would keep an alert firing for ever.
        self.circuit_state.keep_only(models)
        self.tools.expect(product(tools, TOOL_OUTCOMES))
        self.tool_seconds.expect((tool,) for tool in tools)

    def _of_cohort(self, cohort: str) -> OfCohort:
        return OfCohort(self.overhead(cohort), self.iterations(cohort), self.first_delta(cohort))

    def _expect_fixed(self) -> None:
        for figure in (self.overhead, self.first_delta, self.iterations, self.degraded, self.queue_wait):
            figure.expect((cohort,) for cohort in COHORTS)
        self.rejections.expect((code,) for code in REJECTIONS)
        self.runs.expect((state,) for state in RUN_STATES)
        self.auth_failures.expect(product(CREDENTIALS, AUTH_REASONS))
        self.turn_time.expect((part,) for part in TIME_PARTS)
        self.stop_reasons.expect((reason,) for reason in (*STOP_REASONS, "other"))
        self.cache_decisions.expect([("first_use",)])
        self.tools.expect([(UNKNOWN_TOOL, "unknown_tool")])
        self.guardrail_trips.expect((reason,) for reason in GUARDRAILS)
        self.capacity_changes.expect((level,) for level in LEVELS)
        self.health_changes.expect((state,) for state in STATES)
        self.canary_changes.expect((action,) for action in CANARY_ACTIONS)
        self.alerts.expect((outcome,) for outcome in ("delivered", "failed", "dropped"))

    def _plain(self, kind: type[M], name: str, help_: str) -> M:
        metric = kind(name, help_, registry=None)
        self.all.append(metric)
        return metric

    def _counter(self, name: str, help_: str, labels: Sequence[str]) -> Children[Counter]:
        return self._labelled(Counter(name, help_, labels, registry=None), labels)

    def _gauge(self, name: str, help_: str, labels: Sequence[str]) -> Children[Gauge]:
        return self._labelled(Gauge(name, help_, labels, registry=None), labels)

    def _histogram(self, name: str, help_: str, labels: Sequence[str], bounds: Sequence[float]) -> Children[Histogram]:
        return self._labelled(Histogram(name, help_, labels, registry=None, buckets=bounds), labels)

    def _labelled(self, metric: M, labels: Sequence[str]) -> Children[M]:
        self.all.append(metric)
        return Children(metric, len(labels))
