"""What turns cost, at a real server: the log, the metrics, the report and the command say the same of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import requests
from e2e.serving import serving
from prometheus_client.parser import text_string_to_metric_families

from local_bedrock import LocalBedrock

ADMIN = "a" * 24
RULES = "Cite sempre a norma em que a resposta se apoia. " * 150


def test_log_metrics_and_report_agree_about_each_turn(bedrock: LocalBedrock) -> None:
    """Each line has its cost, what it had cost without caching and the rules that decided; their sums are those of
    /metrics, of GET /admin/cost and of `rom cost --json`, and caching has saved."""
    with serving(
        BEDROCK_ENDPOINT_URL=bedrock.url,
        PROMPT_CACHING_ENABLED="true",
        PROMPT_CACHING_ADVANCE_USD="0.2",
        ADMIN_TOKEN=f"ops={ADMIN}",
    ) as server:
        for number in range(3):
            answer = server.chat(f"O número 0001234-08.2023.8.26.0100 é válido? {number}", system=RULES)
            assert answer.status_code == 200
        report = requests.get(
            f"{server.url}/admin/cost", headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60
        ).json()
        done = subprocess.run(
            [sys.executable, "-m", "rom_core", "cost", "--url", server.url, "--json"],
            env={"ROM_ADMIN_TOKEN": ADMIN, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        families = list(text_string_to_metric_families(server.get("/metrics").text))
    assert json.loads(done.stdout) == report
    lines = server.events("turn.finished")
    assert len(lines) == report["turns"] == 3
    rules = [rule for line in lines for rule in line["cache_rules"]]
    assert len(rules) == report["total"]["requests"] == 6
    counted = {rule: rules.count(rule) for rule in rules}
    assert report["cache_rules"] == counted

    def metric(name: str) -> float:
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    for field, name, view in (
        ("cost_usd", "rom_bedrock_cost_usd_total", "total"),
        ("cost_uncached_usd", "rom_bedrock_cost_uncached_usd_total", "without_caching"),
    ):
        total = math.fsum(line[field] for line in lines)
        assert math.isclose(total, report[view]["usd"], abs_tol=1e-7)
        assert math.isclose(total, metric(name), abs_tol=1e-7)
    assert metric("rom_cache_decisions_total") == len(rules)
    assert report["without_caching"]["saved_usd"] > 0
