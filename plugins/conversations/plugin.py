"""The plugin: settings, tables, routes, and the turns that run in conversations.

Settings: CONVERSATIONS_ENABLED (switch), CONVERSATION_RETENTION_DAYS, CONVERSATION_TOO_LONG,
CONVERSATION_CONTEXT_SHARE. Hooks: rom_settings, rom_tables, rom_routes, rom_start, rom_stop, rom_status, rom_turn,
rom_iteration, rom_event.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from plugins.conversations.admin import PersonResource, WholeResource
from plugins.conversations.compacting import Compacting
from plugins.conversations.routes import ConversationResource, ConversationsResource
from plugins.conversations.turns import Part, Turns
from plugins.conversations.upkeep import Upkeep
from rom_core.agent.asking import BESIDE
from rom_core.errors import ConversationTooLong
from rom_core.events import AttemptFinished, Event
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.settings.keys import content_keys
from rom_core.store.sealing import Sealer
from rom_core.tables import Tables
from rom_core.turn import Iteration, Turn
from rom_core.turn_values import IterationResult, TurnResult

_OWN = "conversations"
NOT_KEPT = {
    "code": "conversation_not_kept",
    "text": "Esta resposta ainda não pôde ser gravada na conversa. Guarde uma cópia dela.",
}
"""The warning of an answer whose end could not be kept yet."""


class Conversations:
    """The plugin; what it remembers is in `Turns`, and in the store."""

    def __init__(self) -> None:
        self._turns: Turns | None = None
        self._compacting: Compacting | None = None
        self._upkeep: Upkeep | None = None

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, and how long conversations are kept."""
        return [
            Setting("CONVERSATIONS_ENABLED", bool, False, "Keep conversations, for those who ask for it.", switch=True),
            Setting(
                "CONVERSATION_RETENTION_DAYS",
                int,
                90,
                "Days after its last turn that a conversation is erased.",
                minimum=1,
                maximum=36_500,
                scope="process",
            ),
            Setting(
                "CONVERSATION_TOO_LONG",
                str,
                "compact",
                "A kept conversation near the model's context: compact = its oldest turns are summarised; refuse.",
                choices=("compact", "refuse"),
            ),
            Setting(
                "CONVERSATION_CONTEXT_SHARE",
                float,
                0.7,
                "The share of the model's context from which a kept conversation counts as too long.",
                minimum=0.1,
                maximum=0.95,
            ),
        ]

    @hookimpl
    def rom_tables(self) -> Tables:
        """Conversations, their turns, and the files in them; not in the good copy, since they are content."""
        from plugins.conversations.tables import METADATA

        return Tables(METADATA, migrations="plugins.conversations.migrations")

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """The owner's conversations and one of them, and everything of a person for an administrator."""
        turns = self._opened(runtime)
        app.add_route("/api/conversations", ConversationsResource(turns))
        app.add_route("/api/conversations/{conversation_id}", ConversationResource(runtime, turns))
        app.add_route("/admin/conversations", PersonResource(runtime, turns))
        app.add_route("/admin/conversations/{conversation_id}", WholeResource(turns))

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Look after what is kept. Raises StoreRefused for content that no key opens."""
        turns = self._opened(runtime)
        if runtime.store is None:
            return
        if runtime.current.settings.CONVERSATIONS_ENABLED:
            turns.check_keys()
        self._upkeep = Upkeep(runtime, turns)
        self._upkeep.start()

    @hookimpl
    def rom_stop(self) -> None:
        """Keep what could not be kept before, once more."""
        if self._upkeep is not None:
            self._upkeep.stop()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """How many turns run in conversations, and how many are still to be kept."""
        return {} if self._turns is None else {"running": self._turns.running, "pending": self._turns.pending}

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Turn) -> Generator[None, TurnResult, TurnResult]:
        """Put what was said before into the turn, and keep what is said in it."""
        if not turn.request.stored or self._turns is None:
            return (yield)
        part = turn.stash[_OWN] = self._turns.begin(turn)
        try:
            result = yield
        except BaseException as error:
            refused = isinstance(error, ConversationTooLong)
            self._turns.end(turn, part, "cut" if turn.text.strip() else "failed", refused=refused)
            raise
        if part.past.head:
            result = replace(result, compacted=True)
        if self._turns.end(turn, part, "whole"):
            return result
        return replace(result, warnings=(*result.warnings, NOT_KEPT))

    @hookimpl(wrapper=True)
    def rom_iteration(self, iteration: Iteration) -> Generator[None, IterationResult, IterationResult]:
        """Before the first model call, so within the turn's slot: see that what was said before fits the model."""
        turn = iteration.turn
        part = turn.stash.get(_OWN)
        if iteration.number == 1 and isinstance(part, Part) and part.past.messages and self._compacting is not None:
            self._compacting.fit(turn, part)
        return (yield)

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Note how much of the answer's text is in a message, since the rest would be lost if the turn broke off.

        And how many tokens the conversation has by now.
        """
        if not isinstance(event, AttemptFinished) or event.outcome != "ok":
            return
        attempt = event.attempt
        part = attempt.turn.stash.get(_OWN)
        if isinstance(part, Part) and attempt.call.iteration != BESIDE:
            part.said = len(attempt.turn.text)
            usage = attempt.usage
            part.tokens = None if usage is None else usage.prompt_tokens + usage.output_tokens

    def _opened(self, runtime: Runtime) -> Turns:
        if self._turns is None:
            self._turns = Turns(runtime, Sealer(content_keys(runtime.current.settings.CONTENT_KEY)))
            self._compacting = Compacting(runtime, self._turns)
        return self._turns
