"""`LocalBedrock`: the Bedrock Runtime protocol on a loopback socket, a thread for each connection."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import unquote

from local_bedrock.behaviour import Behaviour, DirectiveError
from local_bedrock.clock import Clock, SystemClock
from local_bedrock.conversation import current_turn
from local_bedrock.counting import count_tokens
from local_bedrock.delivery import send_error, send_fault, send_json, send_stream
from local_bedrock.model import answer
from local_bedrock.models import KNOWN_MODELS, ModelInfo, Refusal, resolve_model
from local_bedrock.script import Script
from local_bedrock.shapes import operation_check
from local_bedrock.usage import UsageMeter
from local_bedrock.validation import validate
from local_bedrock.wire import BadRequestError, Connection, GoneError, Request

MAX_CONNECTIONS = 1024
RECORDED = 10_000

_STOP_SECONDS = 5.0
_BACKLOG = 512
_ROUTE = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream|count-tokens)")
_OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens"}

_log = logging.getLogger("local_bedrock")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it arrived: `operation` is "Converse", "ConverseStream" or "CountTokens", `body` its JSON ({} if it
    was none), header names are in lower case, `at` is in seconds since the epoch.
    """

    model_id: str
    operation: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float


class LocalBedrock:
    """A Bedrock Runtime for development, tests and load tests, to which the real AWS SDK speaks.

    It serves Converse, ConverseStream and CountTokens for the models of `models.KNOWN_MODELS` (or `models`), validates
    requests as AWS does and answers with a deterministic model. What a user message can order is described in
    `directives`. `clock` times cached prefixes and recorded requests; delays and hangs pass in real time and end at
    once when the server stops.

    Use it as a context manager, or call `start` and `stop`; it can be started again. All members are thread-safe.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Clock | None = None,
        models: Sequence[ModelInfo] = KNOWN_MODELS,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock or SystemClock()
        self._models = tuple(models)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._serving: dict[Connection, threading.Thread] = {}
        self._requests: deque[Recorded] = deque(maxlen=RECORDED)
        self._script = Script()
        self._meter = UsageMeter(self._clock)
        self._aborted = 0
        self._active = 0

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen. Raises OSError if the address is taken, RuntimeError if it is running."""
        if self._listener is not None:
            raise RuntimeError("the local Bedrock is already running")
        for operation in _OPERATIONS.values():
            operation_check(operation)
        self._stopping = threading.Event()
        self._listener = socket.create_server((self._host, self._port), backlog=_BACKLOG)
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener, self._stopping), name="local-bedrock", daemon=True
        )
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """End all requests and waits, close all sockets and join all threads, within 5 s; harmless if not running."""
        listener, acceptor = self._listener, self._acceptor
        if listener is None or acceptor is None:
            return
        self._listener = self._acceptor = None
        until = time.monotonic() + _STOP_SECONDS
        with self._lock:
            self._stopping.set()
            serving = dict(self._serving)
        try:
            listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            _log.debug("listener not connected")
        acceptor.join(_STOP_SECONDS)
        listener.close()
        for connection in serving:
            connection.shut()
        for thread in serving.values():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _log.error("local_bedrock.thread_left", extra={"thread": thread.name})
        with self._lock:
            self._serving.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The `endpoint_url` for a client, such as "http://127.0.0.1:40123". Raises RuntimeError if not running."""
        if self._listener is None:
            raise RuntimeError("the local Bedrock is not running")
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    # -- what tests see and order ------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Recorded]:
        """The last 10,000 requests to a model, refused ones too, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def aborted(self) -> int:
        """How many ConverseStream requests lost their client before their end."""
        return self._aborted

    @property
    def active(self) -> int:
        """Requests in progress."""
        return self._active

    def script(self, *behaviours: Behaviour | str) -> None:
        """Queue behaviours for the next valid requests, one each, whatever their messages say.

        A text is read as directives. One that is meant for a `model` or the request `at` waits for it. Raises
        DirectiveError.
        """
        self._script.add(*behaviours)

    def set_always(self, behaviour: Behaviour | str | None) -> None:
        """What every valid request meets when nothing is queued; None ends it. Raises DirectiveError."""
        self._script.set_always(behaviour)

    def change_model(self, model_id: str, **changes: Any) -> None:
        """Let a model refuse other things, by the fields of `ModelInfo`: `change_model(id, sampling=False)`.

        `model_id` is the bare id of a model that is served. Raises LookupError for another one, TypeError for a field
        that there is not.
        """
        with self._lock:
            changed = tuple(replace(one, **changes) if one.model_id == model_id else one for one in self._models)
            if not any(one.model_id == model_id for one in changed):
                raise LookupError(f"no model {model_id!r} is served")
            self._models = changed

    def reset(self) -> None:
        """Forget requests, orders, counts and cached prefixes; requests in progress go on."""
        self._script.clear()
        self._meter.clear()
        with self._lock:
            self._requests.clear()
            self._aborted = 0

    # -- serving -----------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, stopping: threading.Event) -> None:
        # shutdown() of the listener wakes accept() on Linux only; elsewhere this timeout does
        listener.settimeout(0.5)
        while not stopping.is_set():
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                stopping.wait(0.05)
                continue
            sock.setblocking(True)
            connection = Connection(sock, stopping)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="local-bedrock-connection", daemon=True
            )
            with self._lock:
                # the threads leave themselves in, so that stop() can join even one that is about to end
                self._serving = {one: its for one, its in self._serving.items() if its.is_alive()}
                accepted = not stopping.is_set() and len(self._serving) < MAX_CONNECTIONS
                if accepted:
                    self._serving[connection] = thread
            if accepted:
                thread.start()
            else:
                connection.close()

    def _serve(self, connection: Connection) -> None:
        try:
            while connection.open and (request := connection.read_request()) is not None:
                self._handle(connection, request)
        except BadRequestError as error:
            _refuse_quietly(connection, error)
        except GoneError:
            _log.debug("local_bedrock.client_gone")
        finally:
            connection.close()

    def _handle(self, connection: Connection, request: Request) -> None:
        route = _ROUTE.fullmatch(request.target.partition("?")[0])
        if route is None or request.method != "POST":
            if request.target == "/health":
                connection.respond(200, b'{"status":"ok"}')
            else:
                send_error(connection, 404, "UnknownOperationException", "Unknown operation")
            return
        operation = _OPERATIONS[route["operation"]]
        with self._lock:
            self._active += 1
        try:
            self._run(connection, unquote(route["model"]), operation, request)
        except GoneError:
            with self._lock:
                if operation == "ConverseStream" and not self._stopping.is_set():
                    self._aborted += 1
            raise
        except Exception:  # noqa: BLE001 - logged; whatever one request does to this code, the others go on
            _log.exception("local_bedrock.failed")
            connection.close()
        finally:
            with self._lock:
                self._active -= 1

    def _run(self, connection: Connection, model_id: str, operation: str, request: Request) -> None:
        began = time.monotonic()
        try:
            body = json.loads(request.body, parse_constant=_not_json)
            problem = None if isinstance(body, dict) else "START_OBJECT expected"
        except (ValueError, RecursionError) as error:
            body, problem = {}, f"The request body is not valid JSON: {error}"
        recorded = Recorded(
            model_id, operation, body if problem is None else {}, dict(request.headers), self._clock.time()
        )
        with self._lock:
            self._requests.append(recorded)
        if problem is not None:
            send_error(connection, 400, "SerializationException", problem)
            return
        if operation == "CountTokens":
            counted = count_tokens(model_id, body, self._models)
            if isinstance(counted, int):
                connection.respond(200, json.dumps({"inputTokens": counted}).encode())
            else:
                send_error(connection, *counted)
            return
        if refusal := validate(model_id, operation, body, self._models):
            send_error(connection, *refusal)
            return
        turn = current_turn(body)
        try:
            orders, text = self._script.next(model_id, turn)
        except DirectiveError as error:
            send_error(connection, 400, "ValidationException", f"Local Bedrock: {error}")
            return
        if orders.latency:
            connection.wait(orders.latency)
        if orders.fault is not None and orders.fault.before_headers:
            send_fault(connection, orders.fault)
            return
        model = self._model(model_id)
        said = answer(body, turn, text, orders, model)
        usage = self._meter.measure(model_id, model, body, said.output_tokens)
        latency_ms = int((time.monotonic() - began) * 1000)
        if operation == "Converse":
            send_json(connection, said, usage, latency_ms, orders.fault)
        else:
            send_stream(connection, said, usage, latency_ms, orders)

    def _model(self, model_id: str) -> ModelInfo:
        model = resolve_model(model_id, self._models)
        if isinstance(model, Refusal):
            raise LookupError(model.message)
        return model


def _refuse_quietly(connection: Connection, error: BadRequestError) -> None:
    try:
        send_error(connection, error.status, "BadRequestException", str(error))
    except GoneError:
        _log.debug("local_bedrock.client_gone")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
