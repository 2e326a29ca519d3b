"""Labelled metrics with bound children, and label sets that stay small whatever is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

M = TypeVar("M", Counter, Gauge, Histogram)
OTHER = "other"
# A ceiling for labels whose values are named by the configuration (models, tools): never reached by right use.
MAX_CHILDREN = 1000


class Children(Generic[M]):
    """The children of `metric` by their label values, in the order of its labels; without labels, the metric itself.

    Looking a child up this way costs a third of `labels(...)`. Beyond MAX_CHILDREN every new set of values becomes
    "other", so that nothing a client or a model chooses can grow the memory of the process.
    """

    def __init__(self, metric: M, labels: int) -> None:
        """`labels` is how many the metric has."""
        self._metric: M = metric
        self._labels = labels
        self._children: dict[tuple[str, ...], M] = {} if labels else {(): metric}

    def expect(self, known: Iterable[tuple[str, ...]]) -> None:
        """Expose these sets of values too, as zero until something happens."""
        for values in known:
            self(*values)

    def __call__(self, *values: str) -> M:
        """The child; made when it is first asked for."""
        child = self._children.get(values)
        if child is None:
            if len(self._children) >= MAX_CHILDREN:
                values = (OTHER,) * self._labels
            child = self._children[values] = self._metric.labels(*values)
        return child


def one_of(value: str, known: Iterable[str]) -> str:
    """The value if it is known, else "other"."""
    return value if value in known else OTHER
