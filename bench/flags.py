"""What changing settings costs: a reload end to end, a rollback until it counts, and reading a setting.

`python -m bench.flags` prints the figures. A real `rom serve` with every plugin, over HTTP, overrides on the disk.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

from bench.harness import ROOT, bedrock, process, report, rom_url
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import load_settings

RELOADS = 40
ROLLBACKS = 5
RELOAD_BUDGET_MS = 100
ROLLBACK_BUDGET_MS = 1000
_TOKEN = "bench-admin-token"
_LOOKUPS = 1_000_000


class _Admin:
    """The admin routes of one server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {_TOKEN}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._session.post(self.url + path, json=body, timeout=10)
        answer.raise_for_status()
        parsed: dict[str, Any] = answer.json()
        return parsed

    def chat(self) -> int:
        return self._session.post(f"{self.url}/api/chat", json={"message": "[[say=ok]]"}, timeout=10).status_code


def _milliseconds(action: Callable[[int], object], times: int) -> tuple[float, float]:
    """Median and worst."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        action(number)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken), max(taken)


def _rollback_through_the_cli(admin: _Admin, version: int) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ROM_URL": admin.url, "ROM_ADMIN_TOKEN": _TOKEN}
    command = [sys.executable, "-m", "rom_core", "flags", "rollback", str(version), "--json"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, timeout=30)
    if admin.chat() != 200:
        raise SystemExit("the rollback was not in force for the next turn")


def _rollback(admin: _Admin, version: int) -> None:
    admin.post("/admin/flags/rollback", {"version": version})
    if admin.chat() != 200:
        raise SystemExit("the rollback was not in force for the next turn")


def _in_force(admin: _Admin, rollback: Callable[[_Admin, int], None]) -> float:
    """The worst time from giving the command until a turn that it lets through has been answered."""
    worst = 0.0
    for _ in range(ROLLBACKS):
        before = admin.post("/admin/reload-flags", {"BEDROCK_ENABLED": True})["version"]
        admin.post("/admin/reload-flags", {"BEDROCK_ENABLED": False})
        if admin.chat() != 503:
            raise SystemExit("the kill switch did not count for the next turn")
        began = time.perf_counter()
        rollback(admin, before)
        worst = max(worst, (time.perf_counter() - began) * 1e3)
    return worst


def _lookup_ns() -> tuple[float, float]:
    """Nanoseconds for a setting, and for an attribute of a plain object."""
    catalogue = Catalogue(hookspecs)
    settings = load_settings(catalogue.settings, catalogue.rules, root=Path("/nonexistent"), environ={})
    plain = SimpleNamespace(MAX_TOKENS=1)

    def cost(namespace: object) -> float:
        timer = timeit.Timer("o.MAX_TOKENS", globals={"o": namespace})
        return min(timer.repeat(5, _LOOKUPS)) / _LOOKUPS * 1e9

    return cost(settings), cost(plain)


def measure() -> dict[str, float]:
    """All figures, by name with their unit."""
    arguments, url_of = bedrock()
    with process(arguments, url_of) as (endpoint, _):
        environ = {
            "ROM_ENV": "testing",
            "PORT": "0",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO",
            "BEDROCK_ENDPOINT_URL": endpoint,
            "ADMIN_TOKEN": _TOKEN,
            "LEGAL_TOOLS_ENABLED": "false",
        }
        with process(["-m", "rom_core", "serve"], rom_url, **environ) as (url, _):
            admin = _Admin(url)
            admin.post("/admin/reload-flags", {})
            unchanged = _milliseconds(lambda _: admin.post("/admin/reload-flags", {}), RELOADS)
            changed = _milliseconds(
                lambda n: admin.post("/admin/reload-flags", {"MAX_TOKENS": 1000 + n, "RETRY_MAX_RETRIES": n % 5}),
                RELOADS,
            )
            canary = _milliseconds(
                lambda n: admin.post("/admin/reload-flags", {"canary": {"flags": {"MAX_TOKENS": 2000 + n}}}), RELOADS
            )
            rollback, by_cli = _in_force(admin, _rollback), _in_force(admin, _rollback_through_the_cli)
    setting, plain = _lookup_ns()
    return {
        "reload_unchanged_ms": round(unchanged[0], 1),
        "reload_unchanged_worst_ms": round(unchanged[1], 1),
        "reload_with_stored_overrides_ms": round(changed[0], 1),
        "reload_with_stored_overrides_worst_ms": round(changed[1], 1),
        "reload_with_canary_ms": round(canary[0], 1),
        "reload_with_canary_worst_ms": round(canary[1], 1),
        "reload_worst_ms": round(max(unchanged[1], changed[1], canary[1]), 1),
        "rollback_in_force_worst_ms": round(rollback, 1),
        "rollback_by_cli_in_force_worst_ms": round(by_cli, 1),
        "setting_lookup_ns": round(setting, 1),
        "plain_attribute_lookup_ns": round(plain, 1),
    }


BUDGETS = {
    "reload_worst_ms": RELOAD_BUDGET_MS,
    "rollback_in_force_worst_ms": ROLLBACK_BUDGET_MS,
    "rollback_by_cli_in_force_worst_ms": ROLLBACK_BUDGET_MS,
}


def main() -> None:
    """Print the figures, and the budgets of those that have one."""
    report("flags", measure(), BUDGETS)


if __name__ == "__main__":
    main()
