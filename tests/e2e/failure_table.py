"""Every kind of failure, driven over real sockets through every combination of retry, breaker and fallback.

`Laboratory` runs one server per combination against one local Bedrock; `measure` gives what came of a failure.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

import requests
from e2e.failure_cases import Case
from support import NOWHERE, Recorder

from local_bedrock import LocalBedrock
from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.retry import Retry
from rom_core import hookspecs
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.clock import FakeClock
from rom_core.events import AttemptFinished, RetryScheduled
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.plugin.catalogue import Catalogue
from rom_core.resilience.verdicts import failure_of
from rom_core.runtime import Runtime
from rom_core.settings import Settings, load_settings
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

SONNET, HAIKU = "anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5"
# After a cell the windows of the breaker and the budget are empty, and nothing is passed over any more.
FORGET_SECONDS = 5000.0


class Cell(NamedTuple):
    """One way of meeting a failure: streamed or not, before a delta or after one, and which plugins are on."""

    streamed: bool
    after: bool
    retry: bool
    breaker: bool
    fallback: bool


class Measured(NamedTuple):
    """What came of it: requests to each model, the HTTP status and code, what was said, and the counters."""

    sonnet: int
    haiku: int
    status: int
    code: str
    reply: str
    model: str
    retries: int
    failures: int | None
    should_retry: str | None
    passed_over: bool
    lines: tuple[str, ...]


SETTINGS = tuple(Cell(False, False, *switches) for switches in itertools.product((False, True), repeat=3))


def cells(case: Case) -> Iterator[Cell]:
    """Every cell that this failure can meet."""
    for streamed, after in itertools.product((False, True), (False, True) if case.after else (False,)):
        for switches in SETTINGS:
            yield switches._replace(streamed=streamed, after=after)


class Laboratory:
    """Eight servers, one local Bedrock. Waits between attempts pass on a fake clock; sockets are real."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        try:
            self._bedrock = self._stack.enter_context(LocalBedrock())
            self._routes = self._make_routes(self._bedrock.url)
            self._benches = {cell[2:]: self._stack.enter_context(_bench(cell, self._routes)) for cell in SETTINGS}
            self._pool = self._stack.enter_context(ThreadPoolExecutor(len(SETTINGS)))
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Stop everything."""
        self._stack.close()

    def measure(self, case: Case) -> dict[Cell, Measured]:
        """Drive the failure through every cell, the combinations side by side."""
        if case.scripted:
            return {cell: self._scripted(case, cell) for cell in cells(case)}
        by_server: dict[tuple[bool, ...], list[Cell]] = {}
        for cell in cells(case):
            by_server.setdefault(cell[2:], []).append(cell)
        parts = self._pool.map(
            lambda its: [(cell, self._benches[cell[2:]].ask(case, cell)) for cell in its], by_server.values()
        )
        return dict(itertools.chain.from_iterable(parts))

    def _scripted(self, case: Case, cell: Cell) -> Measured:
        said = "[[say=um dois ]]" if cell.after else "[[empty]]"
        self._bedrock.script(f"{case.order} [[model=sonnet-4-5]] {said}")
        return self._benches[cell[2:]].ask(case._replace(order=""), cell)

    def _make_routes(self, url: str) -> dict[str, Wire]:
        deaf = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._stack.callback(deaf.close)
        for _ in range(2):  # a full backlog: further connections are not answered
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
            self._stack.callback(waiting.close)
        # Bound and not listening: connections are refused, and nobody else can take the port meanwhile.
        gone = socket.socket()
        self._stack.callback(gone.close)
        gone.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{gone.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        self._stack.enter_context(mock.patch("socket.getaddrinfo", _getaddrinfo))
        routes = {
            "local": self._wire(url),
            "impatient": self._wire(url, BEDROCK_READ_TIMEOUT_SECONDS=0.15, BEDROCK_CONNECT_TIMEOUT_SECONDS=0.15),
            "impatient after two deltas": self._wire(url),
            "deaf": self._wire(f"http://127.0.0.1:{deaf.getsockname()[1]}", BEDROCK_CONNECT_TIMEOUT_SECONDS=0.1),
            "closed": self._wire(closed),
            "unnamed": self._wire("http://bedrock.invalid"),
            "keyless": self._wire("https://127.0.0.1:9"),
        }
        events = routes["impatient after two deltas"].client.meta.events
        events.register("after-call.bedrock-runtime.ConverseStream", _impatient_after_two_deltas)
        with mock.patch.dict("os.environ", keys):
            routes["plain"] = self._wire(self._stack.enter_context(_plain_text()))
        return routes

    def _wire(self, url: str, **values: Any) -> Wire:
        wire = Wire(_settings(Catalogue(hookspecs), **values), FakeClock(), endpoint_url=url)
        self._stack.callback(wire.close)
        return wire


def _impatient_after_two_deltas(parsed: dict[str, Any], **_: Any) -> None:
    if "stream" in parsed:
        parsed["stream"] = _Impatient(parsed["stream"])


class _Impatient:
    """A stream that is waited for as long as it takes until its second delta, then for a moment."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._raw_stream = stream._raw_stream
        self.close = stream.close

    def __iter__(self) -> Iterator[dict[str, Any]]:
        deltas = 0
        for event in self._stream:
            deltas += "contentBlockDelta" in event
            if deltas == 2:
                self._raw_stream.connection.sock.settimeout(0.05)
            yield event


@contextmanager
def _plain_text() -> Iterator[str]:
    """The https address of a peer that answers a TLS greeting in plain text."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=60)
    listener.close()


@contextmanager
def _bench(cell: Cell, routes: dict[str, Wire]) -> Iterator[_Bench]:
    bench = _Bench(cell, routes)
    try:
        yield bench
    finally:
        bench.close()


@dataclass
class _Routed:
    """The transport of one server: the first model's requests go by `route`, the others' to the local Bedrock."""

    routes: dict[str, Wire]
    route: str = "local"

    def __post_init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        alias = attempt.model.alias
        self.sent[alias] += 1
        return self.routes[self.route if alias == SONNET else "local"].converse(attempt, request)


class _Bench:
    """One server with some of the plugins on."""

    def __init__(self, cell: Cell, routes: dict[str, Wire]) -> None:
        self.clock = FakeClock()
        self.recorder = Recorder()
        self.breaker, self.fallback = Breaker(), Fallback()
        catalogue = Catalogue.of(
            hookspecs, recorder=self.recorder, retry=Retry(), breaker=self.breaker, fallback=self.fallback
        )
        settings = _settings(
            catalogue,
            RECORDER_ENABLED=True,
            RETRY_ENABLED=cell.retry,
            CIRCUIT_BREAKER_ENABLED=cell.breaker,
            FALLBACK_ENABLED=cell.fallback,
            PLUGINS=["recorder", "retry", "breaker", "fallback"],
        )
        self.transport = _Routed(routes)
        self.runtime = Runtime(catalogue, settings, clock=self.clock, transport=self.transport)
        self.server = Server(create_app(self.runtime), self.runtime)
        self.runtime.start()
        self.server.start()
        self.session = requests.Session()

    def close(self) -> None:
        self.session.close()
        self.server.stop(1)
        self.runtime.stop()

    def ask(self, case: Case, cell: Cell) -> Measured:
        """One question, everything that came of it, and then so much time that nothing of it is remembered."""
        late = case.route == "impatient" and cell.after
        self.transport.route = "impatient after two deltas" if late else case.route
        self.transport.sent.clear()
        self.recorder.events.clear()
        after = f"[[after={2 if cell.after else 0}]]" if case.after else ""
        order = f"{case.order} {after} [[model=sonnet-4-5]]" if case.order else ""
        body = {"message": f"{order} [[say=um dois três quatro]] conte", "stream": cell.streamed}
        response = self.session.post(f"{self.server.url}/api/chat", json=body, timeout=60)
        code, reply, model = _read(response)
        failures = None
        if cell.breaker:
            failures = self.breaker.status_of(SONNET)["recent_failures"]
        errors = [e.error for e in self.recorder.events if isinstance(e, AttemptFinished) and e.error is not None]
        measured = Measured(
            sonnet=self.transport.sent[SONNET],
            haiku=self.transport.sent[HAIKU],
            status=response.status_code,
            code=code,
            reply=reply,
            model=model,
            retries=sum(isinstance(e, RetryScheduled) and e.model == SONNET for e in self.recorder.events),
            failures=failures,
            should_retry=response.headers.get("x-should-retry"),
            passed_over=bool(self.fallback.rom_status()["passed_over"]),
            lines=tuple(failure_of(error).name for error in errors),
        )
        self.clock.advance(FORGET_SECONDS)
        return measured


def _read(response: requests.Response) -> tuple[str, str, str]:
    """The code of the problem ("" for none), the text that was said, and the model that answered ("" for none)."""
    if not response.headers["Content-Type"].startswith("text/event-stream"):
        body = response.json()
        return body.get("code", ""), body.get("reply", ""), body.get("model", "")
    response.encoding = "utf-8"
    events = [event.partition("\ndata: ")[::2] for event in response.text.strip().split("\n\n")]
    parsed = [(name.removeprefix("event: "), json.loads(data)) for name, data in events]
    said = "".join(data["text"] for name, data in parsed if name == "delta")
    assert [name for name, _ in parsed if name in ("done", "error")] == [parsed[-1][0]]
    return parsed[-1][1].get("code", ""), said, parsed[-1][1].get("model", "")


def _settings(catalogue: Catalogue, **values: Any) -> Settings:
    given = {"BEDROCK_ENABLED": True, "MODEL_FALLBACKS": [HAIKU], "PORT": 0, "HTTP_THREADS": 13} | values
    environ = {name: json.dumps(value) for name, value in given.items()} | {"ROM_ENV": "testing"}
    return load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ)


_resolve = socket.getaddrinfo


def _getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
    if host == "bedrock.invalid":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _resolve(host, *rest, **more)
