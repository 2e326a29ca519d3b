"""A turn in a conversation: what was said before comes from the store, and what is said now goes into it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from plugins.conversations.history import History, Past
from rom_core.concurrency.clock import iso
from rom_core.documents.continuing import continued
from rom_core.errors import StoreRefused, StoreUnavailable
from rom_core.store import content
from rom_core.store.content_owner import Owner
from rom_core.tables import Erasure
from rom_core.telemetry.ids import new_id
from rom_core.turn import Turn

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from plugins.conversations.keeping import State, TurnRow
    from plugins.conversations.summaries import Summary
    from rom_core.plugin.protocols import PluginStore
    from rom_core.runtime import Runtime
    from rom_core.store.sealing import Sealer
    from rom_core.turn_values import ChatRequest, Message

logger = structlog.get_logger("rom.conversations")
TITLE_CHARS = 60
RENEW_SECONDS = 5.0
# Turns whose end could not be kept yet; one holds what was said in it.
MAX_PENDING = 64


@dataclass(eq=False)
class Part:
    """One turn's part in its conversation. `said` is how much of the answer's text its messages hold.

    `known_files` are those that the store has, `came` of them those that came with the turn, by their digests. `again`:
    the turn had begun before, on an instance that seemed dead. `tokens` are those of its last request and its answer.
    `elsewhere`: its messages are not those of the conversation at the moment. `noted` is how much of it has been kept
    while it runs.
    """

    conversation_id: str
    claim: str
    number: int
    past: Past
    messages: tuple[Message, ...] = ()
    said: int = 0
    known_files: frozenset[str] = field(default_factory=frozenset)
    came: frozenset[str] = field(default_factory=frozenset)
    again: bool = False
    tokens: int | None = None
    elsewhere: bool = False
    noted: tuple[int, int] = (0, 0)


class Turns:
    """The turns of this process that run in conversations: begun, held, ended."""

    def __init__(self, runtime: Runtime, sealer: Sealer) -> None:
        self._runtime = runtime
        self.sealer = sealer
        self.history = History(sealer)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Turn, Part]] = {}
        self._pending: list[tuple[str, TurnRow]] = []

    def begin(self, turn: Turn) -> Part:
        """Begin the conversation, or claim it and put what was said before into the turn's request.

        Raises NotFound, ConversationBusy, StoreUnavailable, TooManyDocuments and TooManyImages.
        """
        from plugins.conversations import keeping

        request, claim = turn.request, f"{turn.id}:{new_id()}"
        owner = owner_of(turn)
        basis = basis_of(turn)
        if request.stored == "begin":
            part = Part(request.conversation_id, claim, 1, Past(basis=basis), request.messages)
            title = self.sealed_title(title_of(request.messages))
            row = self._row(part, "cut", part.messages)
            part.again = self.store.write(
                lambda connection: keeping.begin(connection, part.conversation_id, owner, title, row)
            )
        else:
            made: list[tuple[Part, ChatRequest]] = []

            def make(rows: Sequence[TurnRow], summary: Summary | None) -> TurnRow:
                past = self.history.past(rows, summary, basis)
                earlier, joined = continued(past.messages, request)
                known = frozenset(rows[-1].files) if rows else frozenset()
                number = rows[-1].number + 1 if rows else 1
                past = replace(past, messages=earlier)
                part = Part(request.conversation_id, claim, number, past, joined.messages, 0, known)
                made[:] = [(part, joined)]
                return self._row(part, "cut", joined.messages)

            now = self._runtime.clock.time()
            again = self.store.write(
                lambda connection: keeping.claim(connection, request.conversation_id, owner, turn.id, make, now)
            )
            part, joined = made[-1]
            part.again = again
            turn.request = replace(joined, messages=(*part.past.messages, *part.messages))
        part.came = frozenset(content.encoded(part.messages)[1]) - part.known_files
        part.known_files |= part.came
        with self._lock:
            self._running[part.claim] = turn, part
        return part

    def end(self, turn: Turn, part: Part, state: State, *, refused: bool = False) -> bool:
        """Keep what became of the turn; False if the store could not take it now, and it will be tried again.

        `refused`: it never began.
        """
        from plugins.conversations import keeping

        if (refused or not turn.iterations) and not part.again:
            self._withdraw(part)
            return True
        row = self._row(part, state, self._messages(turn, part))
        try:
            self.store.write(lambda connection: keeping.finish(connection, part.conversation_id, row))
        except StoreUnavailable as error:
            logger.warning("conversation.not_kept", conversation_id=part.conversation_id, error=error.detail)
            with self._lock:
                self._pending.append((part.conversation_id, row))
                lost = self._pending[:-MAX_PENDING]
                del self._pending[:-MAX_PENDING]
            for conversation_id, _ in lost:
                logger.error("conversation.turn_lost", conversation_id=conversation_id)
            return False
        finally:
            with self._lock:
                self._running.pop(part.claim, None)
        return True

    def tend(self) -> None:
        """Hold what runs, and keep what could not be kept before. Called every RENEW_SECONDS."""
        from plugins.conversations import keeping

        with self._lock:
            held = [*self._running, *(row.claim for _, row in self._pending)]
            pending = list(self._pending)
            running = list(self._running.values())
        if not held:
            return
        now = self._runtime.clock.time()
        try:
            self.store.write(lambda connection: keeping.renew(connection, held, now))
            renewed = self._runtime.clock.monotonic()
            for turn, part in running:
                self._note(turn, part)
                if self._runtime.clock.monotonic() - renewed > RENEW_SECONDS:
                    # The store is slow: what is claimed has to be held first.
                    return
            for item in pending:
                conversation_id, row = item
                self.store.write(lambda connection: keeping.finish(connection, conversation_id, row))  # noqa: B023
                with self._lock:
                    # It may have been given up meanwhile, for want of room.
                    self._pending = [each for each in self._pending if each is not item]
        except StoreUnavailable as error:
            logger.warning("conversations.not_held", turns=len(held), error=error.detail)

    @contextmanager
    def elsewhere(self, part: Part) -> Iterator[None]:
        """While this lasts the turn's messages are others than those of its conversation, and are not kept."""
        with self._lock:
            part.elsewhere = True
        try:
            yield
        finally:
            with self._lock:
                part.elsewhere = False

    def _note(self, turn: Turn, part: Part) -> None:
        """Keep how far a turn has come: should the process die, so much of it is kept."""
        from plugins.conversations import keeping

        with self._lock:
            far = (len(turn.messages), len(turn.text))
            if part.elsewhere or far == part.noted or not turn.iterations:
                return
            messages = self._messages(turn, part)
        row = self._row(part, "cut", messages)
        self.store.write(lambda connection: keeping.note(connection, part.conversation_id, row))
        part.noted = far

    def erase(
        self, connection: Connection, ids: Sequence[str], user: str | None = None, key_name: str | None = None
    ) -> int:
        """Erase conversations, and what other plugins keep of them, or of `user`; how much that was. One transaction's
        action.
        """
        from plugins.conversations import keeping

        keeping.remove(connection, ids)
        return self._runtime.catalogue.erase(connection, Erasure(tuple(ids), user, key_name))

    def check_keys(self) -> None:
        """Raise StoreRefused if the store holds content that no key opens."""
        from plugins.conversations import ageing

        marks = self.store.read(ageing.marks)
        unopened = sum(count for mark, count in marks if not self.sealer.opens(mark))
        if unopened:
            raise StoreRefused(
                f"{unopened} entries of conversations were encrypted with a key that CONTENT_KEY does not hold: add "
                "that key behind the others, or switch CONVERSATIONS_ENABLED off until they have expired"
            )

    def shown(self, row: Row[Any]) -> dict[str, Any]:
        """A conversation in a list. Raises KeyMissing."""
        return {
            "id": row.id,
            "title": self.sealer.open(row.title).decode("utf-8", "replace"),
            "created_at": iso(row.created_at),
            "updated_at": iso(row.updated_at),
            "turns": row.turns,
        }

    def sealed_title(self, title: str) -> bytes:
        """A title as it is kept."""
        return self.sealer.seal(" ".join(title.split())[:TITLE_CHARS].encode("utf-8", "surrogatepass"))

    @property
    def running(self) -> int:
        """Turns that run in conversations."""
        return len(self._running)

    @property
    def pending(self) -> int:
        """Turns whose end is still to be kept."""
        return len(self._pending)

    @property
    def store(self) -> PluginStore:
        """The store. Raises StoreUnavailable where there is none."""
        if self._runtime.store is None:
            raise StoreUnavailable("this process keeps nothing, so it keeps no conversations", retry_after=None)
        return self._runtime.store

    def _withdraw(self, part: Part) -> None:
        from plugins.conversations import keeping

        try:
            self.store.write(
                lambda connection: keeping.withdraw(connection, part.conversation_id, part.claim, part.came)
            )
        except StoreUnavailable as error:
            # It stays behind as a question that was cut short, until its lease has run out.
            logger.warning("conversation.not_withdrawn", conversation_id=part.conversation_id, error=error.detail)
        finally:
            with self._lock:
                self._running.pop(part.claim, None)

    def _row(self, part: Part, state: State, messages: Sequence[Message]) -> TurnRow:
        from plugins.conversations.keeping import TurnRow

        body, files = content.encoded(messages)
        sealed = {digest: self.sealer.seal(file) for digest, file in files.items() if digest not in part.known_files}
        now, basis = self._runtime.clock.time(), part.past.basis
        return TurnRow(part.number, part.claim, now, state, basis, self.sealer.seal(body), sealed, part.tokens)

    @staticmethod
    def _messages(turn: Turn, part: Part) -> list[Message]:
        """What the turn has added, with text of an answer that broke off as the last message."""
        if not turn.messages:
            return list(part.messages)
        messages = list(turn.messages[len(part.past.messages) :])
        rest = turn.text[part.said :].strip() if turn.sink is not None else ""
        if rest:
            messages.append({"role": "assistant", "content": [{"text": rest}]})
        return messages


def owner_of(turn: Turn) -> Owner:
    """Whose turn it is."""
    return Owner(turn.request.key_name, turn.request.user or "")


def basis_of(turn: Turn) -> str:
    """What a model signs in this turn beside its messages."""
    return content.basis_of((turn.settings.SYSTEM_PROMPT, turn.request.system), turn.tool_specs)


def title_of(messages: Sequence[Message]) -> str:
    """What the person wrote, of which the beginning becomes the title."""
    said = content.text_of(messages[-1]) if messages else ""
    return said.strip()[: 10 * TITLE_CHARS] or "(sem texto)"
