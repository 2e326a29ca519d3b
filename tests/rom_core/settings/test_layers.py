"""Layers: which one wins, what each may say, and that loading touches nothing else."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from settings_support import DECLARED, Site

from rom_core.settings import InvalidDeclaration, Problem, Rule, Setting, Settings, load_settings


def _toml(file: str, section: str) -> Callable[[Site, int], None]:
    return lambda site, n: site.write(file, f'[{section}]\nNUMBER = {n}\nNAMES = ["n{n}"]\nTABLE = {{k{n} = {n}}}')


def _dotenv(site: Site, n: int) -> None:
    site.write(".env", f'NUMBER={n}\nNAMES=n{n}\nTABLE={{"k{n}": {n}}}')


def _environ(site: Site, n: int) -> None:
    site.environ |= {"NUMBER": str(n), "NAMES": f'["n{n}"]', "TABLE": f'{{"k{n}": {n}}}'}


def _override(site: Site, n: int) -> None:
    site.overrides = {"NUMBER": n, "NAMES": [f"n{n}"], "TABLE": {f"k{n}": n}}


LAYERS: Mapping[str, Callable[[Site, int], None]] = {
    "settings.toml [default]": _toml("settings.toml", "default"),
    "settings.toml [staging]": _toml("settings.toml", "staging"),
    ".secrets.toml": _toml(".secrets.toml", "default"),
    "settings.local.toml": _toml("settings.local.toml", "default"),
    ".secrets.local.toml": _toml(".secrets.local.toml", "staging"),
    ".env": _dotenv,
    "environment": _environ,
    "override": _override,
}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_outranks_the_declared_default(site: Site, layer: str) -> None:
    """A layer alone gives its value and is named as the source; before it, the declaration is."""
    site.environ["ROM_ENV"] = "staging"
    before = site.load()
    assert (before.NUMBER, before.source("NUMBER")) == (0, "default")
    LAYERS[layer](site, 7)
    settings = site.load()
    assert (settings.NUMBER, settings.source("NUMBER")) == (7, layer)
    assert settings.source("TEXT") == "default"


@pytest.mark.parametrize(("lower", "higher"), list(itertools.combinations(LAYERS, 2)))
def test_later_layer_replaces_the_earlier_one(site: Site, lower: str, higher: str) -> None:
    """The later of two layers wins, whichever was written first, and lists and tables are replaced, not merged."""
    site.environ["ROM_ENV"] = "staging"
    LAYERS[higher](site, 2)
    LAYERS[lower](site, 1)
    settings = site.load()
    assert (settings.NUMBER, settings.NAMES, dict(settings.TABLE)) == (2, ("n2",), {"k2": 2})
    assert {settings.source(name) for name in ("NUMBER", "NAMES", "TABLE")} == {higher}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_merged_table_keeps_the_entries_of_its_default(site: Site, layer: str) -> None:
    """What a layer says is laid over the default; of two layers the later one counts alone."""
    site.environ["ROM_ENV"] = "staging"
    table = Setting("TABLE", dict, {"k1": 0, "k7": 0}, "A table.", merge=True)
    declared = (table, *(setting for setting in DECLARED if setting.name != "TABLE"))
    if layer != "settings.toml [default]":
        site.write("settings.toml", "[default]\nTABLE = {k2 = 2}")
    LAYERS[layer](site, 7)
    settings = load_settings(declared, root=site.root, environ=site.environ, overrides=site.overrides)
    assert (dict(settings.TABLE), settings.source("TABLE")) == ({"k1": 0, "k7": 7}, layer)


def test_who_only_looks_gets_the_settings_and_the_problems(site: Site) -> None:
    """What does not fit gives way to its default, named as the source then; everything else is as it would be."""
    site.write("settings.toml", '[default]\nNUMBER = "many"\nNAMES = ["a"]\nNOBODY = 1')
    rule = Rule(("NAMES",), lambda settings: "are too few")
    problems: list[Problem] = []
    settings = site.load(rules=(rule,), collect_problems=problems)
    assert (settings.NUMBER, settings.source("NUMBER")) == (0, "default")
    assert (settings.NAMES, settings.source("NAMES")) == (("a",), "settings.toml [default]")
    assert [problem.name for problem in problems] == ["NUMBER", "NOBODY", "NAMES"]


def test_section_of_another_environment_does_not_count(site: Site) -> None:
    """Only [default] and the section of ROM_ENV are read."""
    site.write("settings.toml", "[default]\nNUMBER = 1\n[production]\nNUMBER = 2\n[testing]\nNUMBER = 3")
    site.environ["ROM_ENV"] = "testing"
    assert site.load().NUMBER == 3


@pytest.mark.parametrize(
    ("environ", "dotenv", "expected"),
    [
        ({}, "", "development"),
        ({}, "ROM_ENV=staging", "staging"),
        ({"ROM_ENV": "testing"}, "ROM_ENV=staging", "testing"),
        ({"ROM_ENV": ""}, "ROM_ENV=staging", "staging"),
        ({"ROM_ENV": " production "}, "", "production"),
    ],
)
def test_environment_is_chosen_outside_the_toml_files(
    site: Site, environ: dict[str, str], dotenv: str, expected: str
) -> None:
    """ROM_ENV comes from the environment, else .env, else it is development; a blank one is not set."""
    site.environ = environ
    site.write(".env", dotenv)
    assert site.load().environment == expected


def test_fresh_load_sees_an_edited_dotenv(site: Site) -> None:
    """A change in .env counts at the next load, and a line taken out gives the value back to the layer below."""
    site.write("settings.toml", "[default]\nNUMBER = 1")
    for content, expected in (("NUMBER=2", 2), ("NUMBER=3", 3), ("", 1)):
        (site.root / ".env").write_text(content)
        assert expected == site.load().NUMBER


def test_nothing_of_the_process_is_read_or_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`environ` alone decides: os.environ neither gives a value, nor steers dynaconf, nor gets one."""
    monkeypatch.setenv("NUMBER", "99")
    monkeypatch.setenv("ROM_ENV", "production")
    monkeypatch.setenv("ENV_FOR_DYNACONF", "production")
    monkeypatch.setenv("LOADERS_FOR_DYNACONF", '["no_such_module"]')
    monkeypatch.setenv("MERGE_ENABLED_FOR_DYNACONF", "true")
    monkeypatch.setenv("SETTINGS_FILE_FOR_DYNACONF", "elsewhere.toml")
    monkeypatch.setenv("DYNACONF_NUMBER", "98")
    site.write("settings.toml", '[default]\nNAMES = ["a"]\n[development]\nNAMES = ["b"]\n[production]\nNUMBER = 97')
    site.write(".env", "TEXT=from-dotenv")
    before = dict(os.environ)
    settings = site.load()
    assert (settings.NUMBER, settings.NAMES, settings.environment) == (0, ("b",), "development")
    assert dict(os.environ) == before


def test_only_files_of_the_root_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the working directory or a parent folder are none of ours."""
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "parent" / "root"
    for folder in (elsewhere, root):
        folder.mkdir(parents=True)
    for folder in (elsewhere, root.parent):
        (folder / "settings.toml").write_text("[default]\nNUMBER = 5\n")
        (folder / ".env").write_text("NUMBER=6\n")
    monkeypatch.chdir(elsewhere)
    assert Site(root).load().NUMBER == 0


def test_folder_name_with_wildcards_is_taken_literally(tmp_path: Path) -> None:
    """A root called `a[b]*` is a folder, not a pattern."""
    root = tmp_path / "a[b]*"
    root.mkdir()
    site = Site(root)
    site.write("settings.toml", "[default]\nNUMBER = 5")
    site.write(".secrets.local.toml", '[default]\nTEXT = "x"')
    settings = site.load()
    assert (settings.NUMBER, settings.TEXT) == (5, "x")


def test_names_in_the_environment_are_exact(site: Site) -> None:
    """A variable in another case, with dynaconf's separators, or that nobody declared, is not ours and no problem."""
    site.environ = {"number": "5", "Number": "6", "TABLE__k": "7", "HOME": "/root", "NUMBERS": "8"}
    settings = site.load()
    assert (settings.NUMBER, dict(settings.TABLE)) == (0, {})


def test_blank_variable_is_not_set_unless_the_setting_is_text(site: Site) -> None:
    """`X=` means no value for a number, flag, list or table, and an empty text for a text."""
    site.write("settings.toml", '[default]\nNUMBER = 4\nFLAG = true\nNAMES = ["a"]\nTEXT = "full"')
    site.environ = dict.fromkeys(("NUMBER", "FLAG", "NAMES", "TEXT", "TABLE", "RATIO"), "")
    settings = site.load()
    assert (settings.NUMBER, settings.FLAG, settings.NAMES, settings.TEXT) == (4, True, ("a",), "")
    assert settings.source("NUMBER") == "settings.toml [default]"


@pytest.mark.parametrize("text", ["@read_file /etc/hostname", "@format {env[HOME]}", "@int 5", "@none", "@merge a"])
def test_no_layer_runs_the_casts_of_dynaconf(site: Site, text: str) -> None:
    """Text is text in every layer, also where dynaconf would read a file or a variable for it."""
    other = Setting("OTHER", str, "", "Another text.")
    third = Setting("THIRD", str, "", "A third text.")
    site.write("settings.toml", f'[default]\nTEXT = "{text}"')
    site.write(".env", f"OTHER={text}")
    site.environ = {"THIRD": text}
    settings = site.load(other, third)
    assert (text, text, text) == (settings.TEXT, settings.OTHER, settings.THIRD)


def test_threads_may_load_at_once(site: Site) -> None:
    """Loads that run at the same time, in different environments, do not see each other's values."""
    sections = {"development": 1, "testing": 2, "staging": 3, "production": 4}
    site.write("settings.toml", "\n".join(f"[{name}]\nNUMBER = {n}" for name, n in sections.items()))
    gate = threading.Barrier(8)

    def load_some(name: str) -> set[tuple[int, str]]:
        gate.wait(timeout=60)
        environ = {"ROM_ENV": name, "TEXT": name}
        loads = (load_settings(DECLARED, root=site.root, environ=environ) for _ in range(8))
        return {(settings.NUMBER, settings.TEXT) for settings in loads}

    names = list(sections) * 2
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(load_some, names))
    assert seen == [{(sections[name], name)} for name in names]


# -- relations ---------------------------------------------------------------------------------------------------------


def _not_five(settings: Settings) -> str | None:
    return "must not be five" if settings.NUMBER == 5 else None


def test_rule_refuses_and_blames_its_first_name(site: Site) -> None:
    """What a rule answers is the problem of the first setting it names; None is agreement."""
    rules = (Rule(("NUMBER", "FLAG"), _not_five),)
    site.environ = {"NUMBER": "4"}
    assert site.load(rules=rules).NUMBER == 4
    site.environ = {"NUMBER": "5"}
    assert site.problems(rules=rules) == [("NUMBER", "must not be five")]


def test_rule_is_not_asked_about_an_invalid_setting(site: Site) -> None:
    """While one of its settings is wrong by itself, a rule would speak of a value nobody wrote; others are asked."""
    rules = (Rule(("FLAG", "NUMBER"), lambda settings: "flag"), Rule(("TEXT",), lambda settings: "text"))
    site.environ = {"NUMBER": "x"}
    assert [name for name, _ in site.problems(rules=rules)] == ["NUMBER", "TEXT"]


def test_rule_sees_the_environment(site: Site) -> None:
    """A rule may hold in one environment only."""
    rules = (Rule(("FLAG",), lambda settings: "on!" if settings.environment == "production" else None),)
    assert site.load(rules=rules)
    site.environ = {"ROM_ENV": "production"}
    assert site.problems(rules=rules) == [("FLAG", "on!")]


def test_declarations_must_agree(site: Site) -> None:
    """One name has one declaration, and a rule speaks of declared names: else the code is wrong, not the file."""
    with pytest.raises(InvalidDeclaration, match="NUMBER is declared twice, by the core and other"):
        site.load(Setting("NUMBER", int, 0, "Again.", plugin="other"))
    with pytest.raises(InvalidDeclaration, match="NOBODY"):
        site.load(rules=(Rule(("NOBODY",), _not_five),))
