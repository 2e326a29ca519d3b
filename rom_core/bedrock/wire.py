"""The wire: one boto3 client for the process, one ConverseStream request at a time for each caller.

A request is sent and its stream read in the caller's thread, and cancelling shuts the socket down under it. What Python
cannot interrupt, connecting and fetching credentials, happens in a thread of a bounded pool while the caller waits with
its deadline and cancel token; what is given up there is counted, and closed when it succeeds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, TypeVar

import structlog

from rom_core.bedrock.cancellable import CancellableRequest, make_cancellable, may_fetch_credentials
from rom_core.bedrock.classify import classify, keep_readable
from rom_core.bedrock.client import PER_THREAD, make_check, make_client
from rom_core.bedrock.reply import ReplyBuilder
from rom_core.concurrency.clock import Clock
from rom_core.concurrency.watchdog import Watchdog
from rom_core.concurrency.workers import PoolSaturated, WorkerPool
from rom_core.conversation.citing import CitedBlocks
from rom_core.errors import (
    DeadlineExceeded,
    ModelCutShort,
    ModelError,
    RomError,
    WireSaturated,
)
from rom_core.resilience.reserve import reserved_seconds, silence_that_counts
from rom_core.settings import Settings
from rom_core.telemetry.tracing import traceparent
from rom_core.turn import Attempt, ModelCall
from rom_core.turn_values import ModelReply

# The bundled local Bedrock sends it with every answer (local_bedrock/wire.py).
STAND_IN_HEADER = "x-local-bedrock-stand-in"
# A request that was given up may finish this much later than its turn, and not more.
_GRACE_SECONDS = 1.0
# urllib3 takes no timeout of 0.
_SHORTEST_SECONDS = 0.001
# The usage follows `messageStop` at once; a complete reply does not wait longer for it.
_METADATA_SECONDS = 1.0

T = TypeVar("T")
logger = structlog.get_logger("rom.wire")


class Wire:
    """Sends requests to Bedrock. Thread-safe.

    `pool` holds what cannot be interrupted; its `abandoned` counts what was given up and still holds a thread. That is
    connecting, for at most the connect timeout, and where credentials are fetched the whole request up to its headers,
    for at most the shorter of the read timeout and its turn's deadline as well.
    """

    def __init__(
        self, settings: Settings, clock: Clock, *, endpoint_url: str | None, watchdog: Watchdog | None = None
    ) -> None:
        """`endpoint_url` None is AWS itself. `watchdog` ends streams that go silent after their `messageStop`.

        Raises ConfigurationError if no client can be made of the settings.
        """
        self._clock = clock
        self._watchdog = watchdog or Watchdog()
        self._read_timeout = float(settings.BEDROCK_READ_TIMEOUT_SECONDS)
        # For botocore's event handlers, which run in the thread of the request and take no argument of its caller.
        self._local = threading.local()
        self.client = make_client(settings, endpoint_url)
        self.client.meta.events.register("before-call.bedrock-runtime.ConverseStream", self._bound_read)
        self.client.meta.events.register("before-parse.bedrock-runtime.ConverseStream", keep_readable)
        self.client.meta.events.register("before-send.bedrock-runtime.ConverseStream", self._trace)
        self._cancellable = make_cancellable(self.client)
        if not self._cancellable:
            # Works all the same, at the price of a thread for every request that is given up.
            logger.warning("wire.not_cancellable", **{name: version(name) for name in ("botocore", "urllib3")})
        self._check = make_check(self.client)
        self.pool = WorkerPool("wire", PER_THREAD * settings.HTTP_THREADS)

    def converse(self, attempt: Attempt, request: Mapping[str, Any]) -> ModelReply:
        """Send `request` (the arguments of `converse_stream`) and read the answer to its end.

        Text goes to `attempt.text` as it arrives; `attempt.usage` is set even if the reply then turns out unusable.
        What breaks after `messageStop` costs the usage, not the reply.

        Raises a ModelError, and no exception of boto3 or urllib3; the turn's own error (TurnCancelled,
        DeadlineExceeded, Draining) if it ended meanwhile; WireSaturated if too many given-up requests still occupy the
        pool; and whatever `attempt.text` raises.
        """
        attempt.call.check()
        aws_request_id = None
        read_timeout, shortened = self._read_timeout_of(attempt.call)
        try:
            attempt.silent_since = self._clock.monotonic()
            response, shut = self._open(attempt.call, request, read_timeout)
            metadata = response["ResponseMetadata"]
            aws_request_id = metadata.get("RequestId")
            if STAND_IN_HEADER in metadata.get("HTTPHeaders", {}):
                attempt.turn.stand_in = True
            return self._read(attempt, response["stream"], shut)
        except ModelError as error:
            failure = error
            if shortened and error.kind == "read_timeout":
                failure = ModelCutShort(kind=error.kind, upstream_message=error.upstream_message)
            failure.emitted = attempt.emitted
            failure.aws_request_id = failure.aws_request_id or aws_request_id
            raise failure from error.__cause__

    def count_tokens(self, call: ModelCall, model_id: str, conversation: Mapping[str, Any]) -> int:
        """Ask CountTokens, which takes models and no inference profiles; see `agent.count_tokens.Counter`."""

        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = self.client.count_tokens(modelId=model_id, input={"converse": conversation})
            return answer

        try:
            return int(self._in_pool(call, ask, lambda _: None)["inputTokens"])
        except RomError:
            raise
        except Exception as error:
            raise self._failure(call, error) from error

    def close(self) -> None:
        """Take no more requests, stop the pool and close idle connections; requests in flight close their own."""
        self.pool.stop()
        self.client.close()

    def _read_timeout_of(self, call: ModelCall) -> tuple[float, bool]:
        """Seconds of silence that end a request, and whether they are too few to speak against the model.

        They are where another model needs the time that is left.
        """
        remaining = max(0.0, call.deadline.remaining())
        if call.fallback_candidates and call.requests < call.turn.settings.MAX_MODEL_REQUESTS:
            left = remaining - reserved_seconds(remaining)
            if left < self._read_timeout:
                return left, left < silence_that_counts(call.turn)
        return min(self._read_timeout, remaining + _GRACE_SECONDS), False

    def _open(
        self, call: ModelCall, request: Mapping[str, Any], read_timeout: float
    ) -> tuple[dict[str, Any], Callable[[], None]]:
        """The response as soon as its headers are there, and what wakes the reader of its stream."""

        def send() -> dict[str, Any]:
            self._local.read_timeout = read_timeout
            self._local.traceparent = traceparent(call.turn.trace_id, call.span_id)
            self._check(request)
            answer: dict[str, Any] = self.client.converse_stream(**request)
            return answer

        if not self._cancellable or may_fetch_credentials(self.client):
            try:
                response = self._in_pool(call, send, lambda response: _close(response["stream"]))
                return response, lambda: _shut(response["stream"])
            except RomError:
                raise
            except Exception as error:
                raise self._failure(call, error) from error
        saturated: list[WireSaturated] = []

        def connect(connecting: Callable[[], None], close: Callable[[], None]) -> None:
            def connected() -> bool:
                connecting()
                return True

            try:
                self._in_pool(call, connected, lambda _: close())
            except WireSaturated as error:
                saturated.append(error)
                raise

        # A watchdog that cancels at the deadline comes a little late, and no request must depend on there being one.
        cancellable = CancellableRequest(connect, lambda: max(_SHORTEST_SECONDS, call.deadline.remaining()))
        try:
            with cancellable, call.cancel.calling(cancellable.cancel):
                return send(), cancellable.cancel
        except Exception as error:
            if saturated:
                raise saturated[0] from None
            raise self._failure(call, error) from error

    def _in_pool(self, call: ModelCall, work: Callable[[], T], on_late: Callable[[T], None]) -> T:
        """What `work` gives in a thread of the pool; left to itself there when the turn ends, `on_late` then."""
        try:
            job = self.pool.submit(work, on_late=on_late)
        except PoolSaturated:
            raise WireSaturated("too many unanswered requests to the model", kind="wire_saturated") from None
        if not self.pool.wait(job, self._clock, call.cancel, call.deadline.remaining()):
            self.pool.abandon(job)
        if job.abandoned:
            call.check()
            call.cancel.cancel("deadline")
            raise call.cancel.error()
        return job.value()

    def _read(self, attempt: Attempt, stream: Any, shut: Callable[[], None]) -> ModelReply:
        call = attempt.call
        thinks = attempt.model.thinking == "always"
        cited = CitedBlocks(attempt) if attempt.turn.request.sources is not None else None
        builder = ReplyBuilder(attempt.model.alias, attempt.text, attempt.thinking, thinks=thinks, cited=cited)
        complete_at: float | None = None

        def overdue() -> None:
            if complete_at is not None and self._clock.monotonic() - complete_at > _METADATA_SECONDS:
                shut()

        try:
            with call.cancel.calling(shut), self._watchdog.watching(overdue):
                for event in self._events(attempt, stream):
                    builder.feed(event)
                    if builder.stop_reason is not None and complete_at is None:
                        complete_at = self._clock.monotonic()
        except (ModelError, DeadlineExceeded):
            if complete_at is None:
                raise
        finally:
            _close(stream)
            attempt.usage = builder.usage
        if complete_at is None:
            call.check()
        return builder.build()

    def _events(self, attempt: Attempt, stream: Any) -> Iterator[dict[str, Any]]:
        """The events of the stream, with our errors; ends with the turn's own as soon as that has ended."""
        call = attempt.call
        try:
            for event in stream:
                attempt.silent_since = None
                if not attempt.began:
                    attempt.begin()
                call.check()
                yield event
                attempt.silent_since = self._clock.monotonic()
        except RomError:
            raise
        except Exception as error:
            raise self._failure(call, error) from error

    def _failure(self, call: ModelCall, error: Exception) -> ModelError:
        """What `error` means. Raises the turn's own error if that has ended: then this is only its echo."""
        call.check()
        return classify(error, self._clock)

    def _bound_read(self, context: dict[str, Any], **_: Any) -> None:
        # botocore takes the read timeout of a single request from its context (httpsession).
        context["read_timeout"] = self._local.read_timeout

    def _trace(self, request: Any, **_: Any) -> None:
        # After signing: what stands in between may rewrite this header, and a signature over it would then break.
        if self._local.traceparent:
            request.headers["traceparent"] = self._local.traceparent


def _shut(stream: Any) -> None:
    """Wake a reader that is blocked in recv: closing alone does not, shutting the socket down does."""
    try:
        stream._raw_stream.shutdown()
    except Exception:  # noqa: BLE001 - the reader may be finishing in this moment, and the canceller must go on
        return


def _close(stream: Any) -> None:
    """Close the connection, or leave it in the pool if the answer was read to its end."""
    try:
        stream.close()
    except Exception:  # noqa: BLE001 - an answer that nobody wants any more must not fail
        return
