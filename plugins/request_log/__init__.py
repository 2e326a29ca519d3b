"""Request log: one line for what happened, one that closes each turn with everything needed to judge it.

Settings: LOGGING_ENABLED (switch), LOG_CONTENT, LOG_CONTENT_MINUTES; how lines are written is the core's (LOG_FORMAT,
LOG_LEVEL). Where people read them, a turn is one short line and the rest is at DEBUG. Hooks: rom_settings, rom_start,
rom_stop, rom_event. A pure observer; it remembers the account of each turn, on the turn itself, and for people the
request ids of turns that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import structlog

from plugins.request_log.content import ContentLimit, content_is_an_exception
from plugins.request_log.fields import closing, describe
from plugins.request_log.people import FailedTurns, request_line, turn_line
from rom_core.errors import RomError
from rom_core.events import (
    AttemptFinished,
    Event,
    RequestFinished,
    RetryScheduled,
    RunAccepted,
    RunFinished,
    RunStarted,
    SettingsChanged,
    TurnFinished,
)
from rom_core.http.requests import UNMATCHED
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting
from rom_core.telemetry.accounts import ACCOUNTED, TurnAccount, turn_of

# Events that are not in the table, such as those of other plugins, are logged as INFO. The core itself logs, whether
# this plugin is on or not, that the server drains, that settings have changed, that their store is in trouble, and
# whether all is well.
LEVELS: Mapping[str, int] = {
    "request.started": logging.DEBUG,
    "request.rejected": logging.DEBUG,
    "auth.failed": logging.DEBUG,
    "turn.started": logging.DEBUG,
    "iteration.started": logging.DEBUG,
    "iteration.finished": logging.DEBUG,
    "model_call.started": logging.DEBUG,
    "model_call.finished": logging.DEBUG,
    "attempt.started": logging.DEBUG,
    "attempt.answered": logging.DEBUG,
    "tool.started": logging.DEBUG,
    "tool.finished": logging.DEBUG,
    "server.draining": logging.DEBUG,
    "flags.changing": logging.DEBUG,
    "store.used": logging.DEBUG,
    "flags.store_troubled": logging.DEBUG,
    "alert.sent": logging.DEBUG,
    "queue.entered": logging.DEBUG,
    "queue.left": logging.DEBUG,
    "retry.scheduled": logging.INFO,
    "answer.restarted": logging.WARNING,
    "fallback.used": logging.WARNING,
    "loop.stopped": logging.WARNING,
    "retry.declined": logging.WARNING,
    "fallback.exhausted": logging.WARNING,
    "circuit.reported": logging.DEBUG,
    "circuit.opened": logging.ERROR,
    "circuit.half_opened": logging.WARNING,
    "circuit.closed": logging.WARNING,
    "guardrail.warned": logging.WARNING,
    "guardrail.tripped": logging.WARNING,
    "runs.changed": logging.DEBUG,
    "run.taken_over": logging.WARNING,
    "capacity.changed": logging.WARNING,
    "health.changed": logging.DEBUG,
    "canary.changed": logging.WARNING,
    "canary.aborted": logging.ERROR,
}
FAILED_ATTEMPT = "attempt.failed"
# Answered well, these are worth a line at DEBUG only: machines ask every few seconds, and a page is of twenty files.
_QUIET_ROUTES = ("/health", "/ready", "/metrics", "/", "/console", "/assets/{name}", "/favicon.ico")
_OWN = "request_log"
_LOGGER = "rom.events"


class RequestLog:
    """The plugin."""

    def __init__(self) -> None:
        self._logger = structlog.get_logger(_LOGGER)
        self._enabled = logging.getLogger(_LOGGER).isEnabledFor
        self._turn_routes: set[str] = set()
        self._limit: ContentLimit | None = None
        self._for_people = False
        self._failed = FailedTurns()

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, and whether content is logged."""
        return [
            Setting("LOGGING_ENABLED", bool, True, "Log what happens to requests and turns.", switch=True),
            Setting(
                "LOG_CONTENT",
                bool,
                False,
                "Log questions, answers, tools' input and output; never in production, in staging at run time only.",
            ),
            Setting(
                "LOG_CONTENT_MINUTES",
                int,
                15,
                "Minutes after which LOG_CONTENT ends by itself in staging.",
                minimum=1,
                maximum=60,
                scope="process",
            ),
            Rule(("LOG_CONTENT",), content_is_an_exception),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Note who reads the log; in staging, see to it that LOG_CONTENT ends."""
        self._for_people = runtime.current.settings.LOG_FORMAT == "console"
        if runtime.current.settings.environment == "staging":
            self._limit = ContentLimit(runtime)
            self._limit.start()

    @hookimpl
    def rom_stop(self) -> None:
        """Look no more."""
        if self._limit is not None:
            self._limit.stop()

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Write the event's line, if its level is logged; a change of settings has the core's."""
        if isinstance(event, SettingsChanged):
            return
        kind = type(event)
        account = _account(event) if kind in ACCOUNTED else None
        name = event.name
        level = LEVELS.get(name) or self._level(event)
        if self._for_people:
            level = self._write_short(event, account, level)
        if not self._enabled(level):
            return
        if isinstance(event, TurnFinished) and account is not None:
            self._logger.log(level, name, **closing(event, account))
            return
        if kind is AttemptFinished and level >= logging.WARNING:
            name = FAILED_ATTEMPT
        self._logger.log(level, name, **describe(event))

    def _write_short(self, event: Event, account: TurnAccount | None, level: int) -> int:
        """Write the event's line for people, if it has one; the level of the line that tells everything."""
        if isinstance(event, TurnFinished) and account is not None:
            if event.error is not None:
                self._failed.add(event.turn.request_id)
            self._logger.log(level, event.name, short=turn_line(event, account))
            return level if event.turn.settings.LOG_CONTENT else logging.DEBUG
        if isinstance(event, RequestFinished):
            if not self._failed.take(event.request_id) and event.status != "ok" and level > logging.DEBUG:
                self._logger.log(level, event.name, short=request_line(event))
            return logging.DEBUG
        # The turn's line says it, as it does of a run, unless that ended without a turn.
        repeated = isinstance(event, RetryScheduled | RunAccepted | RunStarted)
        repeated = repeated or (isinstance(event, RunFinished) and event.state == "done")
        return logging.DEBUG if repeated else level

    def _level(self, event: Event) -> int:
        if isinstance(event, TurnFinished):
            self._turn_routes.add(event.turn.route)
            return _level_of_error(event.error)
        if isinstance(event, RequestFinished):
            # A turn that went well has its own closing line.
            quiet = event.status == "ok" and (event.route in _QUIET_ROUTES or event.route in self._turn_routes)
            # Strangers ask for what is not there by the thousand: rom_requests_total counts them, the log need not.
            quiet = quiet or (event.code == "not_found" and event.route == UNMATCHED)
            return logging.DEBUG if quiet else logging.ERROR if event.code == "internal_error" else logging.INFO
        if isinstance(event, RunFinished):
            return logging.WARNING if event.status == "error" else logging.INFO
        if isinstance(event, AttemptFinished):
            return logging.DEBUG if event.outcome in ("ok", "cancelled") else logging.WARNING
        return logging.INFO


def _account(event: Event) -> TurnAccount | None:
    """The account of the event's turn, brought up to date."""
    turn = turn_of(event)
    if turn is None:
        return None
    account: TurnAccount | None = turn.stash.get(_OWN)
    if account is None:
        account = turn.stash[_OWN] = TurnAccount()
    account.observe(event)
    return account


def _level_of_error(error: RomError | None) -> int:
    if error is None or error.status < 500:
        return logging.INFO
    return logging.ERROR if error.code == "internal_error" else logging.WARNING
