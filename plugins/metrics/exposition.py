"""The Prometheus text format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/.

prometheus-client writes the same text, but escapes and sorts the labels of every line anew at every scrape; with a
full label set that takes tens of milliseconds with the interpreter's lock held, out of every turn that runs. Here the
text of a line up to its value is made once.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_number: Callable[[float], str] = floatToGoString


class Exposition:
    """Renders one registry. Names and label names must be plain ASCII; the age of a series (`_created`) is left out."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lines: dict[tuple[str, ...], str] = {}

    def render(self) -> bytes:
        """The text of this moment."""
        lines, parts = self._lines, []
        for family in self._registry.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            kind = "untyped" if family.type == "unknown" else family.type
            help_ = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
            parts.append(f"# HELP {name} {help_}\n# TYPE {name} {kind}\n")
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                # The names of a family's labels never change, so their values tell its samples apart.
                key = (sample.name, *sample.labels.values())
                line = lines.get(key)
                if line is None:
                    line = lines[key] = _line(sample.name, sample.labels)
                value = sample.value
                parts.append(f"{line}{'0.0' if value == 0 else _number(value)}\n")
        return "".join(parts).encode()

    def totals(self) -> dict[str, float]:
        """Our own counters above zero, by name and labels as they are exposed."""
        return {
            _line(sample.name, sample.labels).rstrip(): sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.value and sample.name.startswith("rom_") and sample.name.endswith("_total")
        }


def _line(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}} " if pairs else f"{name} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
