"""What an administrator may set and clear: by name, of the right type, all or nothing."""

from __future__ import annotations

import pytest
from flag_support import ANA, Site, problems, start


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
