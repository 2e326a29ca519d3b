"""Metrics: what happened, as Prometheus counters at GET /metrics, and the capacity of this process.

Settings: METRICS_ENABLED (switch), METRICS_TOKEN. Hooks: rom_settings, rom_routes, rom_start, rom_stop, rom_status,
rom_event. A pure observer: figures of other plugins come from their events, so that any of them may be missing. All of
it is in `runtime.registry`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from prometheus_client import ProcessCollector, disable_created_metrics, generate_latest

from plugins.metrics.figures import (
    AUTH_REASONS,
    CIRCUIT_STATES,
    COHORTS,
    CREDENTIALS,
    GUARDRAILS,
    OUTCOMES,
    REJECTIONS,
    RUN_STATES,
    STOP_REASONS,
    TOOL_OUTCOMES,
    UNKNOWN_TOOL,
    MetricFamilies,
    one_of,
)
from plugins.metrics.route import MetricsResource
from plugins.metrics.state import RuntimeState
from rom_core import __version__
from rom_core.events import (
    AttemptAnswered,
    AttemptFinished,
    Event,
    HealthChanged,
    RequestFinished,
    RetryScheduled,
    RunFinished,
    RunsChanged,
    SettingsChanged,
    ToolFinished,
    TurnFinished,
)
from rom_core.fleet import instance_name
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting, key_rules
from rom_core.telemetry.accounts import TurnAccount, cost_usd, turn_of, uncached_cost_usd, usage_is_missing
from rom_core.turn import Turn

logger = structlog.get_logger("rom.metrics")

_NAME = "metrics"
# When a series began is a line more for each; Prometheus itself does not need it.
disable_created_metrics()  # type: ignore[no-untyped-call]
Handler = Callable[[Any], None]


class Metrics:
    """The plugin."""

    def __init__(self) -> None:
        self.figures = MetricFamilies()
        self._runtime: Runtime | None = None
        self._app: PluginRoutes | None = None
        self._handlers: dict[str, Handler] = {
            "request.finished": self._request_finished,
            "auth.failed": lambda event: self.figures.auth_failures(
                one_of(event.credential, CREDENTIALS), one_of(event.reason, AUTH_REASONS)
            ).inc(),
            "turn.finished": self._turn_finished,
            "iteration.finished": self._in_turn,
            "attempt.started": self._in_turn,
            "attempt.finished": self._attempt_finished,
            "attempt.answered": self._attempt_answered,
            "tool.started": self._in_turn,
            "tool.finished": self._tool_finished,
            "retry.scheduled": self._retry_scheduled,
            "fallback.used": self._fallback_used,
            "circuit.opened": lambda event: self._circuit(event.model, "open"),
            "circuit.half_opened": lambda event: self._circuit(event.model, "half_open"),
            "circuit.closed": lambda event: self._circuit(event.model, "closed"),
            "circuit.reported": lambda event: self._circuit_is(event.model, event.state),
            "queue.entered": lambda _: self.figures.queue_depth.inc(),
            "queue.left": self._queue_left,
            "run.finished": self._run_finished,
            "runs.changed": self._runs_changed,
            "guardrail.warned": lambda _: self.figures.guardrail_warnings.inc(),
            "guardrail.tripped": lambda event: self.figures.guardrail_trips(one_of(event.reason, GUARDRAILS)).inc(),
            "flags.changed": self._flags_changed,
            "canary.changed": lambda event: self.figures.canary_changes(event.action).inc(),
            "canary.aborted": lambda _: self.figures.canary_changes("aborted").inc(),
            "capacity.changed": lambda event: self.figures.capacity_changes(event.after).inc(),
            "health.changed": self._health_changed,
            "alert.sent": lambda event: self.figures.alerts(event.outcome).inc(),
        }

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, and the token that closes /metrics."""
        return [
            Setting("METRICS_ENABLED", bool, True, "Count what happens and serve GET /metrics.", switch=True),
            Setting(
                "METRICS_TOKEN",
                str,
                "",
                "Bearer token that GET /metrics then asks for; empty leaves it open.",
                secret=True,
                scope="process",
            ),
            *key_rules("METRICS_TOKEN", "API_KEYS", "ADMIN_TOKEN"),
        ]

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """GET /metrics."""
        self._app = app
        app.add_route("/metrics", MetricsResource(runtime))

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Count for this runtime."""
        self._runtime = runtime
        for collector in (RuntimeState(runtime, self._paths, self._expect), *self.figures.all):
            runtime.registry.register(collector)
        ProcessCollector(registry=runtime.registry)
        self.figures.instance(instance_name(os.environ), __version__).set(1)
        self.figures.build(__version__, platform.python_version()).set(1)

    @hookimpl
    def rom_stop(self) -> None:
        """Leave the counters in the log: perhaps nobody has scraped them since the last turn."""
        if self._runtime is not None and (counters := _counters(generate_latest(self._runtime.registry))):
            logger.info("metrics.final", counters=counters)

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Capacity: normal, alert or critical, with the figures behind it."""
        return self._runtime.health.capacity() if self._runtime is not None else {}

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Count it."""
        handler = self._handlers.get(event.name)
        if handler is not None:
            handler(event)

    def _paths(self) -> tuple[str, ...]:
        return self._app.paths if self._app is not None else ()

    def _expect(self) -> None:
        """Expose what the settings, routes and tools in force can lead to."""
        if self._runtime is not None:
            snapshot = self._runtime.current
            self.figures.expect(snapshot.settings, self._paths(), snapshot.tools.names)

    # -- events ------------------------------------------------------------------------------------------------------

    def _flags_changed(self, event: SettingsChanged) -> None:
        if not event.adopted:
            self.figures.flag_changes.inc()
        # What switched it off reached nobody here, and neither did what happened until now: a gate has to know.
        if event.changes.get("METRICS_ENABLED") == (False, True):
            self.figures.resumed.inc()
            # Nor did what became of the circuits meanwhile; a breaker that is on reports them after every change.
            self.figures.circuit_state.reset()

    def _request_finished(self, event: RequestFinished) -> None:
        if event.background:
            # That its turn was taken says nothing of how it ends.
            return
        cohort = one_of(event.cohort, COHORTS)
        self.figures.requests(event.route, event.status, cohort).inc()
        self.figures.durations(event.route, event.status, cohort).observe(event.duration)
        self._rejected(event)

    def _turn_finished(self, event: TurnFinished) -> None:
        figures, turn, result = self.figures, event.turn, event.result
        account = _account(turn)
        account.observe(event)
        of_cohort = figures.of_cohort(turn.cohort)
        own = account.overhead(event)
        of_cohort.overhead.observe(own)
        # In the order of TIME_PARTS.
        parts = (account.model_time, account.tool_time, turn.queue_wait, account.retry_wait, own)
        for total, seconds in zip(figures.time_parts, parts, strict=True):
            total.inc(seconds)
        of_cohort.iterations.observe(turn.iterations)
        if account.first_delta is not None:
            of_cohort.first_delta.observe(account.first_delta)
        if result is not None:
            figures.stop_reasons(one_of(result.stop_reason, STOP_REASONS)).inc()
            if result.degraded:
                figures.degraded(one_of(turn.cohort, COHORTS)).inc()

    def _attempt_finished(self, event: AttemptFinished) -> None:
        figures, attempt = self.figures, event.attempt
        _account(attempt.turn).observe(event)
        model = attempt.model.alias
        figures.attempts(model, one_of(event.outcome, OUTCOMES)).inc()
        of_model = figures.of_model(model)
        of_model.seconds.observe(event.duration)
        if attempt.cache_plan is not None:
            figures.cache_decisions(attempt.cache_plan.rule).inc()
        usage = attempt.usage
        if usage is not None:
            sent, answered, cache_read, cache_write = of_model.tokens
            sent.inc(usage.input_tokens)
            answered.inc(usage.output_tokens)
            cache_read.inc(usage.cache_read_tokens)
            cache_write.inc(usage.cache_write_tokens)
            of_model.cost.inc(cost_usd(attempt.model, usage))
            of_model.cost_uncached.inc(uncached_cost_usd(attempt.model, usage))
        elif usage_is_missing(event):
            figures.usage_unknown(model).inc()

    def _attempt_answered(self, event: AttemptAnswered) -> None:
        _account(event.attempt.turn).observe(event)
        self.figures.answered(event.attempt.model.alias).inc()

    def _tool_finished(self, event: ToolFinished) -> None:
        call = event.tool_call
        _account(call.turn).observe(event)
        # The name of a tool that does not exist is the model's own invention.
        name = call.tool.name if call.tool is not None else UNKNOWN_TOOL
        result = call.result
        failed = result is None or result.status == "error"
        outcome = one_of(result.reason if result is not None else "", TOOL_OUTCOMES) if failed else "success"
        self.figures.tools(name, outcome).inc()
        if call.tool is not None:
            self.figures.tool_seconds(name).observe(call.duration)

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        turn = event.call.turn
        _account(turn).observe(event)
        if event.model == turn.model:
            outcome = getattr(event.error, "outcome", "")
            self.figures.retries(turn.model, one_of(outcome, OUTCOMES)).inc()
            self.figures.retry_wait.inc(event.after_seconds)

    def _fallback_used(self, event: Any) -> None:
        _account(event.call.turn).observe(event)
        self.figures.fallbacks(event.from_model, event.to_model).inc()

    def _circuit(self, model: str, state: str) -> None:
        self.figures.circuit_changes(model, state).inc()
        self._circuit_is(model, state)

    def _circuit_is(self, model: str, state: str) -> None:
        self.figures.circuit_state(model).set(CIRCUIT_STATES.index(state))

    def _health_changed(self, event: HealthChanged) -> None:
        if event.before != event.after:
            self.figures.health_changes(event.after).inc()

    def _queue_left(self, event: Any) -> None:
        self.figures.queue_depth.dec()
        self.figures.queue_wait(one_of(event.turn.cohort, COHORTS)).observe(event.waited)

    def _rejected(self, event: RequestFinished | RunFinished) -> None:
        if event.status == "rejected":
            self.figures.rejections(one_of(event.code, REJECTIONS)).inc()

    def _run_finished(self, event: RunFinished) -> None:
        cohort = one_of(event.cohort, COHORTS)
        self.figures.runs(one_of(event.state, RUN_STATES)).inc()
        self.figures.requests(event.route, event.status, cohort).inc()
        self._rejected(event)
        # What may take minutes, and what nobody ran, says nothing of how long people wait for an answer.
        if event.duration and not event.exhaustive:
            self.figures.durations(event.route, event.status, cohort).observe(event.duration)

    def _runs_changed(self, event: RunsChanged) -> None:
        self.figures.runs_active.set(event.running)
        self.figures.runs_queued.set(event.queued)

    def _in_turn(self, event: Event) -> None:
        """For what only the account needs."""
        turn = turn_of(event)
        if turn is not None:
            _account(turn).observe(event)


def _account(turn: Turn) -> TurnAccount:
    account: TurnAccount | None = turn.stash.get(_NAME)
    if account is None:
        account = turn.stash[_NAME] = TurnAccount()
    return account


def _counters(text: bytes) -> dict[str, float]:
    """Our own counters above zero, by name and labels as they are exposed."""
    samples = (line.rpartition(" ") for line in text.decode().splitlines() if line.startswith("rom_"))
    return {name: float(value) for name, _, value in samples if "_total" in name.partition("{")[0] and float(value)}
