"""The plugin: settings, tables, routes, and the turns that go on by themselves.

Settings: RUNS_ENABLED (switch), RUNS_QUEUE_MAX, RUNS_CONCURRENT, RUN_DEADLINE_SECONDS, RUN_LEASE_SECONDS,
RUN_RETENTION_DAYS. Hooks: rom_settings, rom_tables, rom_erase, rom_routes, rom_start, rom_stop, rom_status,
rom_background, rom_tool_call, rom_event.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from plugins.runs import packing
from plugins.runs.admin import PersonRunsResource, WholeRunResource
from plugins.runs.journal import encoded
from plugins.runs.reading import EventStream
from plugins.runs.routes import CancelResource, EventsResource, RunResource, RunsResource
from plugins.runs.upkeep import Upkeep
from plugins.runs.work import Work
from rom_core.background import BackgroundTurn
from rom_core.errors import StoreUnavailable
from rom_core.events import Event, RunAccepted, ServerDraining
from rom_core.http.stream import start_of
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.settings.keys import content_keys
from rom_core.store.content_owner import Owner
from rom_core.store.sealing import Sealer
from rom_core.tables import Erasure, Tables
from rom_core.telemetry.ids import new_id
from rom_core.tools import ToolResult
from rom_core.turn import ToolCall, Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection

RUN_PREFIX = "run_"


class Runs:
    """The plugin; what it remembers is in `Work`, and in the store."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._work: Work | None = None

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, how many run and wait, how long they may take, and how long they are kept."""
        return [
            Setting("RUNS_ENABLED", bool, False, "Take turns that go on by themselves (`background`).", switch=True),
            Setting(
                "RUNS_QUEUE_MAX",
                int,
                20,
                "Runs that may wait, in all instances together.",
                minimum=0,
                maximum=10_000,
                scope="process",
            ),
            Setting(
                "RUNS_CONCURRENT",
                int,
                2,
                "Exhaustive runs at the same time in one instance while the limiter is off.",
                minimum=1,
                maximum=100,
                scope="process",
            ),
            Setting(
                "RUN_DEADLINE_SECONDS",
                float,
                900.0,
                "Seconds that an exhaustive run may take once it has begun.",
                minimum=1,
                maximum=86_400,
            ),
            Setting(
                "RUN_LEASE_SECONDS",
                float,
                20.0,
                "Seconds without a sign of life after which another instance takes a run over.",
                minimum=2,
                maximum=600,
                scope="process",
            ),
            Setting(
                "RUN_RETENTION_DAYS",
                int,
                7,
                "Days after its end that a run is erased, with its events.",
                minimum=1,
                maximum=36_500,
                scope="process",
            ),
        ]

    @hookimpl
    def rom_tables(self) -> Tables:
        """Runs, the files of their requests, and their events; not in the good copy, since they are content."""
        from plugins.runs.tables import METADATA

        return Tables(METADATA, migrations="plugins.runs.migrations")

    @hookimpl
    def rom_erase(self, connection: Connection, erasure: Erasure) -> int:
        """Runs in these conversations, and all of the person's."""
        from plugins.runs import owning

        ids = set(owning.of_conversations(connection, erasure.conversation_ids))
        if erasure.user is not None:
            ids.update(owning.owned_by(connection, erasure.user, erasure.key_name))
        owning.remove(connection, sorted(ids))
        return len(ids)

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """The owner's runs, one of them, its events, cancelling it, and all runs of a person for an administrator."""
        work = self._opened(runtime)
        app.add_route("/api/runs", RunsResource(runtime, work))
        app.add_route("/api/runs/{run_id}", RunResource(runtime, work))
        app.add_route("/api/runs/{run_id}/events", EventsResource(runtime, work))
        app.add_route("/api/runs/{run_id}/cancel", CancelResource(runtime, work))
        app.add_route("/admin/runs", PersonRunsResource(work))
        app.add_route("/admin/runs/{run_id}", WholeRunResource(work))

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Run what is queued, and look after what runs. Raises StoreRefused for content that no key opens."""
        work = self._opened(runtime)
        if runtime.store is None:
            return
        upkeep = Upkeep(runtime, work)
        if runtime.current.settings.RUNS_ENABLED:
            upkeep.check_keys()
        work.start(upkeep.look)

    @hookimpl
    def rom_stop(self) -> None:
        """Hand over what still runs."""
        if self._work is not None and self._runtime is not None and self._runtime.store is not None:
            self._work.stop()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """How many run here, and how many wait in all."""
        return {} if self._work is None else {"running": self._work.running, "queued": self._work.queued}

    @hookimpl
    def rom_background(self, turn: Turn) -> BackgroundTurn:
        """Queue the turn. Raises QueueFull, ConversationBusy and StoreUnavailable."""
        if self._work is None or self._runtime is None:
            raise StoreUnavailable("runs have not been started", retry_after=None)
        return self._accept(self._runtime, self._work, turn)

    @hookimpl(wrapper=True)
    def rom_tool_call(self, tool_call: ToolCall) -> Generator[None, ToolResult, ToolResult]:
        """Before a tool that must not run twice it is noted that this run does not begin again."""
        tool = tool_call.tool
        if self._work is not None and tool is not None and not tool.repeatable:
            self._work.guard(tool_call.turn)
        return (yield)

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """The process drains: what runs is handed over while it waits."""
        if isinstance(event, ServerDraining) and self._work is not None:
            self._work.drain()

    def _accept(self, runtime: Runtime, work: Work, turn: Turn) -> BackgroundTurn:
        from plugins.runs import keeping
        from plugins.runs.keeping import Accepted

        run_id, request = f"{RUN_PREFIX}{new_id()}", turn.request
        # Whoever reads along waits for the answer, and is not to stand behind those who do not.
        exhaustive = request.mode == "exhaustive" or not request.stream
        body, files = packing.packed(replace(request, mode="exhaustive" if exhaustive else request.mode))
        first = [["start", start_of(turn) | {"run_id": run_id}]]
        first += [["warning", dict(one)] for one in request.warnings]
        run = Accepted(
            id=run_id,
            turn_id=turn.id,
            owner=Owner(request.key_name, request.user or ""),
            conversation_id=request.conversation_id,
            exhaustive=exhaustive,
            trace_id=turn.trace_id,
            request_id=turn.request_id,
            request=work.sealer.seal(body),
            files={digest: work.sealer.seal(file) for digest, file in files.items()},
            events=len(first),
            batch=work.sealer.seal(encoded(first)),
        )
        most, now = runtime.current.settings.RUNS_QUEUE_MAX, runtime.clock.time()
        work.store.write(lambda connection: keeping.accept(connection, run, most, now))
        runtime.emit(RunAccepted(run_id, turn.trace_id))
        work.look_soon()
        answer = {
            "run_id": run_id,
            "conversation_id": request.conversation_id,
            "events": f"/api/runs/{run_id}/events",
        }

        def follow(req: Any, release: Callable[[], None]) -> Iterable[bytes]:
            return EventStream(runtime, work, run_id, 0, req, release)

        return BackgroundTurn(answer, follow)

    def _opened(self, runtime: Runtime) -> Work:
        if self._work is None:
            self._runtime = runtime
            sealer = Sealer(content_keys(runtime.current.settings.CONTENT_KEY))
            self._work = Work(runtime, sealer, lambda: runtime.current.settings.RUNS_ENABLED)
        return self._work
