"""The Prometheus text format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/.

prometheus-client writes the same text, but escapes and sorts the labels of every line anew at every scrape; with a
full label set that takes tens of milliseconds with the interpreter's lock held, out of every turn that runs. Here the
text of a line up to its value is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.utils import floatToGoString

_go_number: Callable[[float], str] = floatToGoString
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Written(Protocol):
    """A metric that writes its own text."""

    def render(self) -> str:
        """The text of this moment, from `# HELP` on."""


class Exposition:
    """Renders metrics that write themselves, then a registry of others.

    Names and label names must be plain ASCII; the age of a series (`_created`) is left out.
    """

    def __init__(self, registry: CollectorRegistry, own: Sequence[Written] = ()) -> None:
        self._own = own
        self._registry = registry
        self._lines: dict[tuple[str, ...], str] = {}

    def render(self) -> bytes:
        """The text of this moment."""
        lines, parts = self._lines, [metric.render() for metric in self._own]
        for family in self._registry.collect():
            parts.append(head(family.name, family.type, family.documentation))
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                # The names of a family's labels never change, so their values tell its samples apart.
                key = (sample.name, *sample.labels.values())
                text = lines.get(key)
                if text is None:
                    text = lines[key] = line(sample.name, sample.labels)
                parts.append(f"{text}{number(sample.value)}\n")
        return "".join(parts).encode()


def totals(registry: CollectorRegistry) -> dict[str, float]:
    """Our own counters above zero, by name and labels as they are exposed."""
    return {
        line(sample.name, sample.labels).rstrip(): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.value and sample.name.startswith("rom_") and sample.name.endswith("_total")
    }


def head(name: str, kind: str, help_: str) -> str:
    """The two lines above the samples of a metric, whose name is without `_total`."""
    name = f"{name}_total" if kind == "counter" else name
    kind = "untyped" if kind == "unknown" else kind
    help_ = help_.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {help_}\n# TYPE {name} {kind}\n"


def line(name: str, labels: Mapping[str, str]) -> str:
    """A sample's line up to its value."""
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}} " if pairs else f"{name} "


def number(value: float) -> str:
    """A sample's value."""
    return "0.0" if value == 0 else _go_number(value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
