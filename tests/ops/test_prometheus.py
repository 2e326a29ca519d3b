"""What ops/ holds fits the product: rules that raise what they should, and no figure that nobody exposes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.serving import serving
from exposed import exposed_metrics, telemetry_metrics

from rom_core.gate.figures import TURN_ROUTES

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops/prometheus/rom.rules.yml"
DASHBOARD = ROOT / "ops/grafana/rom-agent.json"
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def used(text: str) -> set[str]:
    """The names of our metrics that a text of PromQL uses."""
    names = re.findall(r"(?<![\w:])rom_[a-z0-9_]+", text)
    return {SUFFIX.sub("", name) for name in names}


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=lambda file: file.name)
def test_rates_count_every_route_that_runs_turns(file: Path) -> None:
    """The rules and the dashboard look at the routes that the gate looks at."""
    selected = re.findall(r'\broute=~\\?"([^"\\]*)', file.read_text("utf-8"))
    assert set(selected) == {"|".join(TURN_ROUTES)}


@pytest.mark.timeout(420)
def test_each_rule_raises_what_it_should_and_nothing_else() -> None:
    """`promtool test rules`, through the script, which brings promtool: rules that nobody tested pass no test run."""
    done = subprocess.run(
        [ROOT / "scripts/test-prometheus-rules.sh"], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.timeout(420)
def test_a_real_prometheus_sees_what_a_real_server_did() -> None:
    """Scrapes it, and evaluates p95, error rate and an alert of ours."""
    command = [sys.executable, str(ROOT / "scripts/test_prometheus.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RomErrorRate firing: True" in done.stdout


def checked(metrics: str) -> subprocess.CompletedProcess[str]:
    """What `promtool check metrics` says of a text that a server exposes."""
    tools = subprocess.run(
        [ROOT / "scripts/prometheus-tools.sh"], capture_output=True, text=True, timeout=400, check=True
    )
    command = [f"{tools.stdout.strip()}/promtool", "check", "metrics"]
    return subprocess.run(command, input=metrics, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.timeout(420)
def test_promtool_finds_nothing_amiss_in_what_a_server_exposes() -> None:
    """Names, units, types and help of every figure, with every plugin on, after turns good and bad."""
    with serving(TELEMETRY_ENABLED=True, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as server:
        for message in ("[[say=ok]] x", "[[tools=1]] x", "[[fault=429]] [[times=1]] x", "[[fault=400]] x"):
            server.chat(message)
        server.chat("")
        metrics = server.get("/metrics").text
    assert used(metrics) >= {*exposed_metrics(), *telemetry_metrics()}
    found = checked(metrics)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ("# HELP rom_x_milliseconds A time.\n# TYPE rom_x_milliseconds gauge\nrom_x_milliseconds 1\n", "base unit"),
        ("# HELP rom_turns Turns.\n# TYPE rom_turns counter\nrom_turns 1\n", "_total"),
        ("# TYPE rom_x gauge\nrom_x 1\n", "help"),
    ],
)
def test_promtool_says_what_is_amiss(metrics: str, says: str) -> None:
    """Or the test above could not fail."""
    found = checked(metrics)
    assert found.returncode != 0
    assert says in found.stdout + found.stderr


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
    assert used(path.read_text()) <= {*exposed_metrics(), *telemetry_metrics()}


def test_the_dashboard_shows_every_figure() -> None:
    """What is worth counting is worth a panel; ids are unique and panels do not lie over each other."""
    dashboard = json.loads(DASHBOARD.read_text())
    recorded = {"rom_requests_total", "rom_requests_duration_seconds", "rom_model_attempts_total"}
    assert {*exposed_metrics(), *telemetry_metrics()} - used(DASHBOARD.read_text()) - recorded == set()
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


@pytest.mark.parametrize("script", ["test-prometheus-rules.sh", "prometheus-tools.sh"])
def test_where_promtool_cannot_be_had_one_sentence_says_so_and_the_run_fails(tmp_path: Path, script: str) -> None:
    """Nobody takes untested rules for tested ones."""
    scripts = tmp_path / "rom/scripts"
    scripts.mkdir(parents=True)
    for name in ("test-prometheus-rules.sh", "prometheus-tools.sh"):
        shutil.copy(ROOT / "scripts" / name, scripts / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "chmod", "dirname", "env", "mkdir", "mktemp", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    done = subprocess.run(
        [scripts / script], env={"PATH": os.fspath(tools)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    [sentence] = done.stderr.splitlines()
    assert "install the package prometheus" in sentence


def test_tools_that_are_there_are_taken(tmp_path: Path) -> None:
    """Nothing is downloaded where promtool and prometheus are on PATH."""
    for tool in ("promtool", "prometheus"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts/prometheus-tools.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{tmp_path}\n"
