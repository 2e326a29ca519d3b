"""One conversation with a server: what is asked goes on from what was said, whoever keeps that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from rom_core.cli.chat import words
from rom_core.cli.chat.failures import ChatFailed, Disconnected, StillQueued
from rom_core.cli.chat.files import LocalFile
from rom_core.cli.chat.relay import Relay, View
from rom_core.cli.chat.server import ChatServer, Event
from rom_core.cli.chat.stream import AnswerStream
from rom_core.concurrency.clock import Clock
from rom_core.ops.requesting import FOREIGN

_KEPT_PREFIX = "conv_"
# How long a turn that was interrupted may take to end before the next one is refused.
_BUSY_SECONDS = 10.0
_BUSY_PAUSE = 0.25
_INVALID = 422
_RUNS_LOOKED_AT = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What all questions of a command have in common. `store` asks the server to keep the conversation."""

    model: str | None = None
    system: str = ""
    exhaustive: bool = False
    store: bool = True
    citations: bool = True


class Conversation:
    """Asks and shows. `id` is the server's; where it keeps nothing, `messages` is what was said so far."""

    def __init__(self, server: ChatServer, view: View, options: Options, clock: Clock) -> None:
        self._server = server
        self._view = view
        self._options = options
        self._clock = clock
        # Until the server has said that a plugin is off.
        self._stores, self._runs = options.store, True
        self._interrupted = False
        self.files: list[LocalFile] = []
        self.restart()

    def restart(self) -> None:
        """Begin a new one."""
        self.id = ""
        self.messages: list[dict[str, str]] = []

    def go_on(self, found: Mapping[str, Any]) -> None:
        """Go on with one that the server keeps, as GET /api/conversations/{id} tells it. Raises ForeignServer."""
        try:
            conversation_id = str(found["id"])
        except FOREIGN:
            raise self._server.foreign("/api/conversations") from None
        self.restart()
        self.id = conversation_id

    @property
    def kept(self) -> bool:
        """Whether the server keeps it."""
        return self.id.startswith(_KEPT_PREFIX)

    def ask(self, message: str) -> None:
        """Ask, and show the answer as it comes. Raises ChatFailed; KeyboardInterrupt once the answer is stopped."""
        stream = AnswerStream(self._server, self._clock, patient=self._options.exhaustive)
        relay = Relay(self._view)
        self._view.begin()
        try:
            try:
                self._show(relay, self._answer(stream, message), "/api/chat")
            except StillQueued:
                # Runs have the few places of long work; a question need not wait for one.
                self._server.cancel(stream.run_id)
                relay.conversation_id = ""
                self._interrupted, stream = True, AnswerStream(self._server, self._clock)
                self._show(relay, self._answer(stream, message, as_run=False), "/api/chat")
        except KeyboardInterrupt:
            self._note(relay)
            self._stop(stream.run_id, said=bool(relay.text))
            raise
        except ChatFailed as error:
            self._note(relay)
            if error.status in (413, _INVALID):
                # Else the same file would refuse every message that follows.
                self.files = []
            raise self._with_way_back(error, stream.run_id) from None
        finally:
            self._view.end()
        self.files = []
        self._interrupted = False
        self._note(relay)
        if not self.kept and relay.answer is not None:
            self.id = relay.conversation_id
            self.messages += [
                {"role": "user", "content": message},
                {"role": "assistant", "content": str(relay.answer["reply"])},
            ]

    def begin_run(self, message: str) -> str:
        """Ask for an answer in the background; the id of its run. Raises ChatFailed."""
        stores = (True, False) if self._stores and not self.kept else (False,)
        begun = self._served(message, self._server.begin, [(store, True) for store in stores])
        try:
            self.id = str(begun["conversation_id"])
            return str(begun["run_id"])
        except FOREIGN:
            raise self._server.foreign("/api/chat") from None

    def unfinished_run(self) -> str:
        """The id of the run that this conversation waits for, "" for none, or where there are no runs."""
        try:
            runs = self._server.runs(_RUNS_LOOKED_AT)["runs"]
            return next((str(run["id"]) for run in runs if _waits(run) and run["conversation_id"] == self.id), "")
        except ChatFailed:
            return ""
        except FOREIGN:
            raise self._server.foreign("/api/runs") from None

    def follow(self, run_id: str) -> None:
        """Show the answer of a run from its beginning, while it runs or after. Raises ChatFailed."""
        relay = Relay(self._view)
        self._view.begin()
        try:
            events = AnswerStream(self._server, self._clock).follow(run_id)
            self._show(relay, events, f"/api/runs/{run_id}/events")
        except KeyboardInterrupt:
            self._view.end()
            self._view.note(f"{words.RUN_GOES_ON}:\n{come_back(run_id)}", warning=True)
            raise
        finally:
            self._view.end()
        self._note(relay)

    def _show(self, relay: Relay, events: Generator[Event], path: str) -> None:
        try:
            with closing(events):
                relay.show(events)
        except StillQueued:
            raise
        except ChatFailed:
            self._view.end()
            if relay.text:
                self._view.note(words.BROKEN_OFF, warning=True)
            raise
        except FOREIGN:
            raise self._server.foreign(path) from None

    def _with_way_back(self, error: ChatFailed, run_id: str) -> ChatFailed:
        """The failure, and how to see the answer that is still written, if there is one."""
        if error.code == "conversation_busy" and self.kept:
            run_id = self.unfinished_run()
        elif not isinstance(error, Disconnected):
            return error
        return ChatFailed(f"{error}\n{come_back(run_id)}", error.code, error.status) if run_id else error

    def _note(self, relay: Relay) -> None:
        """A conversation that is kept has its id from the first event on, however the turn ends."""
        if relay.conversation_id.startswith(_KEPT_PREFIX):
            self.id = relay.conversation_id

    def _answer(self, stream: AnswerStream, message: str, *, as_run: bool = True) -> Generator[Event]:
        stores = (True, False) if self._stores and not self.kept else (False,)
        runs = (True, False) if self._runs and as_run else (False,)
        return self._served(
            message,
            lambda body: self._unless_busy(stream, {**body, "stream": True, "restart": True}),
            [(store, background) for store in stores for background in runs],
        )

    def _served(self, message: str, ask: Callable[[dict[str, Any]], T], offers: list[tuple[bool, bool]]) -> T:
        """What `ask` gives for the first of the offers (store, background) that the server takes; the rest is off."""
        while True:
            store, background = offers.pop(0)
            try:
                answer = ask(self._body(message, store=store) | ({"background": True} if background else {}))
            except ChatFailed as error:
                # The queue of runs may be full where there is room for an answer.
                if not offers or not (_unavailable(error) or (background and error.code == "queue_full")):
                    raise
                if background and _unavailable(error):
                    self._runs = False
                continue
            self._runs = self._runs or background
            if not self.kept:
                self._stores = store
            return answer

    def _unless_busy(self, stream: AnswerStream, body: Mapping[str, Any]) -> Generator[Event]:
        until = self._clock.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return stream.ask(body)
            except ChatFailed as error:
                waits = self._interrupted and error.code == "conversation_busy"
                if not waits or self._clock.monotonic() > until:
                    raise
            self._clock.sleep(_BUSY_PAUSE, threading.Event())

    def _body(self, message: str, *, store: bool) -> dict[str, Any]:
        options = self._options
        body: dict[str, Any] = {"message": message}
        if self.kept:
            body["conversation_id"] = self.id
        else:
            body |= {"store": True} if store else {}
            body |= {"messages": self.messages} if self.messages else {}
            body |= {"conversation_id": self.id} if self.id else {}
        body |= {"model": options.model} if options.model else {}
        body |= {"system": options.system} if options.system else {}
        body |= {"mode": "exhaustive"} if options.exhaustive else {}
        if self.files:
            body["attachments"] = [file.as_attachment() for file in self.files]
        # Only where a document comes along: asked for later it would change what the model has read already.
        if options.citations and not all(file.image for file in self.files):
            body["citations"] = True
        return body

    def _stop(self, run_id: str, *, said: bool) -> None:
        self._view.end()
        self._interrupted = True
        try:
            if run_id:
                self._server.cancel(run_id)
        except ChatFailed as error:
            why = str(error).splitlines()[0]
            self._view.note(f"{words.NOT_CANCELLED}: {why}\n{come_back(run_id)}", warning=True)
        else:
            self._view.note(words.INTERRUPTED if said else words.INTERRUPTED_EARLY, warning=True)


def come_back(run_id: str) -> str:
    """How to see the answer of a run later."""
    return f"rom chat --run {run_id}"


def _waits(run: Mapping[str, Any]) -> bool:
    return run["state"] in ("queued", "running")


def _unavailable(error: ChatFailed) -> bool:
    """Whether the server does not do what was asked for besides an answer: the plugin is off, or not known to it."""
    return error.code == "plugin_disabled" or (error.status == _INVALID and error.param in ("store", "background"))
