"""From layers to one snapshot: reading, merging, checking.

Later wins: declared default, defaults.toml [ROM_ENV], settings.toml [default], settings.toml [ROM_ENV], .secrets.toml,
settings.local.toml, .secrets.local.toml, .env, environment variables, run-time overrides. Every load starts
from nothing and writes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rom_core.settings.declared import InvalidDeclaration, Rule, Setting
from rom_core.settings.files import (
    DOTENV_FILE,
    ENVIRONMENTS,
    check_dotenv_names,
    check_entries,
    check_visible,
    read_dotenv,
    read_toml_files,
    suggestion,
    undeclared_switches,
)
from rom_core.settings.keys import NO_PART_OF_IT, wrapping_of
from rom_core.settings.merging import Layered, merge_files
from rom_core.settings.models import Model, build_models
from rom_core.settings.problems import InvalidSettings, Problem
from rom_core.settings.settings import Settings
from rom_core.settings.shipped import shipped_layer
from rom_core.settings.values import InvalidValue, check_value, parse_value

ENVIRONMENT_VARIABLE = "ROM_ENV"
DEFAULT_ENVIRONMENT = "development"
# Secrets that no setting is declared for: the AWS client reads them itself.
_AWS_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK")
DEFAULT, ENVIRON, OVERRIDE = "default", "environment", "override"


def load_settings(
    declared: Iterable[Setting],
    rules: Iterable[Rule] = (),
    *,
    root: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = MappingProxyType({}),
    lenient_switches: bool = False,
    started: Settings | None = None,
    collect_problems: list[Problem] | None = None,
) -> Settings:
    """Read all layers anew and return them as one snapshot.

    `root` is the folder of the settings files and .env. `environ` is the process's environment; nothing else
    of it is read, and it is not changed. `overrides` are values, not text, by name. With `lenient_switches` a
    name that ends in _ENABLED, is false and that nobody declared is no problem: it belongs to a plugin that
    is off and did not load. `started` are the settings the process began with: what is read only then keeps that
    value, the environment too, and what the layers say of it by now goes to `Settings.awaiting_restart`.

    Raises InvalidSettings with every problem at once. Values are judged in all sections of all files,
    whichever apply; relations between settings only once every layer could be read. Raises InvalidDeclaration
    for a name declared twice and for a rule about a name that nobody declared.

    With `collect_problems`, for a command that only looks at the settings, the problems go there in place of being
    raised, and what does not fit gives way to its default.
    """
    known, rules = _declarations(declared, rules)
    toml, dotenv = read_toml_files(root), read_dotenv(root)
    problems = [*toml.problems, *dotenv.problems]
    problems += check_visible(ENVIRON, environ, known)
    problems += check_visible(DOTENV_FILE, dotenv.values, known)
    problems += _wrapped_aws_secrets(environ)
    environment, wrong = _environment(environ, dotenv.values)
    problems += wrong
    awaiting: dict[str, Any] = {}
    if started is not None and environment != started.environment:
        awaiting[ENVIRONMENT_VARIABLE], environment = environment, started.environment
    complete = not wrong and toml.readable and not dotenv.problems

    switches = {}
    if lenient_switches:
        written = {entry.name for entry in toml.entries} | set(dotenv.values) | set(overrides)
        switches = undeclared_switches(written, known)
    accepted = {**known, **switches}

    problems += check_entries(toml.entries, accepted)
    problems += check_dotenv_names(dotenv.values, accepted)
    layered = merge_files(toml.entries if toml.readable else (), environment, accepted)
    for layer, texts in ((DOTENV_FILE, dotenv.values), (ENVIRON, environ)):
        values, wrong = _parse_layer(layer, texts, accepted)
        problems += wrong
        layered.put(layer, values)
    values, wrong = _check_overrides(overrides, accepted)
    problems += wrong
    layered.put(OVERRIDE, values)

    values, sources, wrong = _effective(layered, accepted, environment)
    problems += wrong
    for name in switches:
        if values.pop(name):
            problems.append(Problem(name, f"{sources[name]}: the plugin that this switches on is not installed"))
    if started is not None:
        awaiting |= _keep_fixed(started, known, values, sources)
    models, wrong = _models(values)
    problems += wrong
    settings = Settings(
        environment=environment,
        declared=known,
        values=values,
        sources={name: sources.get(name, DEFAULT) for name in known},
        models=models,
        awaiting_restart=awaiting,
    )
    if complete:
        problems += _violations(rules, settings, {problem.name for problem in problems})
    if problems and collect_problems is None:
        raise InvalidSettings(problems)
    if collect_problems is not None:
        collect_problems += dict.fromkeys(problems)
    return settings


def chosen_environment(root: Path, environ: Mapping[str, str]) -> str:
    """The value of ROM_ENV for `root`; development where it is not set, or not to one of ENVIRONMENTS."""
    return _environment(environ, read_dotenv(root).values)[0]


def _declarations(declared: Iterable[Setting], rules: Iterable[Rule]) -> tuple[dict[str, Setting], tuple[Rule, ...]]:
    known: dict[str, Setting] = {}
    for setting in declared:
        if setting.name in known:
            first, second = (owner.plugin or "the core" for owner in (known[setting.name], setting))
            raise InvalidDeclaration(f"{setting.name} is declared twice, by {first} and {second}")
        known[setting.name] = setting
    rules = tuple(rules)
    for rule in rules:
        if unknown := [name for name in rule.names if name not in known]:
            raise InvalidDeclaration(f"a rule speaks of {', '.join(unknown)}, which nobody declares")
    return known, rules


def _environment(environ: Mapping[str, str], dotenv: Mapping[str, str]) -> tuple[str, list[Problem]]:
    for layer, texts in ((ENVIRON, environ), (DOTENV_FILE, dotenv)):
        if name := texts.get(ENVIRONMENT_VARIABLE, "").strip():
            if name in ENVIRONMENTS:
                return name, []
            message = f"{layer}: must be one of {', '.join(ENVIRONMENTS)}, not {name!r}"
            return DEFAULT_ENVIRONMENT, [Problem(ENVIRONMENT_VARIABLE, message + suggestion(name, ENVIRONMENTS))]
    return DEFAULT_ENVIRONMENT, []


def _wrapped_aws_secrets(environ: Mapping[str, str]) -> Iterator[Problem]:
    for name in _AWS_SECRETS:
        if (wrapping := wrapping_of(environ.get(name, ""))) is not None:
            yield Problem(name, f"{ENVIRON}: has {wrapping}, {NO_PART_OF_IT}")


def _parse_layer(
    layer: str, texts: Mapping[str, str], accepted: Mapping[str, Setting]
) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, setting in accepted.items():
        text = texts.get(name)
        if text is None or (setting.type is not str and not text.strip()):
            continue
        try:
            values[name] = parse_value(setting, text)
        except InvalidValue as error:
            problems.append(Problem(name, f"{layer}: {error}"))
    return values, problems


def _check_overrides(
    overrides: Mapping[str, Any], accepted: Mapping[str, Setting]
) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in overrides.items():
        setting = accepted.get(name)
        if setting is None:
            problems.append(Problem(name, f"{OVERRIDE}: unknown setting{suggestion(name, accepted)}"))
        elif setting.secret:
            problems.append(Problem(name, f"{OVERRIDE}: a secret belongs in .secrets.local.toml or the environment"))
        elif not setting.runtime:
            problems.append(Problem(name, f"{OVERRIDE}: cannot be changed at run time; change a file and restart"))
        else:
            try:
                values[name] = check_value(setting, value)
            except InvalidValue as error:
                problems.append(Problem(name, f"{OVERRIDE}: {error}"))
    return values, problems


def _effective(
    layered: Layered, accepted: Mapping[str, Setting], environment: str
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """The value and layer of every setting; one that does not fit is a problem and gives way to the default."""
    layer, shipped = shipped_layer(environment)
    merged, sources = {**shipped, **layered.as_dict()}, dict.fromkeys(shipped, layer) | layered.sources()
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, setting in accepted.items():
        try:
            values[name] = _over_default(setting, merged[name]) if name in merged else setting.default
        except InvalidValue as error:
            values[name] = setting.default
            problems.append(Problem(name, f"{sources.pop(name)}: {error}"))
    return values, sources, problems


def _over_default(setting: Setting, value: Any) -> Any:
    value = check_value(setting, value)
    return MappingProxyType({**setting.default, **value}) if setting.merge else value


def _keep_fixed(
    started: Settings, known: Mapping[str, Setting], values: dict[str, Any], sources: dict[str, str]
) -> dict[str, Any]:
    """Put the values of `started` in place of those that cannot change any more; what they would have been."""
    awaiting = {}
    for name, setting in known.items():
        if not setting.runtime and name in started.declared:
            value = getattr(started, name)
            if values[name] != value:
                awaiting[name] = values[name]
            values[name], sources[name] = value, started.source(name)
    return awaiting


def _models(values: Mapping[str, Any]) -> tuple[Mapping[str, Model], list[Problem]]:
    return build_models(values["MODELS"]) if "MODELS" in values else (MappingProxyType({}), [])


def _violations(rules: Iterable[Rule], settings: Settings, invalid: set[str]) -> list[Problem]:
    return [
        Problem(rule.names[0], message, rule.names)
        for rule in rules
        if invalid.isdisjoint(rule.names) and (message := rule.check(settings)) is not None
    ]
