"""The hook points of the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rom_core.markers import hookspec

if TYPE_CHECKING:
    from prometheus_client.registry import Collector
    from sqlalchemy import Connection

    from rom_core.plugin.protocols import PluginRoutes, Runtime
    from rom_core.settings import Rule, Setting
    from rom_core.tables import Erasure, Tables
    from rom_core.tools import Tool

# == the process =====================================================================================================


@hookspec
def rom_settings() -> Sequence[Setting | Rule]:  # type: ignore[empty-body]
    """Declare the plugin's settings, and rules that relate them. Kind: collect.

    Called once, when the catalogue is loaded, before any configuration is read, switched on or not. One setting may
    be marked `switch=True`: it turns the plugin on and off; without one the core declares `<NAME>_ENABLED`, off.
    An exception, or a name that is taken, stops the start with the plugin's name.

        @hookimpl
        def rom_settings(self):
            return [Setting("GREETING_ENABLED", bool, False, "greet the person", switch=True)]
    """


@hookspec
def rom_tools() -> Sequence[Tool]:  # type: ignore[empty-body]
    """Contribute tools. Kind: collect.

    Called when a snapshot is built, of plugins that are switched on. An exception, a name that another plugin offers
    already, or an invalid schema refuses the snapshot.

        @hookimpl
        def rom_tools(self):
            return [Tool("add", "adds two numbers", SCHEMA, run=lambda input, context: input["a"] + input["b"])]
    """


@hookspec
def rom_tables() -> Tables | None:
    """Tables of the plugin in the store, with their migrations. Kind: collect.

    Called once, before the store is opened, switched on or not; missing tables are made, and due migrations carried
    out, before `rom_start`. Names of tables begin with that of the plugin; a plugin that is uninstalled leaves its
    tables behind. `runtime.store` reads and writes them (docs/store.md). An exception, or a table that is somebody
    else's, stops the start with the plugin's name.

        @hookimpl
        def rom_tables(self):
            from greeting.tables import METADATA

            return Tables(METADATA, migrations="greeting.migrations")
    """


@hookspec
def rom_erase(connection: Connection, erasure: Erasure) -> int | None:
    """Conversations, or everything of a person, are erased: erase what the plugin keeps of them. Kind: call all.

    Called in the transaction that erases, switched on or not; may be called again with the same. Return how much was
    erased; a person's erasure is called a second time, which must find nothing. An exception undoes the erasure, and
    whoever asked for it gets an error.

        @hookimpl
        def rom_erase(self, connection, erasure):
            gone = delete(NOTES).where(NOTES.c.conversation_id.in_(erasure.conversation_ids))
            return connection.execute(gone).rowcount
    """


@hookspec
def rom_routes(app: PluginRoutes, runtime: Runtime) -> None:
    """Add HTTP routes with `app.add_route(path, resource)` (Falcon). Kind: call all.

    Called once at start, switched on or not; while the plugin is off its routes answer 404 `plugin_disabled`. The
    resource's `auth` says who may use it: "key" (the default), "open", "admin", or "token": who has the secret of the
    setting that `token_setting` names, and everybody while it is empty. `scope_setting` names a setting that lists the
    names of the API keys or admin tokens that may ("*": all); the others get 403. Each may be a mapping by method. A
    HEAD request is answered by `on_get`; OPTIONS passes without credentials. The return value is ignored. An exception,
    another `auth`, or a path that is served already stops the start.

        @hookimpl
        def rom_routes(self, app, runtime):
            app.add_route("/greeting", GreetingResource(runtime))
    """


@hookspec
def rom_start(runtime: Runtime) -> None:
    """The process is about to serve: open what must be open, start threads. Kind: call all.

    Called once, switched on or not (a plugin can be switched on later). The return value is ignored. An exception
    stops the start.

        @hookimpl
        def rom_start(self, runtime):
            self.clock = runtime.clock
    """


@hookspec
def rom_collectors() -> Sequence[Collector]:  # type: ignore[empty-body]
    """Figures of the plugin for GET /metrics: collectors of prometheus-client, of no registry. Kind: collect.

    Called once, after `rom_start` of every plugin, switched on or not; at a scrape the figures of a plugin that is off
    are left out. A name that another plugin has, that begins with `rom_`, `process_` or `python_`, or is none stops the
    start with the plugin's name, and so does an exception. At a scrape an exception of a collector, a name as above or
    a value that cannot be written costs that collector's figures only: counted in `rom_collector_errors_total`, logged
    once. A plugin has at most 1,000 samples; one that takes longer than 10 ms is asked at most once a second, and one
    that takes a second is left out. No label takes a value that a client can choose.

        @hookimpl
        def rom_collectors(self):
            return [self.greeted]  # = Counter("greeting_said", "Greetings", registry=None)
    """


@hookspec
def rom_stop(runtime: Runtime) -> None:
    """The process stops serving: stop threads, flush, close. Kind: call all, each isolated.

    Called once, after the last turn, in a thread of its own. The return value is ignored. An exception is logged; a
    plugin that takes longer than 30 seconds is left behind.

        @hookimpl
        def rom_stop(self, runtime):
            self.writer.close()
    """


@hookspec
def rom_status() -> dict[str, Any]:  # type: ignore[empty-body]
    """The plugin's part of GET /admin/status, JSON. Kind: collect, each isolated.

    Called for each status request, of plugins that are switched on. An exception, or what is no JSON, shows as an error
    in its place.

        @hookimpl
        def rom_status(self):
            return {"greeted": self.count}
    """
