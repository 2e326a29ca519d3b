"""The plugin: settings, tables, routes, and the turns that run in conversations.

Settings: CONVERSATIONS_ENABLED (switch), CONVERSATION_RETENTION_DAYS. Hooks: rom_settings, rom_tables,
rom_routes, rom_start, rom_stop, rom_status, rom_turn, rom_event.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from plugins.conversations.admin import PersonResource, WholeResource
from plugins.conversations.routes import ConversationResource, ConversationsResource
from plugins.conversations.turns import Part, Turns
from plugins.conversations.upkeep import Upkeep
from rom_core.events import AttemptFinished, Event
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.settings.keys import content_keys
from rom_core.store.sealing import Sealer
from rom_core.tables import Tables
from rom_core.turn import Turn
from rom_core.turn_values import TurnResult

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
        except BaseException:
            self._turns.end(turn, part, "cut" if turn.text.strip() else "failed")
            raise
        if self._turns.end(turn, part, "whole"):
            return result
        return replace(result, warnings=(*result.warnings, NOT_KEPT))

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Note how much of the answer's text is in a message: the rest would be lost if the turn broke off."""
        if isinstance(event, AttemptFinished) and event.outcome == "ok":
            part = event.attempt.turn.stash.get(_OWN)
            if isinstance(part, Part):
                part.said = len(event.attempt.turn.text)

    def _opened(self, runtime: Runtime) -> Turns:
        if self._turns is None:
            self._turns = Turns(runtime, Sealer(content_keys(runtime.current.settings.CONTENT_KEY)))
        return self._turns
