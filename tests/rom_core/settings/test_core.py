"""The core's own settings and relations, and the settings.toml that is shipped."""

from __future__ import annotations

import secrets
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rom_core import hookspecs
from rom_core.ops.reference import built_in
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import (
    CORE_RULES,
    CORE_SETTINGS,
    ENVIRONMENTS,
    InvalidSettings,
    Settings,
    is_loopback,
    load_settings,
)
from rom_core.settings.shipped import SHIPPED
from rom_core.settings.values import check_value

PROJECT = Path(__file__).parents[3]
LONG_KEY, ADMIN_KEY = secrets.token_hex(16), secrets.token_hex(16)
STRICT = {"API_KEYS": LONG_KEY, "DATA_RESIDENCY": "any: the partners, standard clauses"}


def load(root: Path, **environ: str) -> Settings:
    """The core's settings under the core's rules."""
    return load_settings(CORE_SETTINGS, CORE_RULES, root=root, environ=environ)


def shipped(**environ: str) -> Settings:
    """The project's own files, with every installed plugin's declarations."""
    catalogue = Catalogue.installed(hookspecs)
    return load_settings(catalogue.settings, catalogue.rules, root=PROJECT, environ=environ)


def problems(root: Path, **environ: str) -> list[tuple[str, str]]:
    """Why the core refuses these."""
    with pytest.raises(InvalidSettings) as caught:
        load(root, **environ)
    return [(problem.name, problem.message) for problem in caught.value.problems]


def test_defaults_alone_are_valid(tmp_path: Path) -> None:
    """Without any file the core loads: loopback, the default models known, Bedrock off except in development."""
    settings = load(tmp_path)
    assert (settings.HOST, settings.BEDROCK_ENDPOINT_URL, settings.environment) == ("127.0.0.1", "local", "development")
    assert {settings.MODEL_PRIMARY, *settings.MODEL_FALLBACKS} <= set(settings.models)
    assert {settings.source(name) for name in settings.declared} == {"default", "defaults.toml [development]"}
    for environment in ("testing", "staging", "production"):
        settings = load(tmp_path, ROM_ENV=environment, ALLOW_UNAUTHENTICATED="true", DATA_RESIDENCY="any: me, a ground")
        assert (settings.BEDROCK_ENABLED, settings.BEDROCK_ENDPOINT_URL) == (False, "")
        assert {settings.source(name) for name in settings.declared} == {"default", "environment"}


def test_what_the_package_ships_fits_its_declarations() -> None:
    """Names in defaults.toml are declared, its sections exist, and its order names every plugin of ours, no other."""
    catalogue = built_in()
    declared = {setting.name: setting for setting in catalogue.settings}
    assert set(SHIPPED) <= {"default", *ENVIRONMENTS}
    for section, values in SHIPPED.items():
        for name, value in values.items():
            assert check_value(declared[name], value) == value, (section, name)
            assert section != "default" or declared[name].default == value
    assert set(SHIPPED["default"]["PLUGINS"]) == set(catalogue.plugins), "a place, with its reason, in defaults.toml"


@pytest.mark.parametrize(
    ("environ", "name", "message"),
    [
        ({"HOST": "0.0.0.0"}, "HOST", "without API_KEYS the server listens on loopback only, not on '0.0.0.0'"),
        ({"HOST": "::"}, "HOST", "loopback only"),
        ({"HOST": "example.org"}, "HOST", "loopback only"),
        ({"HOST": ""}, "HOST", "loopback only"),
        ({"HOST": "0.0.0.0", "ALLOW_UNAUTHENTICATED": "true", "ROM_ENV": "production"}, "HOST", "loopback only"),
        ({"ROM_ENV": "staging"}, "API_KEYS", "staging does not start without keys"),
        ({"ROM_ENV": "production"}, "API_KEYS", "production does not start without keys"),
        ({"ROM_ENV": "production", "API_KEYS": "ana=hush"}, "API_KEYS", "entry 1: the key is shorter than 32"),
        ({"API_KEYS": "ana=hush,ana=hush2"}, "API_KEYS", "entry 2: the name is taken"),
        ({"ADMIN_TOKEN": "hush,"}, "ADMIN_TOKEN", "entry 2 is empty"),
        (
            {"ADMIN_TOKEN": "ops=hush", "API_KEYS": "ana=x,bia=hush"},
            "ADMIN_TOKEN",
            "holds a key that is in API_KEYS too",
        ),
        ({"ROM_ENV": "production", "BEDROCK_ENDPOINT_URL": "local"} | STRICT, "BEDROCK_ENDPOINT_URL", "a stand-in"),
        ({"ROM_ENV": "staging", "API_KEYS": LONG_KEY}, "DATA_RESIDENCY", "staging does not start without it"),
        (
            {"ROM_ENV": "production", "BEDROCK_ENDPOINT_URL": "https://gateway.example", "API_KEYS": LONG_KEY},
            "DATA_RESIDENCY",
            "production does not start without it",
        ),
        ({"DATA_RESIDENCY": "any"}, "DATA_RESIDENCY", "`any` needs who decided it and on what ground"),
        ({"DATA_RESIDENCY": "any: me"}, "DATA_RESIDENCY", "`any` needs who decided it and on what ground"),
        ({"DATA_RESIDENCY": "global"}, "DATA_RESIDENCY", "`global` is anywhere"),
        ({"DATA_RESIDENCY": "Brazil"}, "DATA_RESIDENCY", "'Brazil' is no region"),
        ({"DATA_RESIDENCY": "us"}, "MODELS", "is processed in any commercial region of AWS in the world"),
        ({"ROM_ENV": "staging", "API_KEYS": LONG_KEY, "ADMIN_TOKEN": "hush"}, "ADMIN_TOKEN", "shorter than 32"),
        (
            {"MODEL_PRIMARY": "anthropic.claude-sonnet-45"},
            "MODEL_PRIMARY",
            "is not an alias in MODELS; did you mean anthropic.claude-sonnet-4-5?",
        ),
        ({"MODEL_FALLBACKS": "zzz"}, "MODEL_FALLBACKS", "'zzz' is not an alias in MODELS"),
        ({"MODEL_FALLBACKS": "anthropic.claude-sonnet-4-5"}, "MODEL_FALLBACKS", "is MODEL_PRIMARY"),
        (
            {"MODEL_FALLBACKS": "anthropic.claude-haiku-4-5,anthropic.claude-haiku-4-5"},
            "MODEL_FALLBACKS",
            "is named twice",
        ),
        *(
            ({"BEDROCK_ENDPOINT_URL": url}, "BEDROCK_ENDPOINT_URL", "is neither empty nor 'local', and must be")
            for url in (
                "localhost:9000",
                "ftp://h",
                "http://",
                "http://bedrock.example",
                "http://h:x",
                "http://[::1",
                "LOCAL",
            )
        ),
        (
            {"BEDROCK_CONNECT_TIMEOUT_SECONDS": "9", "BEDROCK_READ_TIMEOUT_SECONDS": "8"},
            "BEDROCK_CONNECT_TIMEOUT_SECONDS",
            "is 9, longer than BEDROCK_READ_TIMEOUT_SECONDS, 8",
        ),
        (
            {"TURN_DEADLINE_SECONDS": "901"},
            "TURN_DEADLINE_SECONDS",
            "is 901, longer than EXHAUSTIVE_DEADLINE_SECONDS, 900",
        ),
        ({"PLUGINS": "a,b,a"}, "PLUGINS", "names a plugin twice: a"),
        ({"TEXT_CUT_SHORT": " "}, "TEXT_CUT_SHORT", "must not be blank"),
        ({"CLOSING_INSTRUCTION": ""}, "CLOSING_INSTRUCTION", "must not be blank"),
        ({"HTTP_THREADS": "12"}, "HTTP_THREADS", "must be at least 13"),
        ({"PORT": "65536"}, "PORT", "must be at most 65535"),
        ({"LOG_LEVEL": "info"}, "LOG_LEVEL", "must be one of DEBUG, INFO"),
    ],
)
def test_relation_is_enforced(tmp_path: Path, environ: dict[str, str], name: str, message: str) -> None:
    """Each mistake gives its one problem, and no secret shows in it."""
    if name != "DATA_RESIDENCY":
        environ = {"DATA_RESIDENCY": STRICT["DATA_RESIDENCY"]} | environ
    ((found, text),) = problems(tmp_path, **environ)
    assert found == name
    assert message in text
    assert "hush" not in text


@pytest.mark.parametrize(
    "environ",
    [
        {"HOST": "0.0.0.0", "API_KEYS": "short"},
        {"HOST": "localhost"},
        {"HOST": "::1"},
        {"ROM_ENV": "production", "HOST": "0.0.0.0"} | STRICT,
        {"ROM_ENV": "production", "ALLOW_UNAUTHENTICATED": "yes", "DATA_RESIDENCY": STRICT["DATA_RESIDENCY"]},
        {"ROM_ENV": "testing", "API_KEYS": "a=1,b=2", "ADMIN_TOKEN": "ops=3,oncall=4"},
        {"BEDROCK_ENDPOINT_URL": "local"},
        {"ROM_ENV": "staging", "API_KEYS": LONG_KEY, "BEDROCK_ENDPOINT_URL": "local"},
        {"ROM_ENV": "production", "API_KEYS": LONG_KEY, "BEDROCK_ENDPOINT_URL": "http://127.0.0.1:9000"},
        {"API_KEYS": "a=1,b=2", "ADMIN_TOKEN": "ops=3"},
        {"BEDROCK_ENDPOINT_URL": "http://127.0.0.1:9000/path"},
        {"BEDROCK_ENDPOINT_URL": ""},
        {"MODEL_FALLBACKS": "[]"},
        {"TURN_DEADLINE_SECONDS": "900"},
        {"BEDROCK_CONNECT_TIMEOUT_SECONDS": "8", "BEDROCK_READ_TIMEOUT_SECONDS": "8"},
        {"SYSTEM_PROMPT": ""},
    ],
)
def test_what_the_relations_allow(tmp_path: Path, environ: dict[str, str]) -> None:
    """The edge of each relation is allowed."""
    assert load(tmp_path, **environ)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("rom.localhost", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("0.0.0.0", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only an address of this machine alone, or localhost, is loopback; no name is looked up."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_shipped_file_is_valid_in_every_environment(environment: str) -> None:
    """settings.toml, with no more than keys added, starts everywhere."""
    settings = shipped(ROM_ENV=environment, ADMIN_TOKEN=f"ops={ADMIN_KEY}", **STRICT)
    assert settings.environment == environment
    assert {"127.0.0.1", "0.0.0.0"} >= {settings.HOST}
    assert (settings.HOST == "0.0.0.0") is (environment in ("staging", "production"))


def test_shipped_file_is_safe_by_default() -> None:
    """Development talks to the local Bedrock; production talks to none until somebody says so, and needs keys."""
    development = shipped(ADMIN_TOKEN="", API_KEYS="")
    assert (development.BEDROCK_ENABLED, development.BEDROCK_ENDPOINT_URL) == (True, "local")
    production = shipped(ROM_ENV="production", **STRICT)
    assert (production.BEDROCK_ENABLED, production.BEDROCK_ENDPOINT_URL) == (False, "")
    with pytest.raises(InvalidSettings) as caught:
        shipped(ROM_ENV="production", API_KEYS="", DATA_RESIDENCY="")
    assert {problem.name for problem in caught.value.problems} == {"API_KEYS", "DATA_RESIDENCY", "HOST"}


def test_shipped_file_holds_no_secret() -> None:
    """The files in the repository have placeholders only."""
    secrets = {setting.name for setting in CORE_SETTINGS if setting.secret}
    for file in ("settings.toml", ".secrets.toml"):
        sections: dict[str, dict[str, Any]] = tomllib.loads((PROJECT / file).read_text(encoding="utf-8"))
        assert not [name for section in sections.values() for name in secrets & set(section) if section[name]]


def test_only_secrets_are_called_tokens_or_keys() -> None:
    """A setting whose name says secret is declared as one."""
    named = {s.name for s in CORE_SETTINGS if s.name.endswith(("_KEYS", "_TOKEN", "_KEY", "_PASSWORD"))}
    assert named == {"API_KEYS", "ADMIN_TOKEN", "CONTENT_KEY"}
    # The address of the database may hold its password.
    assert {s.name for s in CORE_SETTINGS if s.secret} == {*named, "STATE_URL"}


def test_settings_read_at_start_are_of_the_process() -> None:
    """What cannot change at run time is not a setting of a turn; the kill switch can change, for all traffic."""
    by_name = {setting.name: setting for setting in CORE_SETTINGS}
    assert all(setting.scope == "process" for setting in CORE_SETTINGS if not setting.runtime)
    assert (by_name["BEDROCK_ENABLED"].scope, by_name["BEDROCK_ENABLED"].runtime) == ("process", True)
    fixed = {"HOST", "PORT", "HTTP_THREADS", "TOOL_THREADS", "STATE_DIR", "AWS_REGION", "BEDROCK_ENDPOINT_URL"}
    assert fixed <= {setting.name for setting in CORE_SETTINGS if not setting.runtime}
