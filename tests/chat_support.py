"""A chat server under test: the events that it sends, and runs whose connections break."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyte

from rom_core.cli.chat.conversation import Conversation, Options
from rom_core.cli.chat.failures import ChatFailed, Disconnected
from rom_core.cli.chat.server import ChatServer, Event, parsed
from rom_core.cli.console import Console
from rom_core.concurrency.clock import FakeClock

URL = "http://rom.test"
DONE: dict[str, Any] = {
    "conversation_id": "conv-1",
    "reply": "sim",
    "stop_reason": "end_turn",
    "model": "anthropic.first",
    "degraded": False,
}
KEPT = DONE | {"conversation_id": "conv_1"}
PROBLEM: dict[str, Any] = {
    "user_message": "A fila está cheia.",
    "detail": "every place is taken",
    "code": "queue_full",
    "status": 503,
    "trace_id": "trace-1",
    "request_id": "req-1",
}
OFF = ChatFailed("off", "plugin_disabled", 404)


def event(name: str, data: Any, event_id: str = "") -> str:
    """One Server-Sent Event."""
    return (f"id: {event_id}\n" if event_id else "") + f"event: {name}\ndata: {json.dumps(data)}\n\n"


def run_of(*events: tuple[str, Any], run_id: str = "run-1") -> list[str]:
    """The events of a run, numbered; `start` names it."""
    start = ("start", {"run_id": run_id, "conversation_id": "conv_1"})
    return [event(name, data, f"{run_id}:{n}") for n, (name, data) in enumerate([start, *events], start=1)]


class BreakingServer(ChatServer):
    """Plays `events` of a run; each connection breaks after so many bytes as `cuts` says, the last one not.

    A failure in `cuts` is what the connection is refused with. `resumed` are the ids after which events were asked for.
    """

    def __init__(self, events: Sequence[str], cuts: Sequence[int | ChatFailed]) -> None:
        super().__init__(URL)
        self._all = [each.encode() for each in events]
        self._cuts = list(cuts)
        self.resumed: list[str] = []
        self.cancelled: list[str] = []

    def answer(self, body: Mapping[str, Any]) -> Iterator[Event]:
        """From the beginning."""
        return self._play("")

    def run_events(self, run_id: str, after: str = "") -> Iterator[Event]:
        """After an id."""
        self.resumed.append(after)
        return self._play(after)

    def cancel(self, run_id: str) -> None:
        """Noted."""
        self.cancelled.append(run_id)

    def _play(self, after: str) -> Iterator[Event]:
        rest = b"".join(self._all[int(after.rpartition(":")[2] or 0) :])
        cut = self._cuts.pop(0) if self._cuts else len(rest)
        if isinstance(cut, ChatFailed):
            raise cut
        yield from parsed(iter(rest[:cut].splitlines() if cut >= len(rest) else rest[:cut].split(b"\n")[:-1]))
        if cut < len(rest):
            raise Disconnected("cut")


class Shown:
    """A console, and the screen on which it writes."""

    def __init__(self, columns: int = 60, rows: int = 20) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=0.5)
        # A real terminal's driver makes CR LF of LF.
        self.screen.set_mode(pyte.modes.LNM)
        stream = pyte.Stream(self.screen)
        feed: Callable[[str], None] = stream.feed
        self.raw = ""

        class File(io.StringIO):
            def write(_self, text: str) -> int:  # noqa: N805 - the screen is the outer self
                self.raw += text
                feed(text)
                return len(text)

        self.console = Console(file=File(), force_terminal=True, color_system="truecolor", legacy_windows=False)
        self.console.size = (columns, rows)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()


class Seen:
    """A view that remembers."""

    def __init__(self) -> None:
        self.said = ""
        self.doing: list[str] = []
        self.notes: list[str] = []
        self.cited: list[str] = []

    def begin(self) -> None:
        """A new answer."""
        self.said = ""

    def activity(self, what: str) -> None:
        """Noted."""
        self.doing.append(what)

    def text(self, piece: str) -> None:
        """Noted."""
        self.said += piece

    def take_back(self, length: int) -> None:
        """As told."""
        self.said = self.said[:length]

    def note(self, text: str, *, warning: bool = False) -> None:
        """Noted, a warning as one."""
        self.notes.append(f"! {text}" if warning else text)

    def sources(self, lines: Iterable[str]) -> None:
        """Noted."""
        self.cited += lines

    def end(self) -> None:
        """Nothing to do."""


class Server(ChatServer):
    """Answers each question with the next of `answers`: events, or a failure; `bodies` are the questions."""

    def __init__(self, *answers: Iterable[Event] | BaseException) -> None:
        super().__init__(URL)
        self._answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.cancelled: list[str] = []

    def answer(self, body: Mapping[str, Any]) -> Iterator[Event]:
        """The next one."""
        self.bodies.append(dict(body))
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        yield from answer

    def cancel(self, run_id: str) -> None:
        """Noted."""
        self.cancelled.append(run_id)


def answered(done: Mapping[str, Any] = DONE, *events: tuple[str, Any]) -> list[Event]:
    """An answer in which this happens."""
    return [*(Event(name, data) for name, data in events), Event("done", done)]


def conversation_with(*answers: Iterable[Event] | BaseException, **options: Any) -> tuple[Conversation, Server, Seen]:
    """A conversation with a server that answers so."""
    server, view = Server(*answers), Seen()
    return Conversation(server, view, Options(**options), FakeClock()), server, view


def wanted(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether it asks to be kept, and to be a run."""
    return body.get("store", False), body.get("background", False)
