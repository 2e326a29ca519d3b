"""The go-live list, walked by a machine: what can be shown, what stands in the way, and what to do about it.

Each check asks something outside this process (a repository, a folder of backups, a server) and is given its address;
one that cannot be asked fails. Only alert rules are optional.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rom_core.concurrency.clock import SystemClock
from rom_core.gate import BadScrape, parse
from rom_core.gate.scrape import MEMORY
from rom_core.ops.bearer import BadToken, Bearer
from rom_core.ops.commands import run
from rom_core.ops.doctor import FAIL, OK, WARN
from rom_core.ops.doctor.findings import Finding
from rom_core.ops.fetch import FetchFailed, fetch
from rom_core.ops.requesting import FOREIGN, DirectSession, json_of

OFF_AT_FIRST = (
    "BEDROCK_ENABLED",
    "GUARDRAILS_ENABLED",
    "CIRCUIT_BREAKER_ENABLED",
    "RETRY_ENABLED",
    "FALLBACK_ENABLED",
    "BOTTLENECK_LIMITER_ENABLED",
)
"""What production starts without; an operator switches each on (docs/go-live.md)."""
HEADROOM = 0.6
"""Of the memory limit, at rest: the gate fails at 75 %, and turns need some."""
RULES = Path("ops/prometheus/rom.rules.yml")
_HTTP_SECONDS = 20.0
_TEST_SECONDS, _SCRIPT_SECONDS = 3600.0, 180.0


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be released, and where to ask. Empty text is what nobody gave.

    Each server has a token for its metrics of its own; without one for staging it is asked with production's.
    """

    root: Path
    backups: Path | None = None
    staging: str = ""
    url: str = ""
    admin_token: str = ""
    metrics_token: str = ""
    staging_metrics_token: str = ""
    prometheus: str = ""
    run_tests: bool = True


def examine(release: Release) -> Iterator[Finding]:
    """Every check in the order of the list, one finding each, as they are made."""
    yield tests(release)
    commit = _git(release, "rev-parse", "HEAD")
    yield checkpoint(release, commit)
    yield backup(release, commit)
    yield staging_smoke(release)
    yield flags_in_file(release)
    if release.url:
        yield from production(release)
        yield memory(release)
    else:
        yield Finding("production", FAIL, "not asked: its flags, tokens, keys and memory", "give --url")
    if release.prometheus:
        yield alert_rules(release)
    else:
        yield Finding("alert rules", WARN, "not asked", "give --prometheus if there is one")


def tests(release: Release) -> Finding:
    """scripts/ci-local.sh, on a tree without changes."""
    changes = _git(release, "status", "--porcelain")
    if changes is None:
        return Finding("tests", FAIL, "this is no git repository", "run it in the clone that is released")
    if changes:
        return Finding("tests", FAIL, "there are uncommitted changes: what is tested is not released", "commit them")
    if not release.run_tests:
        return Finding("tests", WARN, "not run here", "see that CI passed on this commit, or leave out --skip-tests")
    return _script(release, "tests", "scripts/ci-local.sh", _TEST_SECONDS)


def checkpoint(release: Release, commit: str | None) -> Finding:
    """An annotated checkpoint at this commit, the same one at the remote."""
    todo = 'scripts/create-checkpoint.sh -m "before go-live"'
    tags = (_git(release, "tag", "--points-at", "HEAD", "--list", "v*-checkpoint-*") or "").split()
    if commit is None or not tags:
        return Finding("checkpoint", FAIL, "no checkpoint is at this commit", todo)
    if _git(release, "cat-file", "-t", f"refs/tags/{tags[-1]}") != "tag":
        return Finding("checkpoint", FAIL, f"{tags[-1]} is no annotated tag: it does not say who, when and why", todo)
    listed = _git(release, "ls-remote", "--tags", "origin", f"refs/tags/{tags[-1]}")
    if listed is None:
        return Finding("checkpoint", FAIL, "the remote does not answer", "see that origin can be reached")
    if not listed or listed.split()[0] != _git(release, "rev-parse", f"refs/tags/{tags[-1]}"):
        return Finding("checkpoint", FAIL, f"{tags[-1]} is not at the remote", f"git push origin {tags[-1]}")
    return Finding("checkpoint", OK, f"{tags[-1]}, here and at the remote")


def backup(release: Release, commit: str | None) -> Finding:
    """A backup of this commit whose files have the checksums of its manifest."""
    todo = "scripts/backup-before-pr.sh"
    if release.backups is None:
        return Finding("backup", FAIL, "where the backups are is not said", "set BACKUP_DIR, or give --backups")
    for path in sorted(release.backups.glob("*/manifest.json"), reverse=True):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if manifest["commit"] != commit:
                continue
            wrong = [name for name, known in manifest["sha256"].items() if _checksum(path.with_name(name)) != known]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return Finding("backup", FAIL, f"{path} cannot be read: {type(error).__name__}", todo)
        if wrong:
            return Finding("backup", FAIL, f"{path.parent.name} is damaged: {', '.join(wrong)}", todo)
        return Finding("backup", OK, f"{path.parent}, of {manifest['created']}")
    return Finding("backup", FAIL, f"{release.backups} has no backup of this commit", todo)


def staging_smoke(release: Release) -> Finding:
    """scripts/ci-remote.sh against staging."""
    if not release.staging:
        return Finding("staging smoke", FAIL, "not asked", "give --staging")
    token = release.staging_metrics_token or release.metrics_token
    return _script(
        release, "staging smoke", "scripts/ci-remote.sh", _SCRIPT_SECONDS, release.staging, METRICS_TOKEN=token
    )


def flags_in_file(release: Release) -> Finding:
    """What settings.toml says of production, whatever else this machine is set to; each is declared to be off."""
    about = "flags in settings.toml"
    try:
        text = (release.root / "settings.toml").read_text(encoding="utf-8")
        layers = tomllib.loads(text)
        values = layers.get("default", {}) | layers.get("production", {})
    except (OSError, ValueError, TypeError) as error:
        return Finding(about, FAIL, f"it cannot be read: {error}", "put it right")
    on = [name for name in OFF_AT_FIRST if values.get(name, False) is not False]
    if on:
        return Finding(about, FAIL, f"on in production: {', '.join(on)}", "deploy with flags off")
    return Finding(about, OK, "all are off in production")


def production(release: Release) -> Iterator[Finding]:
    """Flags, admin token and API keys, as the running server has them."""
    try:
        answer = _json(release.url, "/admin/flags", release.admin_token, "ROM_ADMIN_TOKEN")
    except FetchFailed as error:
        yield Finding("admin token", FAIL, str(error), "set ADMIN_TOKEN there, ROM_ADMIN_TOKEN here")
        return
    try:
        flags, environment = answer["flags"], answer["environment"]
        on = [name for name in OFF_AT_FIRST if name in flags and flags[name]["value"]]
        keys, canary = flags["API_KEYS"]["value"], answer.get("canary")
    except FOREIGN:
        yield Finding("admin token", FAIL, f"{release.url} does not answer like a ROM Agent", "see the address")
        return
    yield Finding("admin token", OK, "it opens the admin routes")
    if environment != "production":
        yield Finding("flags", FAIL, f"{release.url} runs as {environment}", "set ROM_ENV=production there")
    elif on:
        yield Finding(
            "flags", FAIL, f"on already: {', '.join(on)}", f"rom flags set {' '.join(f'{name}=false' for name in on)}"
        )
    elif canary:
        yield Finding(
            "flags", FAIL, "a canary is in force: some of the traffic sees other flags", "rom flags clear canary"
        )
    else:
        yield Finding("flags", OK, "all are off")
    if keys:
        yield Finding("API keys", OK, "set")
    else:
        yield Finding("API keys", FAIL, "none: everybody may chat", "set API_KEYS")


def memory(release: Release) -> Finding:
    """How much of its limit the server takes at rest."""
    try:
        text = _get(release.url, "/metrics", release.metrics_token, "METRICS_TOKEN")
        ratio = next((value for series, value in parse(text, 0.0).values.items() if series[0] == MEMORY), 0.0)
    except FetchFailed as error:
        return Finding("memory", FAIL, str(error), "METRICS_ENABLED there, METRICS_TOKEN here")
    except BadScrape as error:
        return Finding("memory", FAIL, str(error), "see the address")
    if not 0 < ratio < 1e9:
        return Finding("memory", FAIL, "the server knows no limit", "set MEMORY_LIMIT_MB")
    if ratio >= HEADROOM:
        return Finding("memory", FAIL, f"{ratio:.0%} of the limit at rest", f"below {HEADROOM:.0%}: a larger instance")
    return Finding("memory", OK, f"{ratio:.0%} of the limit")


def alert_rules(release: Release) -> Finding:
    """Every alert of our rules is loaded in the Prometheus."""
    try:
        wanted = set(re.findall(r"- alert: (\w+)", (release.root / RULES).read_text(encoding="utf-8")))
        answer = _json(release.prometheus, "/api/v1/rules")
        loaded = {rule["name"] for group in answer["data"]["groups"] for rule in group["rules"]}
    except OSError as error:
        return Finding("alert rules", FAIL, f"{RULES}: {error.strerror}", "run this where the project is")
    except FetchFailed as error:
        return Finding("alert rules", FAIL, str(error), "see the address")
    except FOREIGN:
        return Finding(
            "alert rules", FAIL, f"{release.prometheus} does not answer like a Prometheus", "see the address"
        )
    missing = sorted(wanted - loaded)
    if missing:
        return Finding("alert rules", FAIL, f"not loaded: {', '.join(missing)}", f"load {RULES}")
    return Finding("alert rules", OK, f"all {len(wanted)} are loaded")


def _git(release: Release, *arguments: str) -> str | None:
    """What git answers, None if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(release.root), *arguments],  # noqa: S607 - the git of this machine
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _script(release: Release, about: str, script: str, seconds: float, *arguments: str, **environ: str) -> Finding:
    try:
        code, said = run([str(release.root / script), *arguments], release.root, seconds, environ)
    except subprocess.TimeoutExpired:
        return Finding(about, FAIL, f"{script} did not end within {seconds:g} s", "run it by itself")
    except OSError as error:
        return Finding(about, FAIL, f"{script}: {error.strerror}", "run this where the project is")
    skipped = re.search(r"^skipped +(.*)", said, re.MULTILINE)
    if code == 0 and skipped:
        return Finding(about, FAIL, f"{script} left out {skipped[1].strip()}", "give it what it asks for")
    if code == 0:
        return Finding(about, OK, f"{script} passed")
    lines = [line for line in said.splitlines() if line.strip()]
    last = next((line for line in lines if "FAILED" in line), lines[-1] if lines else "it said nothing")
    return Finding(about, FAIL, f"{script}: {last.strip()[:300]}", "run it by itself and put right what it says")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _get(url: str, path: str, token: str = "", variable: str = "") -> str:
    """The body of a 200. Raises FetchFailed, also for a token that cannot be one."""
    with DirectSession() as session:
        try:
            session.auth = Bearer(token, variable)
        except BadToken as error:
            raise FetchFailed(str(error)) from None
        return fetch(session, url.rstrip("/") + path, SystemClock(), _HTTP_SECONDS)


def _json(url: str, path: str, token: str = "", variable: str = "") -> Any:
    """As `_get`, and what it means."""
    try:
        return json_of(_get(url, path, token, variable))
    except ValueError:
        raise FetchFailed(f"{url}: it does not answer with JSON") from None
