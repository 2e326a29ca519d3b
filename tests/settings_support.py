"""Settings under test: some declarations, and a folder of files that is read with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rom_core.settings import CORE_SETTINGS, InvalidSettings, Model, Rule, Setting, Settings, load_settings

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


def packaged_models() -> dict[str, Model]:
    """The table of models as it is installed, by alias."""
    settings = load_settings(CORE_SETTINGS, (), root=Path("/nonexistent"), environ={"ROM_ENV": "testing"})
    return dict(settings.models)


class Site:
    """A folder of settings files, an environment and overrides; `load` reads them as they are now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {}
        self.overrides: dict[str, Any] = {}

    def write(self, file: str, text: str) -> None:
        """Add lines to a file."""
        with (self.root / file).open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")

    def load(self, *extra: Setting, rules: tuple[Rule, ...] = (), **options: Any) -> Settings:
        """What the layers say, with more declarations and with options of `load_settings`."""
        return load_settings(
            (*DECLARED, *extra), rules, root=self.root, environ=self.environ, overrides=self.overrides, **options
        )

    def problems(self, *extra: Setting, rules: tuple[Rule, ...] = (), **options: Any) -> list[tuple[str, str]]:
        """Why a load is refused, as (name, message)."""
        with pytest.raises(InvalidSettings) as caught:
            self.load(*extra, rules=rules, **options)
        return [(problem.name, problem.message) for problem in caught.value.problems]
