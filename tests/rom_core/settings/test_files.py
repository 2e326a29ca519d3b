"""Files of settings: what may stand in them, and what a mistake in one is told as."""

from __future__ import annotations

import contextlib
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_support import DECLARED, Site

from rom_core.settings import InvalidSettings, Rule, load_settings


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


def test_what_was_checked_is_what_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is read once: somebody who is just writing it changes the next load, not half of this one."""
    site.write("settings.toml", "[default]\nNUMBER = 1")
    read = Path.read_bytes

    def read_then_break(path: Path) -> bytes:
        content = read(path)
        path.write_text("[default]\nNUMBER = ")
        return content

    monkeypatch.setattr(Path, "read_bytes", read_then_break)
    assert site.load().NUMBER == 1
    assert [name for name, _ in site.problems()] == ["settings.toml"]


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


def test_dotenv_is_not_filled_in_from_variables(site: Site) -> None:
    """`${NAME}` in .env stays as written: it may be part of a password."""
    site.write(".env", "KEY='a${HOME}b'\nexport TEXT=x # a note")
    settings = site.load()
    assert (settings.KEY, settings.TEXT) == ("a${HOME}b", "x")


# -- switches of plugins that did not load -----------------------------------------------------------------------------


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


@pytest.mark.parametrize("file", ["settings.toml", ".secrets.toml", ".env"])
def test_a_byte_order_mark_is_no_part_of_a_name(site: Site, file: str) -> None:
    """Editors on Windows put one before UTF-8 text."""
    text = "NUMBER=7\n" if file == ".env" else "[default]\nNUMBER = 7\n"
    (site.root / file).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert site.load().NUMBER == 7


def test_behind_a_byte_order_mark_the_environment_is_chosen(site: Site) -> None:
    """Production must not start as development because of three bytes."""
    (site.root / ".env").write_bytes(b"\xef\xbb\xbfROM_ENV=production\n")
    assert site.load().environment == "production"


INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u3164\u115f\u2800\u00a0\u202e\ufe0f\U000e0041"


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
@pytest.mark.parametrize("name", ["ROM_ENV", "ROM_HOME", "NUMBER"])
def test_what_nobody_sees_in_a_name_stops_the_start(site: Site, name: str, character: str) -> None:
    """A name of ours but for invisible characters, wherever they stand: in the environment, in .env and in TOML."""
    value = "production" if name == "ROM_ENV" else "7"
    for place in (0, 4, len(name)):
        written = name[:place] + character + name[place:]
        site.environ = {written: value}
        assert [(found, "cannot be seen" in message) for found, message in site.problems()] == [(name, True)]
        site.environ = {}
        (site.root / ".env").write_text(f"{written}={value}\n", encoding="utf-8")
        if character.isspace() or (character == "\ufeff" and place == 0):
            # What the parser takes for a blank around a name belongs to no name, and within one makes no assignment.
            assert 0 < place < len(name) or site.load()
            assert not 0 < place < len(name) or site.problems()
        else:
            assert name in [found for found, _ in site.problems()]
        (site.root / ".env").unlink()
        if name != "ROM_HOME":
            (site.root / "settings.toml").write_text(f'[default]\n"{written}" = 7\n', encoding="utf-8")
            assert site.problems()
            (site.root / "settings.toml").unlink()
