"""Our own counters, gauges and histograms: cheap to count with, exposed through prometheus-client's registry.

PERF: those of prometheus-client check what they are and take a lock at every step, which made counting a third of what
observing a turn costs. Here nothing is checked and nothing is locked: whoever counts in more than one thread holds a
lock of their own around it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import inf
from typing import ClassVar, Generic, TypeVar

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from plugins.metrics.exposition import head, line, number

OTHER = "other"
# A ceiling for labels whose values are named by the configuration (models, tools): never reached by right use.
MAX_CHILDREN = 1000


class Number:
    """One value of a counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add to it."""
        self.value += amount

    def dec(self) -> None:
        """Take one away."""
        self.value -= 1.0

    def set(self, value: float) -> None:
        """Replace it."""
        self.value = float(value)


class Buckets:
    """One distribution: `counts` holds how many fell into each bucket, the last one being without bound."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, amount: float) -> None:
        """One more; a bucket includes its upper bound."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.total += amount


Child = TypeVar("Child", Number, Buckets)


class Children(Collector, ABC, Generic[Child]):
    """A metric: its children by their label values, in the order of its labels; without labels, the one child.

    Beyond MAX_CHILDREN every new set of values becomes "other", so that nothing a client or a model chooses can grow
    the memory of the process.
    """

    def __init__(self, name: str, help_: str, labels: Sequence[str]) -> None:
        self.name = name
        self._help = help_
        self._labels = tuple(labels)
        self._children: dict[tuple[str, ...], Child] = {}
        self._lines: dict[tuple[str, ...], tuple[str, ...]] = {}
        if not labels:
            self()

    def expect(self, known: Iterable[tuple[str, ...]]) -> None:
        """Expose these sets of values too, as zero until something happens."""
        for values in known:
            self(*values)

    def __call__(self, *values: str) -> Child:
        """The child; made when it is first asked for."""
        child = self._children.get(values)
        if child is not None:
            return child
        if len(values) != len(self._labels):
            raise ValueError(f"{self.name} has the labels {self._labels}, not values {values}")
        if len(self._children) >= MAX_CHILDREN:
            values = (OTHER,) * len(self._labels)
        # Whoever comes second, in another thread, gets the child of whoever came first.
        return self._children.setdefault(values, self._new())

    def children(self) -> tuple[tuple[tuple[str, ...], Child], ...]:
        """Those that are exposed, with their label values."""
        return tuple(self._children.items())

    def forget(self, *values: str) -> None:
        """Expose this set of values no more."""
        self._children.pop(values, None)

    def describe(self) -> Iterator[Metric]:
        """The metric without its samples, for a registry to know its names."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """The metric as it stands, in prometheus-client's terms."""
        family = self._family()
        for values, child in self.children():
            labels = dict(zip(self._labels, values, strict=True))
            for (suffix, more), value in zip(self._samples, self._values(child), strict=True):
                family.add_sample(f"{family.name}{suffix}", labels | more, value)
        yield family

    def render(self) -> str:
        """The metric as it stands, as text."""
        family = self._family()
        parts = [head(family.name, family.type, family.documentation)]
        for values, child in self.children():
            lines = self._lines.get(values)
            if lines is None:
                labels = dict(zip(self._labels, values, strict=True))
                lines = tuple(line(f"{family.name}{suffix}", labels | more) for suffix, more in self._samples)
                self._lines[values] = lines
            parts += [f"{text}{number(value)}\n" for text, value in zip(lines, self._values(child), strict=True)]
        return "".join(parts)

    def _family(self) -> Metric:
        return Metric(self.name.removesuffix("_total"), self._help, self._kind)

    _kind: ClassVar[str]
    _samples: Sequence[tuple[str, dict[str, str]]]
    """Of each child: what its name ends in, and the labels it has besides."""

    @abstractmethod
    def _new(self) -> Child:
        """A child at zero."""

    @abstractmethod
    def _values(self, child: Child) -> Iterable[float]:
        """What its samples are worth, in their order."""


class _Numbers(Children[Number]):
    def _new(self) -> Number:
        return Number()

    def _values(self, child: Number) -> Iterable[float]:
        return (child.value,)


class Counter(_Numbers):
    """Only ever grows; its name ends in `_total`."""

    _kind = "counter"
    _samples = (("_total", {}),)


class Gauge(_Numbers):
    """Goes up and down."""

    _kind = "gauge"
    _samples = (("", {}),)


class Histogram(Children[Buckets]):
    """A distribution over the buckets with these upper bounds, in rising order."""

    _kind = "histogram"

    def __init__(self, name: str, help_: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._bounds = tuple(map(float, bounds))
        buckets = [("_bucket", {"le": number(bound)}) for bound in (*self._bounds, inf)]
        self._samples = (*buckets, ("_count", {}), ("_sum", {}))
        super().__init__(name, help_, labels)

    def _new(self) -> Buckets:
        return Buckets(self._bounds)

    def _values(self, child: Buckets) -> Iterable[float]:
        # Prometheus counts a value in every bucket that is wide enough for it.
        upto = tuple(accumulate(tuple(child.counts)))
        return (*upto, upto[-1], child.total)


def one_of(value: str, known: Iterable[str]) -> str:
    """The value if it is known, else "other"."""
    return value if value in known else OTHER
