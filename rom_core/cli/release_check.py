"""`rom release-check`: what stands between this commit and production."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from rom_core.cli.config import JSON
from rom_core.cli.terminal import print_json
from rom_core.cli.values import Address


@click.command("release-check")
@click.option(
    "--staging", type=Address(), envvar="STAGING_URL", default="", help="Staging, for the smoke test (or STAGING_URL)."
)
@click.option(
    "--url", type=Address(), envvar="ROM_URL", default="", help="Production, deployed with flags off (or ROM_URL)."
)
@click.option("--prometheus", type=Address(), default="", help="A Prometheus that should have the alert rules.")
@click.option(
    "--backups",
    envvar="BACKUP_DIR",
    type=click.Path(path_type=Path),
    default=lambda: Path.home() / ".local/state/rom-agent/backups",
    show_default="~/.local/state/rom-agent/backups",
    help="Where scripts/backup-before-pr.sh writes (or BACKUP_DIR).",
)
@click.option("--skip-tests", is_flag=True, help="Do not run scripts/ci-local.sh: CI did.")
@JSON
def release_check(staging: str, url: str, prometheus: str, backups: Path, skip_tests: bool, as_json: bool) -> None:
    """Walk the go-live list: tests, checkpoint, backup, staging, flags off, tokens, keys, memory, alert rules.

    Run it in the clone that is released. Tokens come from ROM_ADMIN_TOKEN and METRICS_TOKEN and, for staging, from
    ROM_API_KEY and STAGING_METRICS_TOKEN.
    Exit code 0 if nothing stands in the way, 1 if something does.
    """
    from rom_core.cli.console import Console
    from rom_core.ops.doctor import FAIL, OK, WARN
    from rom_core.ops.release_check import Release, examine

    release = Release(
        Path.cwd(),
        backups,
        staging,
        url,
        os.environ.get("ROM_ADMIN_TOKEN", ""),
        os.environ.get("METRICS_TOKEN", ""),
        os.environ.get("STAGING_METRICS_TOKEN", ""),
        prometheus,
        not skip_tests,
    )
    console, styles = Console(soft_wrap=True), {OK: "green", WARN: "yellow", FAIL: "red"}
    findings = []
    for finding in examine(release):
        findings.append(finding)
        if not as_json:
            console.print(f"{finding.status:4}  {finding.about}: {finding.text}", style=styles[finding.status])
            if finding.todo:
                console.print(f"      → {finding.todo}")
    ready = all(finding.status != FAIL for finding in findings)
    if as_json:
        print_json({"ok": ready, "findings": [finding.as_dict() for finding in findings]})
    else:
        console.print("nothing stands in the way; a person decides" if ready else "this stands in the way")
    sys.exit(0 if ready else 1)
