"""A refusal of settings: everything at once, for a person to read, and without secrets."""

from __future__ import annotations

import pytest
from settings_support import Site

from rom_core.settings import InvalidSettings, Problem, Setting


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
    error = InvalidSettings([Problem("A", "is wrong"), Problem("B", "too"), Problem("A", "is wrong")])
    assert str(error) == "Invalid settings, 2 problems:\n  A: is wrong\n  B: too"
    assert (error.code, error.status) == ("invalid_settings", 422)
