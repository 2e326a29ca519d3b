"""A terminal client of /api/chat: streams answers as they come, and keeps the conversation for follow-up questions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from rich.text import Text

from rom_core.cli.console import Console
from rom_core.ops.bearer import Bearer
from rom_core.ops.requesting import FOREIGN, DirectSession, json_of

KEY_VARIABLE = "ROM_API_KEY"
_CONNECT_SECONDS = 5
# Heartbeats come every few seconds; this much silence means that the server is gone.
_SILENCE_SECONDS = 120
_CHECK_SECONDS = 10


class ChatFailed(Exception):
    """The question was not answered; the text says why, for a person."""


class ForeignServer(ChatFailed):
    """What answers is not a server of ours."""


class ChatClient:
    """Asks a server and prints to the terminal; `messages` is the conversation so far, under the server's id for it."""

    def __init__(
        self,
        url: str,
        api_key: str = "",
        *,
        model: str | None = None,
        system: str = "",
        console: Console | None = None,
    ) -> None:
        """`api_key` is what KEY_VARIABLE holds. Raises BadToken for one that cannot be sent."""
        self._server = url.rstrip("/")
        self._url = self._server + "/api/chat"
        self._model = model
        self._system = system
        self._console = console or Console()
        self._session = DirectSession()
        self._session.auth = Bearer(api_key, KEY_VARIABLE)
        self.messages: list[dict[str, str]] = []
        self.conversation_id = ""

    def hold_conversation(self) -> None:
        """Ask what the person types, until end of input. An interrupt ends the answer; at the prompt it is raised."""
        with contextlib.suppress(ImportError):
            # With it loaded, input() edits the line and remembers earlier ones.
            import readline  # noqa: F401
        while True:
            try:
                message = input("> ").strip()
            except EOFError:
                self._console.print()
                return
            if not message:
                continue
            try:
                self.ask(message)
            except ChatFailed as error:
                self._console.print(Text(str(error), style="red"))
            except KeyboardInterrupt:
                self._console.print()

    def check(self) -> None:
        """See that somebody answers and lets us in, before a question is typed in vain. Raises ChatFailed."""
        try:
            response = self._session.get(self._server + "/v1/models", timeout=(_CONNECT_SECONDS, _CHECK_SECONDS))
        except requests.RequestException as error:
            raise ChatFailed(self._unanswered(error)) from None
        # Other answers are for the chat itself to explain: this list may be switched off.
        if response.status_code == 401:
            raise ChatFailed(_reason(response))

    def ask(self, message: str) -> None:
        """Ask once and print the answer as it comes. Raises ChatFailed."""
        try:
            self._ask(message)
        except FOREIGN:
            raise ForeignServer(f"what answers at {self._url} is no ROM Agent") from None

    def _ask(self, message: str) -> None:
        body: dict[str, Any] = {"message": message, "messages": self.messages, "stream": True}
        body |= {"model": self._model} if self._model else {}
        body |= {"system": self._system} if self._system else {}
        body |= {"conversation_id": self.conversation_id} if self.conversation_id else {}
        for name, data in self._events(body):
            if name == "delta":
                self._console.out(data["text"], end="")
            elif name == "thinking":
                self._console.print(Text("[thinking]", style="dim"))
            elif name == "tool_result":
                self._console.print(Text(f"[{data['name']}: {data['status']}, {data['duration_ms']} ms]", style="dim"))
            elif name == "done":
                self._console.print()
                self._note(message, data)
                return
            elif name == "error":
                self._console.print()
                raise ChatFailed(_problem_text(data))
        raise ChatFailed("the connection ended in the middle of the answer")

    def _unanswered(self, error: requests.RequestException) -> str:
        if isinstance(error, requests.ConnectionError):
            return (
                f"no server answers at {self._server}; start one with `make run` or `rom serve`, "
                "or give --url or ROM_URL"
            )
        return f"the request failed: {error}"

    def _note(self, message: str, done: dict[str, Any]) -> None:
        self.conversation_id = done["conversation_id"]
        self.messages += [
            {"role": "user", "content": message},
            {"role": "assistant", "content": done["reply"]},
        ]
        if done["degraded"] or done["stop_reason"] not in ("end_turn", "stop_sequence"):
            self._console.print(Text(f"[{done['stop_reason']}, {done['model']}]", style="yellow"))

    def _events(self, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        answered = False
        try:
            with self._session.post(
                self._url,
                json=body,
                stream=True,
                timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
            ) as response:
                answered = True
                if response.is_redirect:
                    target = response.headers["Location"]
                    raise ChatFailed(f"{self._url} redirects to {target}: give --url the address that answers")
                if response.status_code != 200:
                    raise ChatFailed(_reason(response))
                yield from _parse(response.iter_lines(chunk_size=None))
        except requests.RequestException as error:
            if answered:
                raise ChatFailed(f"the connection broke in the middle of the answer: {error}") from None
            raise ChatFailed(self._unanswered(error)) from None


def _parse(lines: Iterator[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in lines:
        field, _, value = line.decode("utf-8").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json_of(value)


def _reason(response: requests.Response) -> str:
    try:
        return _problem_text(json_of(response.content))
    except FOREIGN:
        return f"HTTP {response.status_code} from {response.url}"


def _problem_text(problem: Mapping[str, Any]) -> str:
    """The sentence for the person, and below it what an engineer asks for."""
    text = "{user_message}\n{code} (HTTP {status}, request {request_id}): {detail}".format_map(problem)
    return f"{text}; the key is taken from {KEY_VARIABLE}" if problem["status"] == 401 else text
