"""The hook points of a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rom_core.markers import hookspec

if TYPE_CHECKING:
    from rom_core.answer_text import TextFilter
    from rom_core.background import BackgroundTurn
    from rom_core.errors import RomError
    from rom_core.events import Event
    from rom_core.files import KeptFile
    from rom_core.tools import ToolResult
    from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
    from rom_core.turn_values import CachePlan, IterationResult, ModelReply, StopLoop, TryAgain, TurnResult

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
def rom_background(turn: Turn) -> BackgroundTurn | None:
    """A turn is asked for that goes on by itself; who takes it? Kind: first answer.

    Called once per request with `background`, when it has been looked at and its files are there, in the place of
    `runtime.run`: nothing of the turn has begun, and whoever takes it runs it, or one for the same request
    (`runtime.turn`), with `runtime.run`, and emits `RunFinished` at its end, by which it is counted. Return what the
    client is answered. Raise a `RomError` to refuse it; without an answer it is 404 `plugin_disabled`. An exception
    fails the request.

        @hookimpl
        def rom_background(self, turn):
            self.line.append(turn)
            return BackgroundTurn({"run_id": turn.id}, self.follow)
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
    """One attempt at a model: a request is made and sent. Kind: around.

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

    Called before every request on the wire, one whose tokens are counted included, with a fresh copy made for the
    model it goes to (`attempt.model`); what is changed here does not reach the next attempt. The normaliser runs
    afterwards. The return value is ignored. An exception fails the turn.

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


@hookspec(firstresult=True)
def rom_model_send(attempt: Attempt) -> ModelReply | None:
    """The request of this attempt goes on the wire. Kind: around.

    Called once per attempt, when the request is as it will be sent: after all amendments, the normaliser and the cache
    points. `attempt.request` is a copy of it to read. Returns the complete reply. A plain implementation may answer in
    the place of the wire (a cache): nothing is sent, so there are no AttemptStarted and AttemptFinished, no usage, no
    cost, and it counts towards no budget of requests; there is one AttemptAnswered, and what was answered reaches the
    client as if it had come from the model, streamed too. So it does if a wrapper answers after the wire has failed,
    unless text of the failed attempt has reached the client: that failure stands.

    The kill switch, the deadline and the client's departure hold whatever it answers. A `ModelError` before `yield`
    sends nothing, and `rom_model_failed` is asked; any other exception, and a reply that is not whole, ends the turn.

        @hookimpl
        def rom_model_send(self, attempt):
            return self.known.get(digest(attempt.request))
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

    Called after every attempt that raised a `ModelError`, unless text of it has reached a client that did not agree to
    have it taken back (`restart`), the turn was cancelled, or MAX_MODEL_REQUESTS is used up. `TryAgain` makes the core
    try again; None has no opinion; if nobody answers, the error ends the call. A `TryAgain` that the deadline would cut
    short is not carried out. An exception fails the turn.

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
