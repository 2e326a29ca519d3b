"""Telemetry: traces and gen_ai.* metrics by OpenTelemetry, as OTLP over HTTP.

Settings: TELEMETRY_ENABLED (switch), TELEMETRY_OLD_METRIC_NAMES, TELEMETRY_PLAIN_HTTP, and the standard
OTEL_EXPORTER_OTLP_ENDPOINT and its kin. Hooks: rom_settings, rom_start, rom_stop, rom_status, rom_event. A pure
observer: it makes spans of events and patches nothing. The libraries come with the extra `otel` and are imported when
it is switched on; sending is done in threads of theirs, which no turn waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog

from plugins.telemetry.losses import Losses
from plugins.telemetry.settings import EXPORTER_SETTINGS, SWITCH, declared
from rom_core.events import Event, SettingsChanged
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting

if TYPE_CHECKING:
    from plugins.telemetry.export import Export
    from plugins.telemetry.observer import Observer

logger = structlog.get_logger("rom.telemetry")


class Telemetry:
    """The plugin."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._losses: Losses | None = None
        # Held while something is opened or closed, never by who only observes.
        self._lock = threading.Lock()
        self._export: Export | None = None
        self._observer: Observer | None = None
        self._opening = False
        # Opening failed, and would again until a setting has changed.
        self._refused = False
        self._stopped = False

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, and where telemetry goes."""
        return declared()

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Open what sends telemetry, if it is on."""
        self._runtime = runtime
        self._losses = Losses(runtime.clock)
        self._losses.register(runtime.registry)
        self._stopped = False
        if self._wanted():
            self._open()

    @hookimpl
    def rom_stop(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._stopped = True
        self._close()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Where telemetry goes, and what became of it."""
        export = self._export
        counts = self._losses.status() if self._losses is not None else {}
        return {"open": export is not None, "endpoints": export.where() if export is not None else {}, **counts}

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Make what it says a span or a figure."""
        if isinstance(event, SettingsChanged):
            self._follow(event)
            return
        observer = self._observer
        if observer is not None:
            observer.observe(event)
        elif not self._opening and not self._refused and self._wanted():
            # On for a canary alone: its first turn must not wait until the libraries are there.
            self._opening = True
            try:
                self._in_background(self._open, "telemetry-open")
            except RuntimeError:
                # No thread can be started now.
                self._opening = False
                raise

    # -- opening and closing -----------------------------------------------------------------------------------------

    def _wanted(self) -> bool:
        """Whether it is on for anybody: for everybody, or for the canary's share."""
        if self._runtime is None or self._stopped:
            return False
        current = self._runtime.current
        snapshots = [current, *([current.canary.snapshot] if current.canary is not None else [])]
        return any(getattr(snapshot.settings, SWITCH) for snapshot in snapshots)

    def _look(self) -> None:
        """Close what nobody wants any more: the end of a canary is told only to those who are on."""
        if self._export is not None and not self._wanted():
            self._in_background(self._close, "telemetry-close")

    def _follow(self, event: SettingsChanged) -> None:
        self._refused = False
        if not self._wanted():
            if self._export is not None:
                self._in_background(self._close, "telemetry-close")
        elif self._export is None:
            self._open()
        elif EXPORTER_SETTINGS & event.changes.keys():
            before = self._take()
            self._open()
            if before is not None:
                self._in_background(before.close, "telemetry-close")

    def _open(self) -> None:
        runtime, losses = self._runtime, self._losses
        if runtime is None or losses is None:
            return
        with self._lock:
            try:
                self._open_now(runtime, losses)
            finally:
                self._opening = False

    def _open_now(self, runtime: Runtime, losses: Losses) -> None:
        if self._export is not None or self._stopped:
            return
        settings = runtime.current.settings
        try:
            from plugins.telemetry.export import Export
            from plugins.telemetry.meters import Meters
            from plugins.telemetry.observer import Observer
            from plugins.telemetry.spans import Spans

            export = Export(settings, runtime.fleet.id, losses, self._look)
        except (ValueError, ImportError) as error:
            # One of the standard variables that only the library reads: telemetry must not stop a server.
            self._refused = True
            logger.error("telemetry.not_opened", reason=str(error))
            return
        spans = Spans(export.traces, export.ids, runtime.clock)
        self._export = export
        self._observer = Observer(
            spans, Meters(export.meters), runtime.clock, lambda name: getattr(runtime.current.settings, name)
        )
        logger.info("telemetry.opened", **export.where())

    def _take(self) -> Export | None:
        """What is open, which nobody uses from now on."""
        with self._lock:
            export, self._export, self._observer = self._export, None, None
        return export

    def _close(self) -> None:
        export = self._take()
        if export is not None:
            export.close()
            logger.info("telemetry.closed")

    @staticmethod
    def _in_background(task: Any, name: str) -> None:
        threading.Thread(target=task, name=name, daemon=True).start()
