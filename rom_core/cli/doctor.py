"""`rom doctor`: what stands between this machine and a real answer of Bedrock."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from rom_core.cli.config import JSON
from rom_core.cli.inspection import inspected
from rom_core.cli.root import ROOT
from rom_core.cli.terminal import print_json

if TYPE_CHECKING:
    from pathlib import Path

_TODO = "correct it: `rom serve` would not start"


@click.command("doctor")
@ROOT
@JSON
def doctor(as_json: bool, root: Path) -> None:
    """Check credentials, region, models, permission, clock, proxies, and where data goes. Costs nothing.

    Exit code 0 if nothing fails (there may be warnings), 1 if something does. Settings that `rom serve` would not start
    with are among the findings; the other checks go by what could be read of them.
    """
    from rom_core.ops.doctor import FAIL, OK, WARN, Finding, examine

    try:
        found = inspected(root)
    except click.ClickException as error:
        environment = os.environ.get("ROM_ENV", "")
        findings = [Finding("settings", FAIL, error.message, _TODO)]
    else:
        environment = found.settings.environment
        findings = [Finding("settings", FAIL, f"{wrong.name}: {wrong.message}", _TODO) for wrong in found.problems]
        findings += [
            Finding("override", WARN, f"{skipped.name} is skipped: {skipped.message}", "clear it with `rom flags`")
            for skipped in found.skipped
        ]
        findings += examine(found.settings, os.environ)
    failed = any(finding.status == FAIL for finding in findings)
    if as_json:
        print_json({"environment": environment, "ok": not failed, "findings": [f.as_dict() for f in findings]})
    else:
        from rom_core.cli.console import Console

        console = Console(soft_wrap=True)
        styles = {OK: "green", WARN: "yellow", FAIL: "bold red"}
        console.print(f"environment: {environment}")
        for finding in findings:
            console.print(f"{finding.status:4}  {finding.about}: {finding.text}", style=styles[finding.status])
            if finding.todo:
                console.print(f"      → {finding.todo}")
        console.print("something fails" if failed else "nothing fails")
    sys.exit(1 if failed else 0)
