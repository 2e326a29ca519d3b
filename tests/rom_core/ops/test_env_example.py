"""`.env.example`: complete, up to date, and read back as what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core import hookspecs
from rom_core.ops.env_example import FILE, env_example, main
from rom_core.ops.reference import built_in, pages
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import Setting, load_settings
from rom_core.settings.files import read_dotenv

ACME = """
from rom_core.markers import hookimpl
from rom_core.settings import Setting

class Acme:
    @hookimpl
    def rom_settings(self):
        return [Setting("ACME_COLOUR", str, "red", "A colour.")]
"""
PROJECT = Path(__file__).parents[3]


def test_the_file_is_up_to_date() -> None:
    """`make env-example` writes it anew after a declaration has changed."""
    assert (PROJECT / FILE).read_text(encoding="utf-8") == env_example(built_in().settings)


def test_what_is_generated_tells_of_our_own_plugins_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever third parties' plugins stand in the environment, one that does not even import among them."""
    before = pages(PROJECT), env_example(built_in().settings)
    (tmp_path / "acme.py").write_text(ACME)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rom.plugins]\nacme = acme:Acme\nwreck = acme.missing:Wreck\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {"acme", "wreck"} <= Catalogue.installed(hookspecs, []).plugins.keys()
    assert (pages(PROJECT), env_example(built_in().settings)) == before


def test_uncommented_it_gives_the_declared_defaults(tmp_path: Path) -> None:
    """Every setting is there, in a form that reads back as its default."""
    catalogue = built_in()
    text = "\n".join(
        line.removeprefix("# ") if "=" in line and line.startswith("# ") and line[2:].split("=")[0].isupper() else line
        for line in env_example(catalogue.settings).splitlines()
    )
    text += "\nROM_ENV=testing\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    settings = load_settings(catalogue.settings, catalogue.rules, root=tmp_path, environ={})
    for setting in catalogue.settings:
        assert getattr(settings, setting.name) == setting.default
        assert setting.name in read_dotenv(tmp_path).values


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n")).filter(
    str.strip
)


@given(TEXTS)
def test_any_text_survives_the_way_through_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Quotes, backslashes, line breaks and hashes too."""
    root = tmp_path_factory.getbasetemp()
    content = env_example([Setting("DEMO_TEXT", str, text, "a text")])
    (root / ".env").write_text(content.replace("# DEMO_TEXT=", "DEMO_TEXT="), encoding="utf-8", newline="")
    assert read_dotenv(root).values == {"DEMO_TEXT": text}


def test_each_entry_tells_help_type_and_limits() -> None:
    """And that a secret is one, and what is read at start only."""
    declared: list[Any] = [
        Setting("DEMO_LEVEL", int, 3, "a level", minimum=1, maximum=9, plugin="demo", runtime=False),
        Setting("DEMO_KEY", str, "", "a key", secret=True, plugin="demo"),
        Setting("DEMO_MODE", str, "a", "a mode", choices=("a", "b"), plugin="demo"),
    ]
    assert env_example(declared).split("# == plugin demo ==\n\n")[1] == (
        "# a level. (int, 1..9, read at start)\n# DEMO_LEVEL=3\n\n"
        "# a key. (str, secret)\n# DEMO_KEY=\n\n"
        "# a mode. (str, a|b)\n# DEMO_MODE=a\n"
    )


def test_check_tells_whether_it_is_out_of_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and how to renew it; 0 once it is the same."""
    assert main(["--check"], tmp_path) == 1
    assert "make env-example" in capsys.readouterr().err
    assert main([], tmp_path) == 0
    (tmp_path / FILE).write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["--check"], tmp_path) == 0
