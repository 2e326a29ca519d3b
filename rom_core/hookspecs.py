"""Every hook point of ROM Agent, in the order in which data meets them. Project name for pluggy: "rom".

A plugin is an object with methods marked `@hookimpl`, named as here, that take any subset of the arguments, by name.
They are plain functions: one that is `async`, or yields without being a wrapper, is refused. Four kinds of hook:

* collect: every plugin is asked, each returns a list (or None); a plugin that raises stops the start.
* call all: every plugin is called in the order of PLUGINS.
* around: wrap the inner step with `@hookimpl(wrapper=True)`: code before `yield`, `result = yield`, code after,
  `return result`. Raise before `yield` to refuse: the inner step does not run. `yield` exactly once; to have a step
  done again return a decision from the hook that asks for one. A plain (not wrapping) implementation that returns
  something other than None answers in the place of the inner step. Hooks of the process, and observers, have no inner
  step: each plugin is asked alone, and a wrapper is refused.
* first answer: plugins are asked in the order of PLUGINS until one returns something other than None.

Observers (`rom_event`, `rom_delta`) are called one by one, each isolated: one that raises is logged and counted and
breaks nothing. An exception anywhere else fails the turn with 500 `internal_error` unless it is a `RomError`, which
becomes the HTTP answer it stands for. So does an answer of another type than the hook's, such as the None of a wrapper
that forgets to return what it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rom_core.markers import hookspec

if TYPE_CHECKING:
    from rom_core.answer_text import TextFilter
    from rom_core.errors import RomError
    from rom_core.events import Event
    from rom_core.files import KeptFile
    from rom_core.plugin.protocols import PluginRoutes, Runtime
    from rom_core.settings import Rule, Setting
    from rom_core.tables import Tables
    from rom_core.tools import Tool, ToolResult
    from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
    from rom_core.turn_values import CachePlan, IterationResult, ModelReply, StopLoop, TryAgain, TurnResult

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
def rom_routes(app: PluginRoutes, runtime: Runtime) -> None:
    """Add HTTP routes with `app.add_route(path, resource)` (Falcon). Kind: call all.

    Called once at start, switched on or not; while the plugin is off its routes answer 404 `plugin_disabled`. The
    resource's `auth` says who may use it: "key" (the default), "open", "admin", or "token": who has the secret of the
    setting that `token_setting` names, and everybody while it is empty. A HEAD request is answered by `on_get`; OPTIONS
    passes without credentials. The return value is ignored. An exception, another `auth`, or a path that is served
    already stops the start.

        @hookimpl
        def rom_routes(self, app, runtime):
            app.add_route("/greeting", GreetingResource(runtime))
    """


@hookspec
def rom_start(runtime: Runtime) -> None:
    """The process is about to serve: open what must be open, start threads. Kind: call all.

    Called once, switched on or not: it can be switched on later. Nothing is returned. An exception stops the start.

        @hookimpl
        def rom_start(self, runtime):
            self.clock = runtime.clock
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

    Called for each status request, of plugins that are on. An exception, or what is no JSON, shows as an error there.

        @hookimpl
        def rom_status(self):
            return {"greeted": self.count}
    """


# == a turn ==========================================================================================================


@hookspec(firstresult=True)
def rom_admit(route: str, key_name: str) -> RomError | None:
    """Somebody asks for a turn; shall the request be looked at? Kind: first answer.

    Called after authentication and before the body is read, so that a flood costs little: `route` is the template,
    `key_name` names the API key ("" if there are none). Return a `RomError` to refuse; None lets the request in, and
    `rom_turn` may still refuse the turn. While a canary runs nobody knows yet which snapshot the request will see: it
    is refused only if the plugins of both refuse. Must not block. An exception fails the request: a guard fails closed.

        @hookimpl
        def rom_admit(self, key_name):
            return Rejected("come back later", retry_after=30) if key_name in self.paused else None
    """


@hookspec(firstresult=True)
def rom_file(file_id: str, key_name: str) -> KeptFile | None:
    """A message names a file that was uploaded before; who has it? Kind: first answer.

    Called before the turn begins, for each `file_id`; `key_name` names the API key that asks. Return the file only if
    that key may see it; without it the request is 404 `file_not_found`. An exception fails the request.

        @hookimpl
        def rom_file(self, file_id, key_name):
            return self.archive.get((key_name, file_id))
    """


@hookspec(firstresult=True)
def rom_turn(turn: Turn) -> TurnResult | None:
    """The whole turn. Kind: around.

    Called once per admitted turn, in the thread that runs it. Returns the turn's answer. Raise a `RomError` before
    `yield` to refuse it (a limiter); an exception after `yield` throws a paid answer away.

        @hookimpl(wrapper=True)
        def rom_turn(self, turn):
            with self.slots.acquire(turn):
                return (yield)
    """


@hookspec(firstresult=True)
def rom_iteration(iteration: Iteration) -> IterationResult | None:
    """One round of the tool loop: a model call and the tools it asks for. Kind: around.

    Called until an iteration is finished or stopped, at most MAX_LOOPS_ABSOLUTE times. Returns what it came to. An
    exception fails the turn.

        @hookimpl(wrapper=True)
        def rom_iteration(self, iteration):
            result = yield
            return result
    """


@hookspec(firstresult=True)
def rom_model_call(call: ModelCall) -> ModelReply | None:
    """One logical question to a model, with all its attempts. Kind: around.

    Called once per iteration, and once more to close a stopped loop (`call.closing`). Returns the complete reply; a
    plain implementation may answer from elsewhere (a cache), and nothing goes on the wire. Not called while the kill
    switch is off. An exception that comes out of it ends the turn.

        @hookimpl(wrapper=True)
        def rom_model_call(self, call):
            reply = yield
            return reply
    """


@hookspec(firstresult=True)
def rom_model_attempt(attempt: Attempt) -> ModelReply | None:
    """One request on the wire. Kind: around.

    Called at least once per model call. Returns the complete reply; the stream has been read to its end. Raise a
    `ModelError` before `yield` to refuse it (an open circuit): nothing goes on the wire and `rom_model_failed` is
    asked as after any failure; any other exception ends the turn.

        @hookimpl(wrapper=True)
        def rom_model_attempt(self, attempt):
            self.circuit(attempt.model).admit()
            return (yield)
    """


@hookspec
def rom_model_request(attempt: Attempt, request: dict[str, Any]) -> None:
    """Amend the Converse request of this attempt, in place. Kind: call all.

    Called before every request on the wire, with a fresh copy made for the model it goes to (`attempt.model`); what
    is changed here does not reach the next attempt. The normaliser runs afterwards. The return value is ignored. An
    exception fails the turn.

        @hookimpl
        def rom_model_request(self, attempt, request):
            request["system"].append({"cachePoint": {"type": "default"}})
    """


@hookspec(firstresult=True)
def rom_cache_points(attempt: Attempt, request: dict[str, Any]) -> CachePlan | None:
    """Where shall this request's cache points stand? Kind: first answer.

    Called before every request on the wire to a model that caches prompts, after the normaliser, with the request as it
    goes out (read only), unless a plugin has set points in it already. The core sets the points of the `CachePlan` and
    keeps it as `attempt.cache_plan`; None sets none. An exception fails the turn.

        @hookimpl
        def rom_cache_points(self, attempt, request):
            return CachePlan("later_call", static="5m", moving=True) if attempt.call.iteration > 1 else None
    """


@hookspec
def rom_text(turn: Turn) -> TextFilter | None:
    """A filter through which the answer passes on its way to the client, streamed or not. Kind: collect.

    Called for each attempt at a model that gives text, and for each text that the core or a plugin says by itself
    (`turn.say`): each gets a new filter of every plugin, fed in the order of PLUGINS. None: this plugin lets it pass.

    A filter gets the text of an attempt in pieces, of any cut, and may hold text back: that is not emitted, so the
    attempt may still be repeated, with new filters, and nothing of the failed one is seen; the client of a stream gets
    comments meanwhile. `close()` is called once the text is complete, and gives the rest. The blank line between two
    iterations is put in afterwards. What was thought, and the inputs of tools, are no text. The conversation, and so
    the next iteration, keeps what the model said; `turn.text`, `rom_delta` and the answer have what came out. Of a
    structured answer a filter gets the JSON in one piece; if what it makes of that breaks the schema, it is 502
    `invalid_output`.

    An exception of a filter ends the turn, as that of a guard: nothing more is said in it, not even an own text of the
    core. The method must not block, and a filter must not call `turn.say`.

        @hookimpl
        def rom_text(self, turn):
            return Unmasking(turn.stash["masking"]) if "masking" in turn.stash else None
    """


@hookspec
def rom_delta(turn: Turn, text: str) -> None:
    """A piece of text is on its way to the client. Kind: observer, isolated.

    Called for every piece of a streamed answer, in order, and once with the whole text of one that is not streamed, as
    the client gets it: after the filters of `rom_text`.
    The return value is ignored. Wrappers are refused.

        @hookimpl
        def rom_delta(self, turn, text):
            self.characters += len(text)
    """


@hookspec(firstresult=True)
def rom_model_failed(call: ModelCall, attempt: Attempt, error: RomError) -> TryAgain | None:
    """This attempt failed: what now? Kind: first answer.

    Called after every attempt that raised a `ModelError`, unless text of it has reached the client, the turn was
    cancelled, or MAX_MODEL_REQUESTS is used up. `TryAgain` makes the core try again; None has no opinion; if nobody
    answers, the error ends the call. A `TryAgain` that the deadline would cut short is not carried out. An exception
    fails the turn.

        @hookimpl
        def rom_model_failed(self, call, attempt, error):
            return TryAgain(after_seconds=1.0) if error.retryable and attempt.number < 3 else None
    """


@hookspec(firstresult=True)
def rom_tools_requested(iteration: Iteration, tool_uses: Sequence[dict[str, Any]]) -> StopLoop | None:
    """The model asks for tools; shall they run? Kind: first answer.

    Called before any tool of an iteration runs, with the `toolUse` objects ({toolUseId, name, input}). `StopLoop` ends
    the loop: these tools do not run and the model is asked once more, to answer from what it has. None lets them run.
    An exception fails the turn: a guard fails closed.

        @hookimpl
        def rom_tools_requested(self, iteration, tool_uses):
            return StopLoop("guardrail_hard_limit") if iteration.number >= 25 else None
    """


@hookspec(firstresult=True)
def rom_tool_call(tool_call: ToolCall) -> ToolResult | None:
    """One run of one tool, in a thread of the tool pool. Kind: around.

    Called for every toolUse, in parallel. Returns the result; a plain implementation may answer in the tool's place.
    An exception becomes an error result that the model can react to, never a failed turn.

        @hookimpl(wrapper=True)
        def rom_tool_call(self, tool_call):
            result = yield
            return result
    """


@hookspec
def rom_event(event: Event) -> None:
    """Something happened; see `rom_core.events` for the types. Kind: observer, isolated.

    Called in the thread in which it happened; must not block. The return value is ignored. Wrappers are refused. A
    change of the settings is told twice: SettingsChanging before it is in force, SettingsChanged afterwards, which
    still reaches a plugin that it switches off, as the last one.

        @hookimpl
        def rom_event(self, event):
            if isinstance(event, TurnFinished):
                self.turns += 1
    """
