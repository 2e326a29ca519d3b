"""render.yaml and the workflows: structure, names, settings, and that nothing in them can be fooled."""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from rom_core import hookspecs
from rom_core.cli import main
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import load_settings, parse_api_keys

ROOT = Path(__file__).parents[1]
BLUEPRINT = yaml.safe_load((ROOT / "render.yaml").read_text())
SERVICES: list[dict[str, Any]] = BLUEPRINT["services"]
DATABASES: list[dict[str, Any]] = BLUEPRINT["databases"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}
# Read by Render, by the layers themselves, and by boto3.
NO_SETTINGS = {"ROM_ENV", "PYTHON_VERSION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
# Of Render's blueprint specification, those that this service may use.
FIELDS = {
    "type",
    "name",
    "runtime",
    "region",
    "plan",
    "branch",
    "autoDeployTrigger",
    "buildCommand",
    "startCommand",
    "healthCheckPath",
    "maxShutdownDelaySeconds",
    "numInstances",
    "envVars",
}


def variables(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Environment variables by name."""
    named = {variable["key"]: variable for variable in service["envVars"]}
    assert len(named) == len(service["envVars"]), "a name stands there twice"
    return named


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service["name"]))
def test_a_service_has_what_it_needs(service: dict[str, Any]) -> None:
    """2 GB and 1 CPU, a health check, a database for the state, and a shutdown longer than the grace of turns."""
    assert set(service) == FIELDS
    assert (service["type"], service["runtime"], service["plan"]) == ("web", "python", "standard")
    assert service["healthCheckPath"] == "/health"
    assert service["startCommand"] == "rom serve"
    grace = next(s for s in Catalogue.installed(hookspecs).settings if s.name == "SHUTDOWN_GRACE_SECONDS").default
    assert grace < service["maxShutdownDelaySeconds"] == 300
    # A disk would allow one instance only, make a gap at each deploy, and forbid the shutdown delay.
    assert 1 <= service["numInstances"] <= 2
    source = variables(service)["STATE_URL"]["fromDatabase"]
    assert source["property"] == "connectionString"
    database = next(each for each in DATABASES if each["name"] == source["name"])
    # Beside the instances, and for nobody else.
    assert (database["region"], database["ipAllowList"]) == (service["region"], [])
    # In YAML a bare off is false, which is no trigger.
    assert service["autoDeployTrigger"] == "off"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service["name"]))
def test_every_variable_is_a_declared_setting(service: dict[str, Any]) -> None:
    """One that nobody reads would only look as if it did something; each has exactly one source."""
    declared = {setting.name: setting for setting in Catalogue.installed(hookspecs).settings}
    for name, variable in variables(service).items():
        assert name in declared or name in NO_SETTINGS, name
        assert len(variable) == 2
        assert {"value", "generateValue", "sync", "fromDatabase"} & set(variable)
        if name in declared and declared[name].secret:
            assert "value" not in variable, f"{name} is a secret"
        if "value" in variable:
            assert isinstance(variable["value"], str), f"{name}: Render wants text"


def test_python_is_the_one_that_the_tests_run_on_with_its_patch_named() -> None:
    """The minor version of every workflow; Render asks for the patch too, and a security release is a change here."""
    versions = {variables(service)["PYTHON_VERSION"]["value"] for service in SERVICES}
    assert len(versions) == 1
    major, minor, patch = (int(part) for part in versions.pop().split("."))
    assert (major, minor) >= (3, 11)
    # The newest of this line when it was last looked up (docs/rotation.md says where).
    assert (major, minor) != (3, 11) or patch >= 18
    tested = {
        step["with"]["python-version"]
        for name in WORKFLOWS
        for step in steps(WORKFLOWS[name])
        if "setup-python" in step.get("uses", "")
    }
    assert tested == {f"{major}.{minor}"}


def test_staging_rehearses_production() -> None:
    """They differ in nothing but the environment and their names."""
    production, staging = (yaml.safe_dump(service) for service in SERVICES)
    assert production.replace("production", "staging") == staging


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_service_would_start_with_these_settings(environment: str) -> None:
    """The layers accept them, the generated tokens too; in production everything that may cost is still off."""
    service = next(s for s in SERVICES if variables(s)["ROM_ENV"]["value"] == environment)
    # Render generates 256 bits in base64, which ends with an equals sign.
    generated = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in variables(service)}
    environ = {"API_KEYS": f"ana={secrets.token_hex(16)}", "PORT": "10000", "DATA_RESIDENCY": "any: partners, clauses"}
    for name, variable in variables(service).items():
        if name not in NO_SETTINGS - {"ROM_ENV"}:
            environ[name] = (
                generated[name] if variable.get("generateValue") else variable.get("value", environ.get(name, ""))
            )
    catalogue = Catalogue.installed(hookspecs)
    settings = load_settings(catalogue.settings, catalogue.rules, root=ROOT, environ=environ)
    assert settings.environment == environment
    assert (settings.HOST, settings.PORT) == ("0.0.0.0", 10000)
    assert list(parse_api_keys(settings.ADMIN_TOKEN).values()) == [generated["ADMIN_TOKEN"]]
    assert settings.BEDROCK_ENABLED is (environment == "staging")


def test_the_build_installs_exactly_what_is_locked() -> None:
    """As the Makefile does: with hashes, and nothing resolved anew."""
    makefile = (ROOT / "Makefile").read_text()
    for service in SERVICES:
        first, second = service["buildCommand"].split("&&")
        for option in ("--require-hashes", "requirements/run.lock"):
            assert option in first
            assert option in makefile
        for option in ("--no-deps", "--no-build-isolation", "--editable ."):
            assert option in second
            assert option in makefile


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """All steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_workflows_are_pinned_bounded_and_least_privileged(name: str) -> None:
    """Actions by commit, a limit on time, rights to read, and no expression inside a script (it would be code)."""
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 360
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_what_workflows_call_exists(name: str) -> None:
    """Scripts, make targets and commands of `rom`."""
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
    for step in steps(WORKFLOWS[name]):
        run = step.get("run", "")
        for script in re.findall(r"scripts/[\w.-]+", run):
            assert os.access(ROOT / script, os.X_OK), script
        for target in re.findall(r"make ([\w./-]+)", run):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
        for command in re.findall(r"bin/rom ([a-z-]+)(?: ([a-z]+))?", run):
            group = main.get_command(click.Context(main), command[0])
            assert group is not None, command
            assert not command[1] or command[1] in getattr(group, "commands", {command[1]})


def script_of(workflow: str, word: str) -> str:
    """The one script of a workflow with that word in it."""
    [run] = {str(step["run"]) for step in steps(WORKFLOWS[workflow]) if word in step.get("run", "")}
    return run


HOSTILE = ("--service=srv-production", "--url=https://elsewhere.test", "-h", "; touch executed", "$(touch executed)")
FROM_OUTSIDE = {
    ("rollback", "rom deploy rollback"): "DEPLOY",
    ("gate", "rom gate"): "WINDOW",
    ("canary", "rom canary"): "FLAGS",
    ("deploy", "rom deploy start"): "GITHUB_SHA",
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(("place", "variable"), FROM_OUTSIDE.items(), ids=lambda value: str(value))
def test_what_somebody_types_into_a_workflow_is_never_an_option(
    tmp_path: Path, place: tuple[str, str], variable: str, hostile: str
) -> None:
    """The script is run with a stub for `rom`: the value is an argument behind `--`, or the value of an option."""
    called = tmp_path / "called"
    stub = tmp_path / ".venv/bin/rom"
    stub.parent.mkdir(parents=True)
    stub.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{called}\n")
    stub.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], "STEP": "start", "ACTOR": "ana", "REASON": hostile} | {variable: hostile}
    done = subprocess.run(
        ["bash", "-e", "-c", script_of(*place)], cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()
    arguments = called.read_text().splitlines()
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    assert not set(options) & {hostile, *hostile.split()}


@pytest.mark.parametrize("hostile", [*HOSTILE, "dep-1 dep-2", "dep-1\ndep-2", "DEP-1", "dep-"])
def test_a_rollback_goes_to_the_id_of_a_deploy_or_to_the_one_before(hostile: str) -> None:
    """What else is typed ends the workflow before it has a key."""
    script = script_of("rollback", "=~")
    for value, code in ((hostile, 2), ("", 0), ("dep-c0ffee1", 0)):
        environ = {"PATH": os.environ["PATH"], "DEPLOY": value}
        done = subprocess.run(["bash", "-e", "-c", script], env=environ, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, value
    runs = [step.get("run", "") for step in steps(WORKFLOWS["rollback"])]
    assert runs.index(script) < min(number for number, run in enumerate(runs) if "rom " in run)


@pytest.mark.parametrize("name", ["rollback", "gate", "canary"])
def test_what_is_started_by_hand_runs_from_main_alone(name: str) -> None:
    """A branch that nobody reviewed has no business with a service's keys."""
    assert all(job["if"] == "github.ref == 'refs/heads/main'" for job in WORKFLOWS[name]["jobs"].values())


def test_keys_are_given_to_the_steps_that_need_them() -> None:
    """Not to a whole job, where the build and every dependency would have them too."""
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            assert "secrets." not in str(job.get("env", "")), name
        for step in steps(workflow):
            if "secrets." in str(step):
                assert re.search(r"\brom |ci-remote\.sh", step["run"]), (name, step)


def test_production_comes_after_staging_and_an_approval() -> None:
    """The environment is where reviewers are required; a failed smoke test rolls back."""
    jobs = WORKFLOWS["deploy"]["jobs"]
    assert jobs["staging"]["needs"] == "ci"
    assert jobs["production"]["needs"] == "staging"
    assert jobs["production"]["environment"] == "production"
    assert jobs["staging"]["environment"] == "staging"
    runs = [step.get("run", "") for step in jobs["production"]["steps"]]
    assert [run for run in runs if "rollback --yes" in run] == runs[-1:]
    # PyYAML reads the key `on` as true.
    assert WORKFLOWS["deploy"][True]["push"]["branches"] == ["main"]
    assert "pull_request" in WORKFLOWS["ci"][True]


def test_what_is_shipped_is_audited_and_listed() -> None:
    """Before every deploy, and every week; Dependabot looks after what is locked and what the workflows use."""
    runs = [step.get("run") for step in WORKFLOWS["ci"]["jobs"]["supply-chain"]["steps"]]
    assert {"make audit", "make sbom"} <= set(runs)
    assert WORKFLOWS["ci"][True]["schedule"]
    assert WORKFLOWS["deploy"]["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"
    dependabot = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())
    places = {(update["package-ecosystem"], update["directory"]) for update in dependabot["updates"]}
    assert places == {("pip", "/"), ("pip", "/requirements"), ("github-actions", "/")}
    assert (ROOT / "requirements/run.lock").exists()


def test_an_abort_waits_for_no_other_step() -> None:
    """Steps of a rollout queue by themselves: one that waits for its reviewers must not hold up the way back."""
    assert WORKFLOWS["canary"]["concurrency"]["group"] == "canary-${{ inputs.step }}"
    options = WORKFLOWS["canary"][True]["workflow_dispatch"]["inputs"]["step"]["options"]
    run = WORKFLOWS["canary"]["jobs"]["canary"]["steps"][-1]["run"]
    cases = {word for line in re.findall(r"^ *([a-z |]+)\)", run, re.MULTILINE) for word in line.split(" | ")}
    assert set(options) == cases >= {"abort", "release"}
