"""Layers: which one wins, what each may say, and that loading touches nothing else."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.config import (
    InvalidDeclaration,
    InvalidSettings,
    Rule,
    Setting,
    Settings,
    load_settings,
)

DECLARED = (
    Setting("NUMBER", int, 0, "A number.", minimum=0, maximum=1000),
    Setting("NAMES", list, ("declared",), "Names.", item=str),
    Setting("TABLE", dict, {}, "A table."),
    Setting("TEXT", str, "", "A text."),
    Setting("FLAG", bool, False, "A flag."),
    Setting("RATIO", float, 0.5, "A ratio."),
    Setting("KEY", str, "", "A key.", secret=True),
    Setting("FIXED", int, 1, "Read at start.", runtime=False),
)


class Site:
    """A folder of settings files, an environment and overrides; `load` reads them as they are now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {}
        self.overrides: dict[str, Any] = {}

    def write(self, file: str, text: str) -> None:
        with (self.root / file).open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")

    def load(self, *extra: Setting, rules: tuple[Rule, ...] = (), **options: Any) -> Settings:
        return load_settings(
            (*DECLARED, *extra), rules, root=self.root, environ=self.environ, overrides=self.overrides, **options
        )

    def problems(self, *extra: Setting, rules: tuple[Rule, ...] = (), **options: Any) -> list[tuple[str, str]]:
        with pytest.raises(InvalidSettings) as caught:
            self.load(*extra, rules=rules, **options)
        return [(problem.name, problem.message) for problem in caught.value.problems]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty folder, an empty environment."""
    return Site(tmp_path)


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


def test_dotenv_is_not_filled_in_from_variables(site: Site) -> None:
    """`${NAME}` in .env stays as written: it may be part of a password."""
    site.write(".env", "KEY='a${HOME}b'\nexport TEXT=x # a note")
    settings = site.load()
    assert (settings.KEY, settings.TEXT) == ("a${HOME}b", "x")


def test_threads_may_load_at_once(site: Site) -> None:
    """Loads that run at the same time, in different environments, do not see each other's values."""
    sections = {"development": 1, "testing": 2, "staging": 3, "production": 4}
    site.write("settings.toml", "\n".join(f"[{name}]\nNUMBER = {n}" for name, n in sections.items()))
    gate = threading.Barrier(8)

    def load_some(name: str) -> set[tuple[int, str]]:
        gate.wait(timeout=10)
        environ = {"ROM_ENV": name, "TEXT": name}
        loads = (load_settings(DECLARED, root=site.root, environ=environ) for _ in range(8))
        return {(settings.NUMBER, settings.TEXT) for settings in loads}

    names = list(sections) * 2
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(load_some, names))
    assert seen == [{(sections[name], name)} for name in names]


# -- refusals --------------------------------------------------------------------------------------------------------


def test_every_problem_is_told_at_once(site: Site) -> None:
    """One refusal lists the mistakes of all layers, each with its setting and its layer."""
    site.write("settings.toml", '[default]\nNUMBER = "x"\nNAMES = [1]\nNUMBR = 1\n[production]\nFLAG = 2')
    site.write(".env", "RATIO=much")
    site.environ = {"TABLE": "[]", "ROM_ENV": "Staging"}
    site.overrides = {"FIXED": 2, "KEY": "k", "NOTHING": 1, "TEXT": 5}
    assert site.problems() == [
        ("ROM_ENV", "environment: must be one of development, testing, staging, production, not 'Staging'"
         "; did you mean staging?"),
        ("NUMBER", "settings.toml [default]: must be a whole number, not 'x'"),
        ("NAMES", "settings.toml [default]: element 1: must be text, not 1"),
        ("NUMBR", "settings.toml [default]: unknown setting; did you mean NUMBER?"),
        ("FLAG", "settings.toml [production]: must be true or false, not 2"),
        ("RATIO", ".env: must be a finite number, not 'much'"),
        ("TABLE", "environment: must be a table (in text: a JSON object), not '[]'"),
        ("FIXED", "override: cannot be changed at run time; change a file and restart"),
        ("KEY", "override: a secret belongs in .secrets.local.toml or the environment"),
        ("NOTHING", "override: unknown setting"),
        ("TEXT", "override: must be text, not 5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "content", "name", "message"),
    [
        (
            "settings.toml",
            "[default]\nNUMBER = ",
            "settings.toml",
            "is not valid TOML: Invalid value (at line 2, the last one)",
        ),
        (".secrets.local.toml", "[default\n", ".secrets.local.toml", "is not valid TOML: "),
        ("settings.toml", "NUMBER = 1", "NUMBER", "settings.toml: stands before any section; put it under [default]"),
        ("settings.toml", "[prodution]\nNUMBER = 1", "[prodution]", "unknown section; did you mean production?"),
        ("settings.toml", "[Production]\nNUMBER = 1", "[Production]", "unknown section; did you mean production?"),
        ("settings.toml", "[global]\nNUMBER = 1", "[global]", "settings.toml: unknown section"),
        ("settings.toml", "[default]\nnumber = 1", "number", "unknown setting; did you mean NUMBER?"),
        ("settings.toml", "[default]\nZZZ = 1", "ZZZ", "settings.toml [default]: unknown setting"),
        ("settings.toml", "[default]\ndynaconf_include = 'x.toml'", "dynaconf_include", "unknown setting"),
        ("settings.toml", '[default]\nROM_ENV = "testing"', "ROM_ENV", "the environment is chosen in .env or"),
        ("settings.toml", "[default]\nNUMBER = 2020-01-01", "NUMBER", "must be a whole number"),
        ("settings.toml", "[default]\nNUMBER = 1001", "NUMBER", "must be at most 1000, not 1001"),
        ("settings.toml", "[default]\nRATIO = nan", "RATIO", "must be a finite number, not nan"),
        ("settings.toml", f"[default]\nNUMBER = 0x{'f' * 5000}", "NUMBER", "must be at most 1000"),
        (".secrets.toml", "[default]\nNUMBER = true", "NUMBER", ".secrets.toml: must be a whole number, not True"),
        ("settings.local.toml", "[staging]\nNUMBER = 1.5", "NUMBER", "settings.local.toml: must be a whole number"),
        (".env", "NUMBER=1\n\n= what\n", ".env", "line 3 is not NAME=value"),
        (".env", "NUMBR=1", "NUMBR", ".env: unknown setting; did you mean NUMBER?"),
        (".env", "number=1", "number", ".env: unknown setting; did you mean NUMBER?"),
        (".env", "GUARDS_ENABLED=true", "GUARDS_ENABLED", ".env: unknown setting"),
    ],
)
def test_mistake_in_a_file_is_refused(site: Site, file: str, content: str, name: str, message: str) -> None:
    """A mistake of form, name or value in any section of any file stops the load, and is named with its place."""
    (site.root / file).write_text(content)
    ((found, text),) = site.problems()
    assert found == name
    assert message in text


def test_file_cannot_bring_in_another(site: Site) -> None:
    """dynaconf's own words in a file are unknown names, and are not obeyed either."""
    site.write("other.toml", '[default]\nNUMBER = "x"')
    site.write("settings.toml", f'[default]\ndynaconf_include = ["{site.root}/other.toml"]')
    assert site.problems() == [("dynaconf_include", "settings.toml [default]: unknown setting")]


@pytest.mark.parametrize("file", ["settings.toml", ".secrets.toml", ".env"])
def test_file_that_is_not_utf8_is_refused(site: Site, file: str) -> None:
    """Bytes that are not UTF-8 are named by file and line."""
    (site.root / file).write_bytes(b"[default]\nTEXT='\xff'\n" if file != ".env" else b"A=1\nTEXT=\xff\n")
    assert site.problems() == [(file, "is not UTF-8 text (at line 2)")]


@pytest.mark.parametrize("file", ["settings.toml", ".env"])
def test_file_that_cannot_be_opened_is_refused(site: Site, file: str) -> None:
    """A settings file that exists and does not open is a problem, not an empty file."""
    (site.root / file).mkdir()
    assert site.problems() == [(file, "cannot be read: Is a directory")]


@pytest.mark.parametrize("file", [".env", "settings.toml"])
@hypothesis.settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("NUMBERTX=[]{}'\"\\\r\n #.,01dekfaultv@$é"), max_size=60))
def test_any_text_in_a_file_is_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, file: str, text: str
) -> None:
    """Whatever somebody leaves in a file, loading ends in settings or in InvalidSettings."""
    root = tmp_path_factory.mktemp("any")
    (root / file).write_text(text, encoding="utf-8", newline="")
    with contextlib.suppress(InvalidSettings):
        load_settings(DECLARED, root=root, environ={})


def test_file_that_breaks_between_two_reads_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody is just writing ends as InvalidSettings, not as an error of the parser."""
    site.write("settings.toml", "[default]\nNUMBER = 1")
    read = Path.read_bytes

    def read_then_break(path: Path) -> bytes:
        content = read(path)
        path.write_text("[default]\nNUMBER = ")
        return content

    monkeypatch.setattr(Path, "read_bytes", read_then_break)
    ((_, message),) = site.problems()
    assert message.startswith("a settings file changed while it was read")


def test_broken_file_does_not_hide_the_mistakes_of_other_layers(site: Site) -> None:
    """With a file that cannot be read the values of the others are judged all the same; relations are not."""
    rule = Rule(("TEXT",), lambda settings: "never asked")
    site.write("settings.toml", "[default")
    site.write(".secrets.toml", "[default]\nNUMBR = 1")
    site.environ = {"NUMBER": "x"}
    assert [name for name, _ in site.problems(rules=(rule,))] == ["settings.toml", "NUMBR", "NUMBER"]


def test_variables_of_other_programs_in_dotenv_are_left_alone(site: Site) -> None:
    """.env is shared: a name that is not close to one of ours is no mistake."""
    site.write(".env", "AWS_PROFILE=dev\nCOMPOSE_PROJECT_NAME=x\nNUMBER=3")
    assert site.load().NUMBER == 3


def test_values_of_unknown_names_and_secrets_stay_out_of_the_text(site: Site) -> None:
    """A refusal shows neither a secret nor what stands under a misspelt name, which may be one."""
    number = Setting("PIN", int, 0, "A secret number.", secret=True)
    site.write("settings.toml", '[default]\nKEY = ["hush-1"]\nKEYS = "hush-2"\nPIN = "hush-3"')
    site.write(".env", "KEYY=hush-4\nPIN=hush-5")
    site.environ = {"PIN": "hush-6"}
    site.overrides = {"KEY": "hush-7", "KEYZ": "hush-8"}
    with pytest.raises(InvalidSettings) as caught:
        site.load(number)
    assert len(caught.value.problems) == 8
    assert "hush" not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)


def test_refusal_reads_as_a_list() -> None:
    """The text is for a person: a count, then one line a problem, each once."""
    from rom_core.config import Problem

    error = InvalidSettings([Problem("A", "is wrong"), Problem("B", "too"), Problem("A", "is wrong")])
    assert str(error) == "Invalid settings, 2 problems:\n  A: is wrong\n  B: too"
    assert (error.code, error.status) == ("invalid_settings", 422)


# -- relations -------------------------------------------------------------------------------------------------------


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


# -- switches of plugins that did not load ---------------------------------------------------------------------------


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("layer", [".env", "environment", "override"])
def test_undeclared_switch_counts_by_its_effective_value(site: Site, layer: str, higher: bool) -> None:
    """Leniently, an undeclared switch stops the start only if the layers together leave it on."""
    site.write("settings.toml", f"[default]\nGONE_ENABLED = {str(not higher).lower()}")
    if layer == ".env":
        site.write(".env", f"GONE_ENABLED={higher}")
    elif layer == "environment":
        site.environ["GONE_ENABLED"] = str(higher)
    else:
        site.overrides["GONE_ENABLED"] = higher
    if higher:
        message = f"{layer}: the plugin that this switches on is not installed"
        assert site.problems(lenient_switches=True) == [("GONE_ENABLED", message)]
    else:
        settings = site.load(lenient_switches=True)
        assert "GONE_ENABLED" not in settings.as_dict()
        assert not hasattr(settings, "GONE_ENABLED")


def test_undeclared_switch_of_another_environment_is_accepted(site: Site) -> None:
    """Leniently, a plugin that is on in development and off here does not stop the start here."""
    site.write("settings.toml", "[default]\nGONE_ENABLED = false\n[production]\nGONE_ENABLED = true")
    assert site.load(lenient_switches=True)
    site.environ["ROM_ENV"] = "production"
    assert [name for name, _ in site.problems(lenient_switches=True)] == ["GONE_ENABLED"]


def test_undeclared_switch_is_unknown_unless_lenient(site: Site) -> None:
    """Strictly, an undeclared switch is an unknown name, on or off; leniently it must still be true or false."""
    site.write("settings.toml", "[default]\nGONE_ENABLED = false")
    assert site.problems() == [("GONE_ENABLED", "settings.toml [default]: unknown setting")]
    site.write("settings.local.toml", "[default]\nGONE_ENABLED = 1")
    ((_, message),) = site.problems(lenient_switches=True)
    assert message == "settings.local.toml: must be true or false, not 1"


def test_undeclared_switch_that_only_dotenv_names(site: Site) -> None:
    """.env is a settings file: a switch that stands nowhere else is judged there as in the others."""
    site.write(".env", "GONE_ENABLED=off")
    assert site.problems() == [("GONE_ENABLED", ".env: unknown setting")]
    assert site.load(lenient_switches=True)
    site.write(".env", "GONE_ENABLED=on")
    message = ".env: the plugin that this switches on is not installed"
    assert site.problems(lenient_switches=True) == [("GONE_ENABLED", message)]


def test_undeclared_switch_of_the_environment_alone_is_not_ours(site: Site) -> None:
    """TELEMETRY_ENABLED=true in the environment may be any program's."""
    site.environ = {"TELEMETRY_ENABLED": "true"}
    assert site.load(lenient_switches=True)
    assert site.load()
