"""docs/observability.md lists exactly what is emitted: every metric with its labels, every event with its level."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from exposed import exposed_metrics
from support import make_settings

from plugins.alerts import Alerts
from plugins.metrics import Metrics
from plugins.request_log import FAILED_ATTEMPT, LEVELS, RequestLog
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/observability.md").read_text()
DOTTED = re.compile(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)+")
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
# Written by the emulator of Bedrock, which is no part of the server's own log.
NOT_OURS = {"local"}
# The core logs these itself; the events of the same name are for plugins.
BY_THE_CORE = {"server.draining", "flags.store_troubled", "health.changed"}


def trees() -> Iterator[ast.AST]:
    """The source of everything that can emit."""
    for folder in ("rom_core", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            if not NOT_OURS & set(path.parts):
                yield ast.parse(path.read_text(), str(path))


def text_of(node: ast.AST | None) -> str | None:
    """The value of a text literal."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def events() -> set[str]:
    """Names of event classes, and first arguments of calls of a logger."""
    found = {FAILED_ATTEMPT}
    for tree in trees():
        for node in ast.walk(tree):
            name = None
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "name":
                name = text_of(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                name = text_of(node.args[0]) if node.args else None
            if name and DOTTED.fullmatch(name):
                found.add(name)
    return found


def table(title: str) -> dict[str, str]:
    """The second column of a table of the document, by the name in the first."""
    section = DOCUMENT.split(f"| {title} |", 1)[1].split("\n\n", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", section, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a name stands there twice"
    return {name: value.strip() for name, value in rows}


def test_every_event_is_documented_and_none_that_is_not_emitted() -> None:
    """Both ways."""
    assert set(table("Event")) == events()


def test_levels_are_the_documented_ones() -> None:
    """Of the events that the request log writes."""
    documented = table("Event")
    told = {name: logging.getLevelName(level).lower() for name, level in LEVELS.items() if name not in BY_THE_CORE}
    assert {name: documented[name] for name in told} == told


def test_every_metric_is_documented_with_its_labels_and_none_that_is_not_exposed() -> None:
    """Both ways, against what a registry really holds."""
    assert table("Metric") == {name: ", ".join(labels) for name, labels in exposed_metrics().items()}


def test_every_setting_of_the_three_plugins_is_documented_with_its_default() -> None:
    """As declared; secrets have none."""
    settings = make_settings(Catalogue.of(hookspecs, request_log=RequestLog(), metrics=Metrics(), alerts=Alerts()))
    documented = table("Setting")
    for name, setting in settings.declared.items():
        if setting.plugin or name in ("LOG_LEVEL", "LOG_FORMAT", "MEMORY_LIMIT_MB"):
            default = "none" if setting.secret else str(setting.default)
            assert documented.pop(name).lower() == default.lower()
    assert documented == {}
