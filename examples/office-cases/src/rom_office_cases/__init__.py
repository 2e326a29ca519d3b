"""Office cases: a tool that looks a case up in the office's own list, and counts how often it found one.

Settings: OFFICE_CASES_ENABLED (switch), OFFICE_CASES_FILE.
Hooks: rom_settings, rom_tools, rom_collectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client import Counter
from prometheus_client.registry import Collector
from rom_core.markers import hookimpl
from rom_core.settings import Rule, Setting
from rom_core.tools import Tool, ToolContext, ToolError

from rom_office_cases.cases import Unreadable, find, read

MOST_SHOWN = 10
SCHEMA = {
    "type": "object",
    "properties": {
        "busca": {
            "type": "string",
            "minLength": 3,
            "description": "Número do processo, com ou sem pontuação, ou parte do nome do cliente.",
        }
    },
    "required": ["busca"],
    "additionalProperties": False,
}
DESCRIPTION = (
    "Consulta a lista de processos do próprio escritório: número, cliente, situação, responsável e próximo prazo. "
    "Use sempre que perguntarem por um processo ou cliente do escritório; não invente dados de processos."
)


class OfficeCases:
    """The plugin. A Counter of prometheus-client may be used from any thread."""

    def __init__(self) -> None:
        # Of no registry: the server takes what `rom_collectors` gives.
        self._lookups = Counter(
            "office_cases_lookups", "Lookups in the office's list of cases, by outcome.", ["outcome"], registry=None
        )

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, and where the list is."""
        return [
            Setting("OFFICE_CASES_ENABLED", bool, False, "Offers the office's list of cases as a tool.", switch=True),
            # Read at start only: who may change settings at run time must not be able to name any file of the machine.
            Setting("OFFICE_CASES_FILE", str, "", "Path of the list, a CSV file in UTF-8.", runtime=False),
            Rule(("OFFICE_CASES_ENABLED", "OFFICE_CASES_FILE"), _file_is_named),
        ]

    @hookimpl
    def rom_tools(self) -> Sequence[Tool]:
        """One tool; asking it again for another case is no loop that went wrong."""
        return [Tool("processos_do_escritorio", DESCRIPTION, SCHEMA, run=self._look_up, timeout=5.0, repeatable=True)]

    @hookimpl
    def rom_collectors(self) -> Sequence[Collector]:
        """`office_cases_lookups_total{outcome}`, outcome: found, nothing, failed. No label is what somebody asked."""
        return [self._lookups]

    def _look_up(self, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
        """The cases that match. What is raised as ToolError reaches the model in its own words."""
        try:
            cases = read(Path(context.settings.OFFICE_CASES_FILE))
        except Unreadable:
            self._lookups.labels("failed").inc()
            raise ToolError(
                "A lista de processos do escritório não pode ser lida agora; avise o responsável."
            ) from None
        found = find(cases, arguments["busca"])
        self._lookups.labels("found" if found else "nothing").inc()
        return {"encontrados": len(found), "processos": found[:MOST_SHOWN]}


def _file_is_named(settings: Any) -> str | None:
    if settings.OFFICE_CASES_ENABLED and not settings.OFFICE_CASES_FILE:
        return "OFFICE_CASES_FILE must name the list while OFFICE_CASES_ENABLED is on"
    return None
