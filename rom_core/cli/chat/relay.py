"""From the events of an answer to what a person sees of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rom_core.cli.chat import words
from rom_core.cli.chat.failures import Disconnected, failure_of
from rom_core.cli.chat.server import Event
from rom_core.cli.chat.stream import BROKEN, QUEUED, RESUMED


class View(Protocol):
    """Where an answer is shown: a terminal, or a pipe."""

    def begin(self) -> None:
        """An answer is waited for."""

    def activity(self, what: str) -> None:
        """What happens now, until the next call."""

    def text(self, piece: str) -> None:
        """The answer goes on."""

    def take_back(self, length: int) -> None:
        """Of the text so far the first `length` characters (code points) stand; the rest was not said."""

    def note(self, text: str, *, warning: bool = False) -> None:
        """Something beside the answer."""

    def sources(self, lines: Iterable[str]) -> None:
        """What the answer quotes."""

    def end(self) -> None:
        """No more comes; what there is stays. May be called twice."""


@dataclass
class Relay:
    """Shows the events of one answer; `answer` is its `done`, None until then."""

    view: View
    answer: Mapping[str, Any] | None = None
    conversation_id: str = ""
    text: str = ""
    _running: dict[str, str] = field(default_factory=dict)
    _cited: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    _warned: list[Any] = field(default_factory=list)
    _doing: str = words.WAITING

    def show(self, events: Iterable[Event]) -> None:
        """All of them. Raises ChatFailed for an answer that failed, and what `events` raises."""
        for event in events:
            self._show(event.name, event.data)
            if self.answer is not None:
                return
        raise Disconnected("the connection ended in the middle of the answer")

    def _show(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "start":
            self.conversation_id = str(data.get("conversation_id", ""))
        elif name == "delta":
            self.text += data["text"]
            self.view.text(data["text"])
            self._do(words.WRITING)
        elif name == "thinking":
            self._do(words.THINKING)
        elif name == "tool_call":
            self._running[str(data.get("id", ""))] = words.label(data)
            self._do(words.activity([*self._running.values()]))
        elif name == "tool_result":
            what = self._running.pop(str(data.get("id", "")), words.label(data))
            self.view.note(words.tool_ended(what, data))
            self._do(words.activity([*self._running.values()]) or words.WAITING)
        elif name == "restart":
            self._restart(int(data.get("length", 0)))
        elif name == "citation":
            self._cited.append((len(self.text), data))
        elif name == "warning":
            self._warn(data)
        elif name == BROKEN:
            self.view.activity(words.RECONNECTING)
        elif name == QUEUED:
            self._do(words.QUEUED)
        elif name == RESUMED:
            self.view.activity(self._doing)
        elif name == "done":
            self._done(data)
        elif name == "error":
            raise failure_of(data)

    def _do(self, what: str) -> None:
        if what != self._doing:
            self._doing = what
            self.view.activity(what)

    def _restart(self, length: int) -> None:
        self.text = self.text[:length]
        self._cited = [(at, one) for at, one in self._cited if at <= length]
        self._running.clear()
        self.view.take_back(length)
        self._do(words.WAITING)

    def _warn(self, warning: Mapping[str, Any]) -> None:
        if warning not in self._warned:
            self._warned.append(warning)
            self.view.note(str(warning["text"]), warning=True)

    def _done(self, answer: Mapping[str, Any]) -> None:
        if not self.text and answer["reply"]:
            self.view.text(answer["reply"])
            self.text = answer["reply"]
        self.view.end()
        self.conversation_id = str(answer["conversation_id"])
        cited = answer.get("citations") or [one for _, one in self._cited]
        self.view.sources(words.sources(cited))
        for warning in answer.get("warnings") or ():
            self._warn(warning)
        for mark in words.marks(answer):
            self.view.note(mark, warning=True)
        self.answer = answer
