"""Ids of spans that were given out before the spans are made: tools and Bedrock have heard them already."""

from __future__ import annotations

import threading

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator


class GivenIds(RandomIdGenerator):
    """Gives the ids that `give` was told in this thread, each once, and random ones otherwise."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, trace_id: int, span_id: int) -> None:
        """Let the next span of this thread have these; 0 for a random one."""
        self._given.trace_id, self._given.span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        """The one that was given."""
        trace_id: int = getattr(self._given, "trace_id", 0)
        self._given.trace_id = 0
        return trace_id or super().generate_trace_id()

    def generate_span_id(self) -> int:
        """The one that was given."""
        span_id: int = getattr(self._given, "span_id", 0)
        self._given.span_id = 0
        return span_id or super().generate_span_id()
