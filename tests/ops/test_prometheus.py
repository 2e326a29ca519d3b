"""What ops/ holds fits the product: rules that raise what they should, and no figure that nobody exposes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from exposed import exposed_metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops/prometheus/rom.rules.yml"
DASHBOARD = ROOT / "ops/grafana/rom-agent.json"
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def used(text: str) -> set[str]:
    """The names of our metrics that a text of PromQL uses."""
    names = re.findall(r"(?<![\w:])rom_[a-z0-9_]+", text)
    return {SUFFIX.sub("", name) for name in names}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: apt-get install prometheus)")
def test_each_rule_raises_what_it_should_and_nothing_else() -> None:
    """`promtool test rules`, through the script that CI runs."""
    done = subprocess.run(
        [ROOT / "scripts/test-prometheus-rules.sh"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    """A rule without a test, or without an action, is a rule nobody can trust at night."""
    rules = RULES.read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    tested = set(re.findall(r"alertname: (\w+)", RULES.with_name("rom.rules.test.yml").read_text()))
    assert len(alerts) == len(set(alerts)) == rules.count("action:") == rules.count("severity:")
    assert set(alerts) == tested


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_rules_and_dashboard_use_only_figures_that_exist(path: Path) -> None:
    """A renamed metric would leave them silently empty."""
    assert used(path.read_text()) <= set(exposed_metrics())


def test_the_dashboard_shows_every_figure() -> None:
    """What is worth counting is worth a panel; ids are unique and panels do not lie over each other."""
    dashboard = json.loads(DASHBOARD.read_text())
    recorded = {"rom_requests_total", "rom_requests_duration_seconds", "rom_model_attempts_total"}
    assert set(exposed_metrics()) - used(DASHBOARD.read_text()) - recorded == set()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_without_promtool_the_script_skips_loudly_and_fails_in_ci(tmp_path: Path) -> None:
    """Nobody takes untested rules for tested ones."""
    for tool in ("bash", "dirname", "env"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    (tmp_path / "id").write_text("#!/bin/bash\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    for ci, code in (("", 0), ("true", 1)):
        done = subprocess.run(
            [ROOT / "scripts/test-prometheus-rules.sh"],
            env={"PATH": os.fspath(tmp_path), "CI": ci},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == code
        assert "NOT tested" in done.stderr
