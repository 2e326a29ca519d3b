"""What an administrator may set and clear: by name, of the right type, all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from flag_support import ANA, Site, problems, start

from rom_core.flags.canary import MAX_FLAGS
from rom_core.flags.proposals import MAX_EDITS
from rom_core.settings import InvalidSettings
from rom_core.settings.values import MAX_ELEMENTS


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_clears_an_override(site: Site, empty: str | None) -> None:
    """The layers below count again."""
    runtime, flags = start(site)
    flags.change({"MAX_TOKENS": 7, "SOFT": 3}, ANA)
    applied = flags.change({"MAX_TOKENS": empty}, ANA)
    assert dict(applied.changed) == {"MAX_TOKENS": (7, 1000)}
    assert runtime.current.settings.source("MAX_TOKENS") == "settings.toml [default]"
    assert runtime.current.settings.SOFT == 3
    assert flags.change({"MAX_TOKENS": empty}, ANA).version == applied.version


@pytest.mark.parametrize("text", ["no", "off", "FALSE", "0", "false", "Off", " no "])
def test_false_is_false_in_every_spelling(site: Site, text: str) -> None:
    """A switch that was meant to be off is off."""
    runtime, flags = start(site)
    flags.change({"LIMITS_ENABLED": text}, ANA)
    assert runtime.current.settings.LIMITS_ENABLED is False
    assert "limits" not in runtime.current.pipeline.plugins


@pytest.mark.parametrize("text", ["@format {env[HOME]}", "@read_file /etc/hostname", "@json {}", "@none", "@int 3"])
def test_no_cast_of_the_layers_is_reachable(site: Site, text: str) -> None:
    """Text is text; for another type it is refused."""
    runtime, flags = start(site)
    flags.change({"NOTE": text}, ANA)
    assert text == runtime.current.settings.NOTE
    assert set(problems(flags, MAX_TOKENS=text, LIMITS_ENABLED=text, TABLE=text)) == {
        "MAX_TOKENS",
        "LIMITS_ENABLED",
        "TABLE",
    }


def test_a_change_is_all_or_nothing_and_every_problem_is_named(site: Site) -> None:
    """A misspelt name with the nearest real one, a wrong type, a range, a secret, one read at start."""
    _, flags = start(site)
    found = problems(
        flags, SOFT=5, MAX_TOKNES=1, HARD="many", MAX_TOKENS=0, PASSWORD="x", PLACE="there", RATIOS=[1, "a"], soft=1
    )
    assert found == {
        "MAX_TOKNES": "unknown setting; did you mean MAX_TOKENS?",
        "HARD": "must be a whole number, not 'many'",
        "MAX_TOKENS": "must be at least 1, not 0",
        "PASSWORD": "a secret belongs in .secrets.local.toml or the environment",
        "PLACE": "cannot be changed at run time; change a file and restart",
        "RATIOS": "element 2: must be a finite number, not 'a'",
        "soft": "unknown setting; did you mean SOFT?",
    }


@pytest.mark.parametrize(
    ("edits", "named"),
    [
        ({"RATIOS": [0.5] * (MAX_ELEMENTS + 1)}, "RATIOS"),
        ({"RATIOS": ",".join(["0.5"] * (MAX_ELEMENTS + 1))}, "RATIOS"),
        ({"TABLE": {str(n): n for n in range(MAX_ELEMENTS + 1)}}, "TABLE"),
        ({"TABLE": {"a": {"b": [0] * (MAX_ELEMENTS + 1)}}}, "TABLE"),
        ({f"UNKNOWN_{n}": 1 for n in range(MAX_EDITS + 1)}, "settings"),
        ({"canary": {"flags": {f"UNKNOWN_{n}": 1 for n in range(MAX_FLAGS + 1)}}}, "canary"),
    ],
    ids=["a list", "as text", "a table", "deep inside", "settings", "a canary"],
)
def test_a_change_of_absurd_size_is_refused_without_being_looked_through(
    site: Site, monkeypatch: pytest.MonkeyPatch, edits: dict[str, Any], named: str
) -> None:
    """In a few words: others wait for the same lock, and every later change would look at all of it again."""
    _, flags = start(site)
    monkeypatch.setattr("difflib.get_close_matches", lambda *_, **__: pytest.fail("compared one by one"))
    (found,) = problems(flags, **edits).items()
    assert found[0] == named
    assert len(found[1]) < 200


def test_a_name_of_absurd_length_is_not_sent_back(site: Site) -> None:
    """Its beginning tells which it is."""
    _, flags = start(site)
    assert [len(name) for name in problems(flags, **{"M" * 900_000: 1})] == [100]
    with pytest.raises(InvalidSettings) as refused:
        flags.change({"canary": {"flags": {"M" * 900_000: 1}, "x" * 900_000: 1}}, ANA)
    assert len(str(refused.value)) < 2000
