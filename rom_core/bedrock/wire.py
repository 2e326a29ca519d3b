"""The wire: one boto3 client for the process, one ConverseStream request at a time for each caller.

Python cannot interrupt a thread that waits for response headers, so that wait happens in a thread of a bounded pool
while the caller waits with its deadline and cancel token; a request given up is counted, and closed when it answers.
Reading the stream happens in the caller's thread, and cancelling shuts the socket down under it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rom_core.bedrock.failures import EXCEPTIONS, classify
from rom_core.bedrock.reply import ReplyBuilder
from rom_core.clock import Clock
from rom_core.config import Settings
from rom_core.errors import ConfigurationError, Overloaded
from rom_core.turn import Attempt, ModelReply
from rom_core.workers import PoolSaturated, WorkerPool

# A request that was given up may finish this much later than its turn, and not more.
_GRACE_SECONDS = 1.0


class Wire:
    """Sends requests to Bedrock. Thread-safe."""

    def __init__(self, settings: Settings, clock: Clock, *, endpoint_url: str | None) -> None:
        """`endpoint_url` None is AWS itself. Raises ConfigurationError if no client can be made of the settings."""
        self._clock = clock
        self._read_timeout = float(settings.BEDROCK_READ_TIMEOUT_SECONDS)
        self._local = threading.local()
        self.client = make_client(settings, endpoint_url)
        self.client.meta.events.register("before-call.bedrock-runtime.ConverseStream", self._bound_read)
        size = int(settings.HTTP_THREADS)
        self.pool = WorkerPool("wire", 2 * size)

    def converse(self, attempt: Attempt, request: Mapping[str, Any]) -> ModelReply:
        """Send `request` (the arguments of `converse_stream`) and read the answer to its end.

        Text goes to `attempt.text` as it arrives; `attempt.usage` is set even if the reply then turns out unusable.
        Raises a ModelError; the turn's own error (TurnCancelled, DeadlineExceeded, Draining) if it ended meanwhile;
        Overloaded if too many given-up requests still occupy the pool.
        """
        call = attempt.call
        try:
            response = self._open(attempt, request)
            stream = response["stream"]
            builder = ReplyBuilder(attempt.model.alias, attempt.text)
            try:
                with call.cancel.calling(lambda: _shut(stream)):
                    for event in stream:
                        builder.feed(event)
            finally:
                stream.close()
                attempt.usage = builder.usage
            call.check()
            return builder.build()
        except EXCEPTIONS as error:
            call.check()
            failure = classify(error, self._clock)
            failure.emitted = attempt.emitted
            raise failure from error

    def close(self) -> None:
        """Stop the pool and close the client's connections."""
        self.pool.stop()
        self.client.close()

    def _open(self, attempt: Attempt, request: Mapping[str, Any]) -> dict[str, Any]:
        remaining = attempt.call.deadline.remaining()
        timeout = max(0.001, min(self._read_timeout, remaining + _GRACE_SECONDS))

        def send() -> dict[str, Any]:
            self._local.read_timeout = timeout
            answer: dict[str, Any] = self.client.converse_stream(**request)
            return answer

        try:
            job = self.pool.submit(send, on_late=lambda response: response["stream"].close())
        except PoolSaturated:
            raise Overloaded("too many unanswered requests to the model") from None
        if not self.pool.wait([job], self._clock, attempt.call.cancel, remaining):
            self.pool.abandon(job)
            attempt.call.check()
            attempt.call.cancel.cancel("deadline")
            raise attempt.call.cancel.error()
        return job.value()

    def _bound_read(self, context: dict[str, Any], **_: Any) -> None:
        # botocore takes the read timeout of a single request from its context (httpsession).
        context["read_timeout"] = getattr(self._local, "read_timeout", self._read_timeout)


def make_client(settings: Settings, endpoint_url: str | None) -> Any:
    """A bedrock-runtime client with botocore's own retries off, which is checked.

    Raises ConfigurationError, with what to do about it.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    loopback = endpoint_url is not None and endpoint_url.startswith("http://")
    options: dict[str, Any] = {}
    if loopback:
        # The bearer token of AWS_BEARER_TOKEN_BEDROCK is refused over http, and proxies are asked even for 127.0.0.1.
        options = {"signature_version": "v4", "proxies": {}}
    config = Config(
        region_name=settings.AWS_REGION,
        connect_timeout=settings.BEDROCK_CONNECT_TIMEOUT_SECONDS,
        read_timeout=settings.BEDROCK_READ_TIMEOUT_SECONDS,
        max_pool_connections=2 * settings.HTTP_THREADS,
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
        **options,
    )
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if loopback else {}
    try:
        client = boto3.Session().client("bedrock-runtime", config=config, endpoint_url=endpoint_url, **keys)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"no client for Bedrock: {error}") from error
    if client.meta.config.retries.get("total_max_attempts") != 1:
        raise ConfigurationError("botocore would retry by itself; retries must be left to the retry plugin")
    return client


def _shut(stream: Any) -> None:
    """Wake a reader that is blocked in recv: closing alone does not (urllib3's `shutdown` does)."""
    try:
        stream._raw_stream.shutdown()
    except (AttributeError, ValueError, OSError):
        return
