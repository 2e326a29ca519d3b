"""A real Prometheus server scrapes a real `rom serve` and is asked for the p95 and the error rate.

Takes about half a minute. scripts/prometheus-tools.sh brings the binary `prometheus` where it can.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RULES = ROOT / "ops/prometheus/rom.rules.yml"
OK, FAILED = 40, 4
# What each says of the port that it was given, which nobody else can have taken.
ROM_ON = re.compile(rb'(?=[^\n]*"server\.started")[^\n]*"url": ?"http://([^"/]+)[^\n]*\n')
PROMETHEUS_ON = re.compile(rb'msg="Listening on"[^\n]*\baddress=(\S+)[^\n]*\n')
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: rom
    static_configs: [{{targets: ["{target}"]}}]
"""


@contextmanager
def running(*command: str, log: Path, said: re.Pattern[bytes], environ: dict[str, str] | None = None) -> Iterator[str]:
    """Host and port of a process that says where it listens in its `log`; it is stopped at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)  # noqa: S603 - our own

    def listens() -> str | None:
        ended, found = process.poll(), said.search(log.read_bytes())
        if found is None and ended is not None:
            sys.exit(f"FAILED: {command[0]} has ended with {ended}:\n{log.read_text()[-2000:]}")
        return found and found[1].decode()

    try:
        yield until("port", listens)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def call(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST of JSON; the JSON that comes back, whatever the status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - loopback only
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def until(what: str, condition: Any, seconds: float = 120) -> Any:
    """Ask until there is an answer; a busy machine is given its time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = condition()
        except OSError:
            found = None
        if found is not None:
            return found
        time.sleep(0.3)
    sys.exit(f"FAILED: no {what} within {seconds:.0f} s")


def main() -> None:
    """Run it; exit code 1 and a sentence if anything is not as expected."""
    tools = subprocess.run([ROOT / "scripts/prometheus-tools.sh"], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own
    if tools.returncode:
        sys.exit(1)
    prometheus = str(Path(tools.stdout.strip(), "prometheus"))
    expected = FAILED / (OK + FAILED)
    environ = {"PATH": os.environ["PATH"], "ROM_ENV": "development", "PORT": "0", "RETRY_ENABLED": "false"}
    environ |= {"FALLBACK_ENABLED": "false", "CIRCUIT_BREAKER_ENABLED": "false", "LOG_FORMAT": "json"}

    def asked(query: str) -> float | None:
        url = f"http://{prom}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        result = call(url)["data"]["result"]
        value = float(result[0]["value"][1]) if result else float("nan")
        return None if value != value else value

    with (
        tempfile.TemporaryDirectory() as folder,
        running(
            *(sys.executable, "-m", "rom_core", "serve"),
            log=Path(folder, "rom.log"),
            said=ROM_ON,
            environ=environ | {"STATE_DIR": f"{folder}/state"},
        ) as rom,
    ):
        config = Path(folder, "prometheus.yml")
        config.write_text(CONFIG.format(rules=RULES, target=rom))
        arguments = (
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:0",
        )
        with running(prometheus, *arguments, log=Path(folder, "prometheus.log"), said=PROMETHEUS_ON) as prom:
            until("scrape", lambda: asked('rom_requests_total{route="/api/chat",status="ok",cohort="stable"} == 0'))
            for number in range(OK + FAILED):
                message = "[[fault=500]] x" if number < FAILED else "[[say=ok]] x"
                call(f"http://{rom}/api/chat", {"message": message})
            chat = 'route="/api/chat"'
            until("count", lambda: asked(f'sum(rom_requests_total{{{chat},status="ok"}}) == {OK}'))
            # A rule is evaluated once a second: for a while its figure is that of fewer requests.
            share = f"rom:requests_errors:ratio_rate5m > {expected - 0.02} < {expected + 0.02}"
            errors = until("error rate as it was", lambda: asked(share))
            p95 = until("p95", lambda: asked("rom:requests_duration_seconds:p95_15m > 0"))
            alert = until("alert", lambda: asked('ALERTS{alertname="RomErrorRate",alertstate="firing"}'))
    print(f"error rate {errors:.4f} (expected {expected:.4f}), p95 {p95:.3f} s, RomErrorRate firing: {alert == 1}")
    if not 0 < p95 < 30:
        sys.exit("FAILED: Prometheus does not see what happened")


if __name__ == "__main__":
    main()
